// Training on one device, optimizer included, against the tokens a second of PyTorch on the same card (one H100 80GB).
//
// `pnpm bench train --device cuda [--cases A,B] [--steps 10] [--tune yes] [--torch yes] --json`. Peer figures: torch.compile, cuDNN
// attention, fused AdamW. Cards of one kind differ by some 2 %: `--torch yes` has PyTorch train each case on this card right after.
import { atLeast, atMost, type Batch, type BenchResult, describeMachine } from "@nsa/core";
import { Device } from "@nsa/kernels";
import { type ModelConfigInput, resolveModelConfig, Transformer, trainFlops } from "@nsa/model";
import { crossEntropy, Trainer } from "../src/index.ts";
import { torchTraining } from "./support/train-torch.ts";

interface Case {
  name: string;
  model: ModelConfigInput;
  /** Tokens of a document, of a micro-batch and of a step. */
  context: number;
  micro: number;
  step: number;
  peer: { tokensPerSecond: number; gib: number };
  bar: number;
}

const base = { dtype: "bf16", tieEmbeddings: false, attention: "full" } as const;
const ff = (d: number) => Math.ceil((8 * d) / 3 / 64) * 64;
const shape = (
  layers: number,
  d: number,
  heads: number,
  kv: number,
  vocab: number,
  context: number,
): ModelConfigInput => ({
  ...base,
  numLayers: layers,
  dModel: d,
  numHeads: heads,
  numKvHeads: kv,
  headDim: 64,
  dFf: ff(d),
  vocabSize: vocab,
  maxSeqLen: context,
});

const cases: Case[] = [
  {
    name: "A",
    model: shape(8, 512, 8, 8, 8192, 2048),
    context: 2048,
    micro: 65536,
    step: 131072,
    peer: { tokensPerSecond: 1_552_391, gib: 21.1 },
    bar: 1,
  },
  {
    name: "B",
    model: shape(10, 640, 10, 10, 16384, 1024),
    context: 1024,
    micro: 65536,
    step: 262144,
    peer: { tokensPerSecond: 936_403, gib: 17.6 },
    bar: 1,
  },
  {
    name: "C",
    model: shape(12, 768, 12, 12, 32768, 1024),
    context: 1024,
    micro: 32768,
    step: 262144,
    peer: { tokensPerSecond: 559_906, gib: 14.6 },
    bar: 1,
  },
  {
    name: "D",
    model: shape(24, 1024, 16, 4, 32768, 4096),
    context: 4096,
    micro: 16384,
    step: 131072,
    peer: { tokensPerSecond: 173_970, gib: 31.6 },
    bar: 0.9,
  },
  {
    name: "E1",
    model: shape(12, 1024, 16, 1, 32768, 32768),
    context: 32768,
    micro: 32768,
    step: 32768,
    peer: { tokensPerSecond: 115_077, gib: 16.2 },
    bar: 0.6,
  },
  {
    name: "E2",
    model: shape(12, 1024, 16, 1, 32768, 65536),
    context: 65536,
    micro: 65536,
    step: 65536,
    peer: { tokensPerSecond: 66_489, gib: 29.9 },
    bar: 0.6,
  },
  {
    name: "E2-nsa",
    model: {
      ...shape(12, 1024, 16, 1, 32768, 65536),
      attention: "nsa",
      blockSize: 32,
      stride: 16,
      selectionBlockSize: 64,
      numSelectedBlocks: 16,
      windowSize: 512,
    },
    context: 65536,
    micro: 65536,
    step: 65536,
    peer: { tokensPerSecond: 66_489, gib: 29.9 },
    bar: 2,
  },
];

function batch(vocab: number, context: number, tokens: number, seed: number): Batch {
  const id = (t: number) => (Math.imul(t + seed * 7919, 2654435761) >>> 8) % vocab;
  return {
    tokens: Int32Array.from({ length: tokens }, (_, t) => id(t)),
    targets: Int32Array.from({ length: tokens }, (_, t) => id(t + 1)),
    lossWeight: new Float32Array(tokens).fill(1),
    positions: Int32Array.from({ length: tokens }, (_, t) => t % context),
    cuSeqlens: Int32Array.from({ length: tokens / context + 1 }, (_, i) => i * context),
    sampleIds: new Float64Array(tokens / context),
  };
}

const median = (x: number[]) => x.toSorted((a, b) => a - b)[Math.floor(x.length / 2)]!;

interface Outcome {
  tokensPerSecond: number;
  gib: number;
  mfuCausal: number;
  firstLoss: number;
  lastLoss: number;
  /** Device time of a step's captured work, run without a pause, over the step's wall time. */
  gpuBusy: number | null;
  /** Milliseconds of one step by op. */
  ops: Record<string, number>;
}

/** Device milliseconds of one step when nothing makes the device wait: the step's captured parts replayed back to back. */
function busyMs(device: Device, trainer: Trainer, microBatches: number): number | null {
  const times = 4;
  let replayed = false;
  const micro = device.milliseconds(() => {
    replayed = trainer.microSteps.replay(times);
  });
  const update = device.milliseconds(() => {
    replayed = trainer.optimizer.replay(times) && replayed;
  });
  return replayed ? (micro * microBatches + update) / times : null;
}

