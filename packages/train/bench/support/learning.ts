// One curve of `pnpm bench nsa-learning`: a model of one kind and seed, trained on text or on recall.
import { join } from "node:path";
import { loadConfig, type StepBatch } from "@nsa/core";
import { PackedSource } from "@nsa/data";
import { openDevice } from "@nsa/kernels";
import { type ModelConfigInput, resolveModelConfig, TrainWork, Transformer, trainFlops } from "@nsa/model";
import { crossEntropy } from "../../src/loss.ts";
import { pretrainSchema } from "../../src/stages/pretrain/config.ts";
import { loadCorpus } from "../../src/stages/pretrain/corpus.ts";
import { Trainer, type TrainerConfigInput } from "../../src/trainer.ts";
import { type Overlap, selectionOverlap } from "./overlap.ts";
import { type RecallTask, recallAccuracy, recallBatch, recallLengths, recallVocabulary } from "./recall.ts";

export const PARTS = ["recall", "text"] as const;
export type Part = (typeof PARTS)[number];
export const KINDS = ["nsa", "full", "window"] as const;
export type Kind = (typeof KINDS)[number];

/** One point of a curve: tokens, FLOPs and seconds of training so far, and what was measured there. */
interface Point {
  tokens: number;
  flops: number;
  seconds: number;
  /** text: validation loss in nats per token; recall: share of far questions answered. */
  value: number;
  /** Training loss of the last step. */
  loss: number;
}

export interface Curve {
  part: Part;
  kind: Kind;
  seed: number;
  /** Name of the GPU, or cpu. */
  device: string;
  parameters: number;
  /** Keys that a query reads over those it sees, mean in a document of the longest length. */
  readShare: number;
  /** The same over the documents that were trained on, many of them shorter. */
  trainedReadShare: number;
  points: Point[];
  /** recall: answered with the gate of each branch at zero. */
  muted?: { cmp: number; slc: number; win: number };
  overlap?: Overlap;
}

const words: string[] = JSON.parse(process.env.NSA_BENCH_ARGS ?? "[]");
export const option = (name: string, fallback: string) =>
  words.includes(`--${name}`) ? words[words.indexOf(`--${name}`) + 1]! : fallback;
export const number = (name: string, fallback: number) => Number(option(name, `${fallback}`));
const json = (name: string): Record<string, unknown> => JSON.parse(option(name, "{}"));

const gpu = option("device", "cuda") !== "cpu";
const dtype = gpu ? "bf16" : "fp32";

const task: RecallTask = {
  keys: 32,
  values: 8,
  fillers: 16,
  length: 2048,
  // The first selection block is read by force, so facts there would need no choice.
  from: 64,
  // 32 facts lie in 512 tokens, 8 or 9 blocks, of which a query may choose 5.
  spread: 16,
  asking: 0.5,
  ...json("recall-task"),
};
export const chance = 1 / task.values;

/** n·l' + w = 8·64 + 128 = 640 of T = 2048; three of the eight blocks are forced. */
const recallModel: ModelConfigInput = {
  // Two layers see 2·(w − 1) tokens back through windows alone, so what lies further than 2w is out of their reach.
  numLayers: 2,
  dModel: 128,
  numHeads: 4,
  numKvHeads: 2,
  dFf: 256,
  vocabSize: recallVocabulary(task),
  maxSeqLen: task.length,
  tieEmbeddings: false,
  qkvBias: true,
  // About 1/√d_model: with 0.02 the scores stay flat for long (docs/LOG.md).
  initStd: 0.09,
  blockSize: 32,
  stride: 16,
  selectionBlockSize: 64,
  numSelectedBlocks: 8,
  windowSize: 128,
  dtype,
  ...json("recall-model"),
};

/** A part of training on recall. */
interface Stage {
  /** Its last step. */
  until: number;
  /** Of the documents, each with the same share of the tokens. */
  lengths: number[];
  /** Replaces n. A step captured on a GPU keeps its n, so stages that differ here must differ in their longest document. */
  blocks?: number;
  /** Numbers of facts are drawn evenly, not few more often than many. */
  even?: boolean;
}

/**
 * From short documents to long ones. Selection has no gradient of its own: it picks what compressed attention finds, and
 * that learns late where windows and selected blocks answer already. So the first stage selects forced blocks alone.
 */
const stages: Stage[] = JSON.parse(
  option(
    "recall-stages",
    JSON.stringify([
      { until: 400, lengths: [512, 256], blocks: 3 },
      { until: 3000, lengths: [2048, 1024, 512, 256] },
      { until: 1e9, lengths: [2048, 1024, 512], even: true },
    ] satisfies Stage[]),
  ),
);

/** n·l' + w = 8·64 + 256 = 768 of T = 8192. */
const textSizes = {
  blockSize: 32,
  stride: 16,
  selectionBlockSize: 64,
  numSelectedBlocks: 8,
  windowSize: 256,
};

interface Plan {
  steps: number;
  every: number;
  trainer: TrainerConfigInput;
  batch: (i: number) => StepBatch;
  measure: (trainer: Trainer) => number;
  /** Ends the run before its last step. */
  enough: (points: Point[]) => boolean;
}

