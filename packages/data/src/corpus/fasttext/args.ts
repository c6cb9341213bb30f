// Settings of a supervised fastText classifier, and their order in upstream's `.bin` header.
import { z } from "zod";

export const FastTextConfig = z.strictObject({
  dim: z.int().min(1).default(256).describe("Size of the word vectors (DeepSeekMath §2.1: 256)."),
  lr: z.number().positive().default(0.1).describe("Initial learning rate; falls linearly to 0 (paper: 0.1)."),
  wordNgrams: z.int().min(1).default(3).describe("Longest word n-gram (paper: 3)."),
  minCount: z.int().min(1).default(3).describe("Least occurrences for a word to get its own row (paper: 3)."),
  epoch: z.int().min(1).default(3).describe("Passes over the training text (paper: 3)."),
  bucket: z.int().min(1).default(2_000_000).describe("Rows shared by the hashed n-grams (fastText default)."),
  seed: z.int().min(0).default(1).describe("Seed of the input matrix."),
  engine: z
    .enum(["auto", "native", "typescript"])
    .default("auto")
    .describe("Who trains and scores; auto is native where it has been built."),
  threads: z
    .int()
    .min(1)
    .default(1)
    .describe("Native training threads; more than 1 shares the matrix without locks and is not repeatable."),
});
export type FastTextConfig = z.infer<typeof FastTextConfig>;

/** Upstream's `Args`, the fields that a `.bin` stores. */
export interface FastTextArgs {
  dim: number;
  ws: number;
  epoch: number;
  minCount: number;
  neg: number;
  wordNgrams: number;
  /** 1 hierarchical softmax, 2 negative sampling, 3 softmax, 4 one-vs-all. */
  loss: number;
  /** 1 cbow, 2 skip-gram, 3 supervised. */
  model: number;
  bucket: number;
  minn: number;
  maxn: number;
  lrUpdateRate: number;
  t: number;
}

export const ARG_ORDER = [
  "dim",
  "ws",
  "epoch",
  "minCount",
  "neg",
  "wordNgrams",
  "loss",
  "model",
  "bucket",
  "minn",
  "maxn",
  "lrUpdateRate",
] as const;

export const LOSS_SOFTMAX = 3;
export const MODEL_SUPERVISED = 3;

/** Upstream's `Args` for a supervised softmax model. Without n-grams there are no bucket rows. */
export function argsOf(config: FastTextConfig): FastTextArgs {
  return {
    dim: config.dim,
    ws: 5,
    epoch: config.epoch,
    minCount: config.minCount,
    neg: 5,
    wordNgrams: config.wordNgrams,
    loss: LOSS_SOFTMAX,
    model: MODEL_SUPERVISED,
    bucket: config.wordNgrams > 1 ? config.bucket : 0,
    minn: 0,
    maxn: 0,
    lrUpdateRate: 100,
    t: 1e-4,
  };
}