function measure(device: Device, c: Case, steps: number): Outcome {
  const config = resolveModelConfig(c.model);
  const model = new Transformer(device, config);
  model.parameters.init(1337);
  const trainer = new Trainer(model, 1000, { logitsBudgetMb: 2048 });
  device.stats(true);
  const seconds: number[] = [];
  const losses: number[] = [];
  try {
    for (let i = 0; i < steps + 2; i++) {
      const microBatches = Array.from({ length: c.step / c.micro }, (_, j) =>
        batch(config.vocabSize, c.context, c.micro, i * 64 + j),
      );
      device.sync();
      const from = performance.now();
      losses.push(trainer.step({ microBatches, weightSum: c.step }, crossEntropy)["train/loss"]!);
      device.sync();
      if (i >= 2) seconds.push((performance.now() - from) / 1e3);
    }
    const tokensPerSecond = c.step / median(seconds);
    const { reservedBytes } = device.stats();
    const busy = busyMs(device, trainer, c.step / c.micro);
    const stop = device.profile();
    const one = { microBatches: [batch(config.vocabSize, c.context, c.micro, 1)], weightSum: c.micro };
    trainer.step(one, crossEntropy);
    const ops = Object.fromEntries(stop().map((x) => [`${x.op} x${x.calls}`, Number(x.ms.toFixed(2))]));
    return {
      ops,
      tokensPerSecond,
      gpuBusy: busy === null ? null : busy / 1e3 / median(seconds),
      gib: reservedBytes / 2 ** 30,
      mfuCausal: (trainFlops(config, c.context).causal * tokensPerSecond) / 989e12,
      firstLoss: losses[0]!,
      lastLoss: losses.at(-1)!,
    };
  } finally {
    trainer.free();
    model.free();
  }
}

function argument(name: string, fallback: string): string {
  const words: string[] = JSON.parse(process.env.NSA_BENCH_ARGS ?? "[]");
  const at = words.indexOf(`--${name}`);
  return at < 0 ? fallback : words[at + 1]!;
}

async function run(): Promise<BenchResult> {
  const wanted = argument("cases", "A,B,C,D,E1,E2,E2-nsa").split(",");
  const figures: Record<string, number | null> = {};
  const ratios: Record<string, number | null> = {};
  const bars: BenchResult["bars"] = [];
  let machine = describeMachine();
  for (const c of cases.filter((x) => wanted.includes(x.name))) {
    // A device of its own for each case: reserved memory is the case's alone.
    const device = Device.open(argument("device", "cuda") as "cuda");
    if (argument("tune", "no") === "yes") device.tune();
    machine = `${describeMachine()}; ${device.info.name ?? device.name}`;
    let out: Outcome | undefined;
    try {
      out = measure(device, c, Number(argument("steps", "8")));
    } catch (cause) {
      console.error(`case ${c.name}: ${(cause as Error).message}`);
    }
    device.close();
    figures[`${c.name}_tokens_per_second`] = out?.tokensPerSecond ?? null;
    figures[`${c.name}_peer_tokens_per_second`] = c.peer.tokensPerSecond;
    figures[`${c.name}_gib`] = out?.gib ?? null;
    figures[`${c.name}_mfu_causal`] = out?.mfuCausal ?? null;
    figures[`${c.name}_gpu_busy`] = out?.gpuBusy ?? null;
    figures[`${c.name}_first_loss`] = out?.firstLoss ?? null;
    figures[`${c.name}_last_loss`] = out?.lastLoss ?? null;
    ratios[c.name] = out ? out.tokensPerSecond / c.peer.tokensPerSecond : null;
    bars.push(atLeast(`case ${c.name}: tokens/s over PyTorch`, ratios[c.name]!, c.bar));
    if (c.name === "A")
      bars.push(atLeast("case A: share of a step in which the GPU is busy", out?.gpuBusy ?? null, 0.97));
    bars.push(atMost(`case ${c.name}: GiB`, out?.gib ?? null, c.peer.gib));
    if (out && argument("torch", "no") === "yes") {
      const torch = torchTraining(resolveModelConfig(c.model), c);
      const ratio = torch ? out.tokensPerSecond / torch.tokensPerSecond : null;
      figures[`${c.name}_torch_here_tokens_per_second`] = torch?.tokensPerSecond ?? null;
      figures[`${c.name}_torch_here_gib`] = torch?.gib ?? null;
      ratios[`${c.name}_over_torch_here`] = ratio;
      bars.push(atLeast(`case ${c.name}: over PyTorch on this card`, ratio, c.bar));
    }
    console.error(
      `${c.name}: ${JSON.stringify(out)} ratio ${ratios[c.name]?.toFixed(3)}, over PyTorch here ${ratios[`${c.name}_over_torch_here`]?.toFixed(3) ?? "not measured"}`,
    );
  }
  return { name: "train", machine, figures, ratios, bars };
}

export default { name: "train", about: "training steps on a GPU against PyTorch's tokens a second", run };
