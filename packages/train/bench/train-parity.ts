// The same seed gives the same bits twice, and a GPU learns what the CPU learns, up to the noise of bf16.
//
// `pnpm bench train-parity --device cuda [--steps 200] --json`. The noise is what bf16 itself changes: the distance between
// the CPU's losses in bf16 and in fp32 on the same data. Curves are in the result.
import { createHash } from "node:crypto";
import {
  atLeast,
  atMost,
  type Batch,
  type BenchResult,
  describeMachine,
  Rng,
  type StepBatch,
} from "@nsa/core";
import { Device, type DeviceName } from "@nsa/kernels";
import { type ModelConfigInput, resolveModelConfig, Transformer } from "@nsa/model";
import { crossEntropy, Trainer } from "../src/index.ts";

const VOCABULARY = 64;
const DOCUMENT = 256;
const DOCUMENTS = 8;
const REPEATED_STEPS = 50;

const model: ModelConfigInput = {
  vocabSize: VOCABULARY,
  dModel: 128,
  numLayers: 3,
  numHeads: 4,
  numKvHeads: 2,
  headDim: 64,
  dFf: 320,
  attention: "nsa",
  blockSize: 32,
  stride: 16,
  selectionBlockSize: 64,
  numSelectedBlocks: 3,
  windowSize: 32,
  maxSeqLen: DOCUMENT,
};

/** Documents that count by a step of their own; every seventh id is noise, so that the loss has a floor. */
function batch(step: number): Batch {
  const rng = new Rng(11, 3);
  const T = DOCUMENT * DOCUMENTS;
  const ids = new Int32Array(T + 1);
  for (let d = 0; d < DOCUMENTS; d++) {
    const [start, by] = [rng.int(VOCABULARY, step, 2 * d), 1 + rng.int(9, step, 2 * d + 1)];
    for (let t = 0; t < DOCUMENT; t++) {
      const noise = t % 7 === 6;
      ids[d * DOCUMENT + t] = noise
        ? rng.int(VOCABULARY, step, 10_000 + d * DOCUMENT + t)
        : (start + t * by) % VOCABULARY;
    }
  }
  const last = (t: number) => t % DOCUMENT === DOCUMENT - 1;
  return {
    tokens: ids.slice(0, T),
    targets: Int32Array.from({ length: T }, (_, t) => (last(t) ? -1 : ids[t + 1]!)),
    lossWeight: Float32Array.from({ length: T }, (_, t) => (last(t) ? 0 : 1)),
    positions: Int32Array.from({ length: T }, (_, t) => t % DOCUMENT),
    cuSeqlens: Int32Array.from({ length: DOCUMENTS + 1 }, (_, i) => i * DOCUMENT),
    sampleIds: new Float64Array(DOCUMENTS),
  };
}

function stepOf(step: number): StepBatch {
  const microBatches = [batch(2 * step), batch(2 * step + 1)];
  return {
    microBatches,
    weightSum: microBatches.reduce((n, b) => n + b.lossWeight.reduce((a, w) => a + w, 0), 0),
  };
}

interface Run {
  losses: number[];
  /** SHA-256 of the fp32 masters after the last step. */
  weights: string;
}

function train(name: DeviceName, dtype: "fp32" | "bf16", steps: number): Run {
  const device = Device.open(name);
  try {
    const net = new Transformer(device, resolveModelConfig({ ...model, dtype }));
    net.parameters.init(1);
    const schedule = { kind: "cosine", warmupSteps: 10, minRatio: 0.1 } as const;
    const trainer = new Trainer(net, steps, { optimizer: { lr: 2e-3 }, schedule });
    const losses = Array.from(
      { length: steps },
      (_, i) => trainer.step(stepOf(i), crossEntropy)["train/loss"]!,
    );
    const raw = device.readRaw(net.parameters.flat);
    const weights = createHash("sha256")
      .update(new Uint8Array(raw.buffer, raw.byteOffset, raw.byteLength))
      .digest("hex");
    return { losses, weights };
  } finally {
    device.close();
  }
}

/** Mean distance of two curves after the warm-up. */
function distance(a: readonly number[], b: readonly number[]): number {
  const late = a.map((x, i) => Math.abs(x - b[i]!)).slice(10);
  return late.reduce((sum, x) => sum + x, 0) / Math.max(1, late.length);
}

const mean = (x: readonly number[]) => x.reduce((a, b) => a + b, 0) / x.length;

function argument(name: string, fallback: string): string {
  const words: string[] = JSON.parse(process.env.NSA_BENCH_ARGS ?? "[]");
  const at = words.indexOf(`--${name}`);
  return at < 0 ? fallback : words[at + 1]!;
}

async function run(): Promise<BenchResult> {
  const name = argument("device", "cuda") as DeviceName;
  const steps = Number(argument("steps", "200"));
  const [first, second] = [0, 1].map(() => train(name, "bf16", REPEATED_STEPS)) as [Run, Run];
  const gpu = train(name, "bf16", steps);
  const cpu = train("cpu", "bf16", steps);
  const exact = train("cpu", "fp32", steps);
  const noise = distance(cpu.losses, exact.losses);
  const apart = distance(gpu.losses, cpu.losses);
  const tail = (r: Run) => mean(r.losses.slice(-20));
  const equal =
    first.weights === second.weights && first.losses.every((x, i) => x === second.losses[i]) ? 1 : 0;
  return {
    name: "train-parity",
    machine: describeMachine(),
    figures: {
      device: name,
      repeated_steps: REPEATED_STEPS,
      weights_after_repeated_steps: first.weights,
      first_loss: gpu.losses[0]!,
      last_20_losses: tail(gpu),
      last_20_losses_cpu: tail(cpu),
      last_20_losses_cpu_fp32: tail(exact),
      distance: apart,
      bf16_noise: noise,
    },
    ratios: { distance_over_noise: apart / noise },
    series: { loss: gpu.losses, loss_cpu: cpu.losses, loss_cpu_fp32: exact.losses },
    bars: [
      atLeast(`${REPEATED_STEPS} steps twice: equal bits`, equal, 1),
      atMost("distance of the losses to the CPU's over the noise of bf16", apart / noise, 1.5),
      atMost("last 20 losses, distance to the CPU's", Math.abs(tail(gpu) - tail(cpu)), 0.02),
      atMost("the model has learned: last 20 losses over the first", tail(gpu) / gpu.losses[0]!, 0.5),
    ],
  };
}

export default {
  name: "train-parity",
  about: "same seed, same bits; the GPU's loss curve against the CPU's",
  run,
};
