// Does NSA learn what full attention learns? Text at equal tokens over seeds, and recall beyond any window.
//
// `pnpm bench nsa-learning --device cuda|cpu [--part recall,text] [--kinds nsa,full,window] [--seeds 3] [--out file]
//  [--length 4096] [--text-steps 400] [--recall-length 2048] [--recall-steps 3000]`; the text is that of
// configs/pretrain/books-base.yaml ($NSA_DATA or ../shared/data).
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { atLeast, atMost, type BenchResult, describeMachine, loadConfig } from "@nsa/core";
import { PackedSource } from "@nsa/data";
import {
  crossEntropy,
  type ModelConfigInput,
  openDevice,
  resolveModelConfig,
  Trainer,
  Transformer,
  trainFlops,
} from "@nsa/model";
import { loadCorpus, pretrainSchema } from "../src/pretrain/index.ts";
import { type RecallTask, recallAccuracy, recallBatch, recallVocabulary } from "./support/recall.ts";

const words: string[] = JSON.parse(process.env.NSA_BENCH_ARGS ?? "[]");
const option = (name: string, fallback: string) =>
  words.includes(`--${name}`) ? words[words.indexOf(`--${name}`) + 1]! : fallback;
const number = (name: string, fallback: number) => Number(option(name, `${fallback}`));

const KINDS = ["nsa", "full", "window"] as const;
type Kind = (typeof KINDS)[number];
const kinds = KINDS.filter((k) => option("kinds", KINDS.join()).split(",").includes(k));

/** One point of a curve: tokens, FLOPs and seconds of training so far, and what was measured there. */
interface Point {
  tokens: number;
  flops: number;
  seconds: number;
  value: number;
}

interface Curve {
  part: "text" | "recall";
  kind: Kind;
  seed: number;
  parameters: number;
  readShare: number;
  /** text: validation loss in nats per token; recall: share of far questions answered. */
  points: Point[];
  /** Recall with the selection gate at zero. */
  muted?: number;
}

const gpu = option("device", "cuda") !== "cpu";
/** Longest document of the text, and a sequence of the recall task. */
const textLength = number("length", 4096);
const recallLength = number("recall-length", Math.min(2048, textLength));
const seeds = Array.from({ length: number("seeds", 3) }, (_, i) => i + 1);
const dtype = gpu ? "bf16" : "fp32";
/** n·l' + w = 8·64 + 256 = 768 from 2,048 tokens on; shorter trials shrink in proportion. */
function nsaSizes(length: number) {
  const short = length < 1024;
  return {
    blockSize: short ? 16 : 32,
    stride: short ? 8 : 16,
    selectionBlockSize: short ? 16 : 64,
    numSelectedBlocks: 8,
    windowSize: Math.round(Math.min(256, length / 8)),
  };
}

const task: RecallTask = {
  keys: number("keys", 64),
  values: 16,
  fillers: 32,
  length: recallLength,
  // The first selection block is read by force, so facts there would need no choice.
  from: nsaSizes(recallLength).selectionBlockSize,
};
const recallModel: ModelConfigInput = {
  // Two layers see 2·(w − 1) tokens back through windows alone, so what lies further than 2w is out of their reach.
  numLayers: 2,
  dModel: number("width", 256),
  numHeads: 4,
  numKvHeads: 1,
  dFf: 512,
  vocabSize: recallVocabulary(task),
  maxSeqLen: recallLength,
  tieEmbeddings: true,
  dtype,
  ...nsaSizes(recallLength),
};

const mean = (x: number[]) => (x.length === 0 ? null : x.reduce((a, b) => a + b, 0) / x.length);

/** Trains one model, measuring every `every` steps; `value` may end the run by returning null. */
function train(
  part: Curve["part"],
  kind: Kind,
  seed: number,
  model: Transformer,
  settings: { lr: number; steps: number; every: number; total: number; kind: "cosine" | "constant" },
  step: (i: number) => Parameters<Trainer["step"]>[0],
  measure: (trainer: Trainer) => number,
  enough: (points: Point[]) => boolean,
): Curve {
  const trainer = new Trainer(model, settings.total, {
    optimizer: { lr: settings.lr },
    schedule: { kind: settings.kind, warmupSteps: 50 },
    logitsBudgetMb: gpu ? 2048 : 64,
  });
  const flops = trainFlops(model.config, model.config.maxSeqLen);
  const { parameterCount: parameters } = model.parameters.layout;
  const curve: Curve = {
    part,
    kind,
    seed,
    parameters,
    readShare: flops.readShare,
    points: [],
  };
  let [tokens, seconds] = [0, 0];
  for (let i = 0; i < settings.steps; i++) {
    const from = performance.now();
    const metrics = trainer.step(step(i), crossEntropy);
    seconds += (performance.now() - from) / 1e3;
    tokens += metrics["train/tokens"]!;
    if ((i + 1) % settings.every && i + 1 < settings.steps) continue;
    const point = { tokens, flops: tokens * flops.actual, seconds, value: measure(trainer) };
    curve.points.push(point);
    console.error(
      `${part} ${kind} seed ${seed} step ${i + 1}: ${point.value.toFixed(4)}, loss ${metrics["train/loss"]!.toFixed(4)}, ${seconds.toFixed(1)} s`,
    );
    if (enough(curve.points)) break;
  }
  trainer.free();
  return curve;
}