/** Trains one model, measuring every `every` steps. */
function train(part: Part, kind: Kind, seed: number, model: Transformer, plan: Plan): Curve {
  const trainer = new Trainer(model, plan.steps, { logitsBudgetMb: gpu ? 2048 : 64, ...plan.trainer });
  const work = new TrainWork(model.config);
  const points: Point[] = [];
  let [tokens, seconds] = [0, 0];
  for (let i = 0; i < plan.steps; i++) {
    const step = plan.batch(i);
    const from = performance.now();
    const metrics = trainer.step(step, crossEntropy);
    seconds += (performance.now() - from) / 1e3;
    tokens += metrics["train/tokens"]!;
    for (const batch of step.microBatches) work.add(batch);
    if ((i + 1) % plan.every && i + 1 < plan.steps) continue;
    const value = plan.measure(trainer);
    points.push({ tokens, flops: work.flops, seconds, value, loss: metrics["train/loss"]! });
    console.error(
      `${part} ${kind} seed ${seed} step ${i + 1}: ${value.toFixed(4)}, loss ${metrics["train/loss"]!.toFixed(4)}, ${seconds.toFixed(1)} s`,
    );
    if (plan.enough(points)) break;
  }
  trainer.free();
  return {
    part,
    kind,
    seed,
    device: `${model.device.info.name ?? model.device.name}`,
    parameters: model.parameters.layout.parameterCount,
    readShare: trainFlops(model.config, model.config.maxSeqLen).readShare,
    trainedReadShare: work.readShare,
    points,
  };
}

export function recallCurve(kind: Kind, seed: number): Curve {
  // Closed by the end of the process, which has no other work.
  const device = openDevice(gpu ? "cuda" : "cpu", { threads: number("threads", 0) || undefined });
  const model = new Transformer(device, resolveModelConfig({ ...recallModel, attention: kind }));
  model.parameters.init(seed);
  const blocks = model.config.numSelectedBlocks;
  const perStep = number("recall-tokens", 16384);
  const longest = Array.from({ length: 8 }, () => task.length);
  // Never drawn in training: its seeds are small.
  const test = recallBatch(task, longest, 1_000_003 + seed, 0, "all");
  const beyond = 2 * model.config.windowSize;
  const curve = train("recall", kind, seed, model, {
    steps: number("recall-steps", 11000),
    every: number("recall-every", 200),
    trainer: {
      optimizer: { lr: number("recall-lr", 2e-3) },
      // At the peak rate recall stays near 0.94; what is missing comes while the rate falls.
      schedule: { kind: "wsd", warmupSteps: 100, decayShare: 0.7, minRatio: 0.02 },
    },
    batch: (i) => {
      const stage = stages.find((s) => i < s.until)!;
      model.config.numSelectedBlocks = stage.blocks ?? blocks;
      const batch = recallBatch(
        task,
        recallLengths(stage.lengths, perStep),
        seed,
        i,
        stage.even ? "even" : "few",
      );
      return { microBatches: [batch], weightSum: batch.lossWeight.reduce((a, b) => a + b, 0) };
    },
    measure: () => {
      model.config.numSelectedBlocks = blocks;
      return recallAccuracy(model, test, beyond);
    },
    enough: (points) =>
      kind !== "window" && points.length > 1 && points.slice(-2).every((p) => p.value >= 0.995),
  });
  if (kind !== "nsa") return curve;
  const without = (branch: "cmp" | "slc" | "win") => recallAccuracy(model, test, beyond, branch);
  const muted = { cmp: without("cmp"), slc: without("slc"), win: without("win") };
  return { ...curve, muted, overlap: selectionOverlap(model, test, 4) };
}

export async function textCurve(kind: Kind, seed: number): Promise<Curve> {
  const recipe = join(import.meta.dirname, "../../../../configs/pretrain/books-base.yaml");
  const { config } = loadConfig(pretrainSchema, recipe);
  const corpus = await loadCorpus(config, { log: () => {} });
  const maxLength = number("length", 8192);
  const packing = { microBatchTokens: gpu ? 32768 : 8192, microBatches: 1, maxLength };
  const validation = new PackedSource(corpus.validation, { ...packing, seed: 0, microBatches: 2 }).next()
    .microBatches;
  // Closed by the end of the process, which has no other work.
  const device = openDevice(gpu ? "cuda" : "cpu", { threads: number("threads", 0) || undefined });
  const vocabSize = corpus.tokenizer.vocabSize;
  const sizes = { ...textSizes, vocabSize, dtype, maxSeqLen: maxLength } as const;
  const model = new Transformer(device, resolveModelConfig({ ...config.model, ...sizes, attention: kind }));
  model.parameters.init(seed);
  const source = new PackedSource(corpus.train, { ...packing, seed });
  const steps = number("text-steps", 300);
  const curve = train("text", kind, seed, model, {
    steps,
    every: Math.ceil(steps / 10),
    trainer: { optimizer: { lr: 2e-3 }, schedule: { kind: "cosine", warmupSteps: 50 } },
    batch: () => source.next(),
    measure: (trainer) => trainer.evaluate(validation).loss,
    enough: () => false,
  });
  if (kind === "nsa") curve.overlap = selectionOverlap(model, validation[0]!, 4);
  corpus.close();
  return curve;
}
