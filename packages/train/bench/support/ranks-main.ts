// One rank of `bench ranks`: trains each case for a few steps, times transfers, and prints what it measured as JSON.
import { createHash } from "node:crypto";
import type { Batch } from "@nsa/core";
import {
  type Collectives,
  Device,
  type DeviceName,
  openDeviceCollectives,
  openRankPipes,
  singleRank,
} from "@nsa/kernels";
import { type ModelConfigInput, resolveModelConfig, Transformer } from "@nsa/model";
import { crossEntropy, Trainer } from "../../src/index.ts";

export interface RankPlan {
  name: string;
  model: ModelConfigInput;
  /** Tokens of a document, of a micro-batch, and of a step on each rank. */
  context: number;
  micro: number;
  step: number;
  steps: number;
  shareState: "always" | "never";
}

export interface RankOutcome {
  /** Of all ranks, median over the steps but the first three. */
  tokensPerSecond: number;
  /** Masters and moments that this rank holds. */
  stateBytes: number;
  peakBytes: number;
  /** SHA-256 of the weights that the model computes with. */
  weights: string;
  loss: number;
}

export interface RanksOutcome {
  outcomes: Record<string, RankOutcome>;
  /** Milliseconds by operation and MiB. */
  transfers: Record<string, number>;
  device: string;
}

const [rank, world, folder, device, plans, mib] = process.argv.slice(2) as string[];

function open(on: Device): Collectives {
  if (world === "1") return singleRank;
  const place = { rank: Number(rank), world: Number(world), folder: folder! };
  return on.name === "cuda" ? openDeviceCollectives(on, place) : openRankPipes(place);
}

function batch(vocab: number, { context, micro }: RankPlan, seed: number): Batch {
  const id = (t: number) => (Math.imul(t + seed * 7919, 2654435761) >>> 8) % vocab;
  return {
    tokens: Int32Array.from({ length: micro }, (_, t) => id(t)),
    targets: Int32Array.from({ length: micro }, (_, t) => id(t + 1)),
    lossWeight: new Float32Array(micro).fill(1),
    positions: Int32Array.from({ length: micro }, (_, t) => t % context),
    cuSeqlens: Int32Array.from({ length: micro / context + 1 }, (_, i) => i * context),
    sampleIds: new Float64Array(micro / context),
  };
}

const median = (x: number[]) => x.toSorted((a, b) => a - b)[Math.floor(x.length / 2)]!;

function hashOf(on: Device, model: Transformer): string {
  const sha = createHash("sha256");
  for (const { key } of model.parameters.layout.weights) {
    const raw = on.readRaw(model.parameters.weight(key));
    sha.update(new Uint8Array(raw.buffer, raw.byteOffset, raw.byteLength));
  }
  return sha.digest("hex");
}

function train(on: Device, collectives: Collectives, plan: RankPlan): RankOutcome {
  const config = resolveModelConfig(plan.model);
  const model = new Transformer(on, config);
  model.parameters.init(1337);
  const options = { logitsBudgetMb: 2048, shareState: plan.shareState };
  const trainer = new Trainer(model, 1000, options, collectives, { mayShare: true });
  on.stats(true);
  const count = plan.step / plan.micro;
  const microBatches = Array.from({ length: count }, (_, i) =>
    batch(config.vocabSize, plan, collectives.rank * 64 + i),
  );
  const weightSum = plan.step * collectives.world;
  const seconds: number[] = [];
  let loss = 0;
  for (let i = 0; i < plan.steps; i++) {
    on.sync();
    collectives.barrier();
    const from = performance.now();
    loss = trainer.step({ microBatches, weightSum }, crossEntropy)["train/loss"]!;
    on.sync();
    if (i >= 3) seconds.push((performance.now() - from) / 1e3);
  }
  const state = on.tenants().filter(({ purpose }) => purpose === "moments" || purpose === "masters");
  const outcome = {
    tokensPerSecond: weightSum / median(seconds),
    stateBytes: state.reduce((n, { bytes }) => n + bytes, 0),
    peakBytes: on.stats().peakBytes,
    weights: hashOf(on, model),
    loss,
  };
  trainer.free();
  model.free();
  return outcome;
}

/** Milliseconds of one transfer of each size; a sum for all, a sum for one rank, and a copy to all. */
function transfers(on: Device, collectives: Collectives, sizes: number[]): Record<string, number> {
  const found: Record<string, number> = {};
  for (const size of sizes) {
    using _ = on.scope();
    const x = on.zeros([size * 2 ** 18], "f32");
    const calls = {
      all_reduce: () => collectives.allReduce(x),
      reduce: () => collectives.reduceTo(x, 0),
      broadcast: () => collectives.broadcast(x, 0),
    };
    for (const [name, call] of Object.entries(calls)) {
      const times = on.name === "cuda" ? 5 : 1;
      call();
      on.sync();
      collectives.barrier();
      const from = performance.now();
      for (let i = 0; i < times; i++) call();
      on.sync();
      found[`${name}_${size}_mib_ms`] = (performance.now() - from) / times;
    }
  }
  return found;
}

const on = Device.open(device as DeviceName, { ordinal: Number(rank), threads: device === "cpu" ? 1 : 0 });
const collectives = open(on);
const outcomes = Object.fromEntries(
  (JSON.parse(plans!) as RankPlan[]).map((plan) => {
    const outcome = train(on, collectives, plan);
    process.stderr.write(`rank ${rank} of ${world}: ${plan.name} ${JSON.stringify(outcome)}\n`);
    return [plan.name, outcome];
  }),
);
const result: RanksOutcome = {
  outcomes,
  transfers: world === "1" ? {} : transfers(on, collectives, JSON.parse(mib!) as number[]),
  device: String(on.info.name ?? on.name),
};
on.close();
console.log(JSON.stringify(result));