function recall(kind: Kind, seed: number, steps: number): Curve {
  const device = openDevice(gpu ? "cuda" : "cpu");
  try {
    const model = new Transformer(device, resolveModelConfig({ ...recallModel, attention: kind }));
    model.parameters.init(seed);
    const rows = number("recall-rows", 16);
    const test = recallBatch(task, 8, 999, seed, true);
    const beyond = 2 * nsaSizes(recallLength).windowSize;
    const curve = train(
      "recall",
      kind,
      seed,
      model,
      { lr: number("recall-lr", 1e-3), steps, every: 100, total: steps, kind: "constant" },
      (i) => {
        const batch = recallBatch(task, rows, seed, i);
        return { microBatches: [batch], weightSum: batch.lossWeight.reduce((a, b) => a + b, 0) };
      },
      () => recallAccuracy(model, test, beyond),
      (points) => kind !== "window" && points.length > 1 && points.slice(-2).every((p) => p.value >= 0.995),
    );
    if (kind === "nsa") curve.muted = recallAccuracy(model, test, beyond, "slc");
    return curve;
  } finally {
    device.close();
  }
}

async function textRuns(save: (curve: Curve) => void): Promise<void> {
  const recipe = join(import.meta.dirname, "../../../configs/pretrain/books-base.yaml");
  const { config } = loadConfig(pretrainSchema, recipe);
  const corpus = await loadCorpus(config, { log: console.error });
  const micro = gpu ? 32768 : 4096;
  const pack = (seed: number) => ({ microBatchTokens: micro, microBatches: 1, maxLength: textLength, seed });
  const validation = new PackedSource(corpus.validation, { ...pack(0), microBatches: 2 }).next().microBatches;
  for (const seed of seeds) {
    for (const kind of kinds) {
      const device = openDevice(gpu ? "cuda" : "cpu");
      try {
        const vocabSize = corpus.tokenizer.vocabSize;
        const model = new Transformer(
          device,
          resolveModelConfig({
            ...config.model,
            ...nsaSizes(recallLength),
            vocabSize,
            dtype,
            maxSeqLen: textLength,
            attention: kind,
          }),
        );
        model.parameters.init(seed);
        const source = new PackedSource(corpus.train, pack(seed));
        const steps = number("text-steps", 400);
        save(
          train(
            "text",
            kind,
            seed,
            model,
            { lr: 2e-3, steps, every: Math.ceil(steps / 10), total: steps, kind: "cosine" },
            () => source.next(),
            (trainer) => trainer.evaluate(validation).loss,
            () => false,
          ),
        );
      } finally {
        device.close();
      }
    }
  }
  corpus.close();
}

async function run(): Promise<BenchResult> {
  const curves: Curve[] = [];
  const out = option("out", "");
  const save = (curve: Curve) => {
    curves.push(curve);
    if (out) writeFileSync(out, `${JSON.stringify({ ...summary(curves), command, curves }, null, 1)}\n`);
  };
  const command = `pnpm bench nsa-learning ${words.filter((w) => w !== "--json").join(" ")}`;
  const parts = option("part", "recall,text").split(",");
  if (parts.includes("recall")) {
    for (const seed of seeds) {
      let longest = 0;
      for (const kind of kinds) {
        const curve = recall(
          kind,
          seed,
          kind === "window" ? Math.max(longest, 200) : number("recall-steps", 3000),
        );
        longest = Math.max(longest, curve.points.length * 100);
        save(curve);
      }
    }
  }
  if (parts.includes("text")) await textRuns(save);
  return summary(curves);
}

function summary(curves: Curve[]): BenchResult {
  const last = (part: Curve["part"], kind: Kind) =>
    mean(curves.filter((c) => c.part === part && c.kind === kind).map((c) => c.points.at(-1)!.value));
  const minus = (a: number | null, b: number | null) => (a === null || b === null ? null : a - b);
  const muted = mean(curves.flatMap((c) => (c.muted === undefined ? [] : [c.muted])));
  const figures: BenchResult["figures"] = { recall_nsa_selection_gate_zero: muted, chance: 1 / task.values };
  for (const part of ["text", "recall"] as const) {
    for (const kind of KINDS) {
      figures[`${part}_${kind}`] = last(part, kind);
      const of = curves.find((c) => c.part === part && c.kind === kind);
      figures[`${part}_${kind}_read_share`] = of?.readShare ?? null;
    }
  }
  const gap = minus(last("text", "nsa"), last("text", "full"));
  return {
    name: "nsa-learning",
    machine: `${describeMachine()}; ${gpu ? "CUDA" : "CPU"}`,
    figures,
    ratios: {},
    bars: [
      atMost("text: validation loss of NSA minus full, nats", gap, 0.02),
      atMost("recall beyond 2w: window attention", last("recall", "window"), 2 / task.values),
      atLeast(
        "recall beyond 2w: NSA minus full",
        minus(last("recall", "nsa"), last("recall", "full")),
        -0.02,
      ),
      atLeast("recall lost by zeroing the selection gate", minus(last("recall", "nsa"), muted), 0.2),
    ],
  };
}

export default {
  name: "nsa-learning",
  about: "NSA, full and window attention: text at equal tokens, recall beyond the window",
  run,
};
