// One face for the native and the TypeScript classifier: train to a file, score many lines.
import { closeSync, openSync, readSync } from "node:fs";
import { ExitCode, NsaError } from "@nsa/core";
import { hasNative, nativeAddon } from "../../native.ts";
import type { FastTextConfig } from "./args.ts";
import { CollapsedScorer, collapseFile } from "./collapse.ts";
import { writeModel } from "./model.ts";
import { trainFastText } from "./train.ts";

export type Engine = "native" | "typescript";

/** `auto` is native where the addon has been built. */
export function resolveEngine(engine: Engine | "auto"): Engine {
  if (engine === "auto") return hasNative() ? "native" : "typescript";
  if (engine === "native") nativeAddon();
  return engine;
}

export interface TrainedFigures {
  words: number;
  tokens: number;
  loss: number;
}

/** Bytes of training text that a trained classifier is tried on. */
const TRIAL_BYTES = 1 << 18;

function diverged(why: string, cause?: unknown): NsaError {
  return new NsaError({
    code: "classifier_diverged",
    what: "the classifier has no finite probabilities",
    why,
    fix: "lower `fasttext.lr` (0.1 to 0.5 is usual) or `fasttext.epoch`",
    exitCode: ExitCode.diverged,
    cause,
  });
}

/** Throws `classifier_diverged` (exit 5) when a score is no number. */
function checkFinite(scores: Float32Array): Float32Array {
  for (const score of scores)
    if (!Number.isFinite(score))
      throw diverged("a page's score is not a number: the weights grew without bound in training");
  return scores;
}

/** Tries a trained model on the beginning of its own text. */
function checkTrained(text: string, out: string, loss: number, engine: Engine): void {
  if (!Number.isFinite(loss)) throw diverged(`the training loss is ${loss}`);
  const bytes = Buffer.alloc(TRIAL_BYTES);
  const fd = openSync(text, "r");
  const read = readSync(fd, bytes, 0, TRIAL_BYTES, 0);
  closeSync(fd);
  const head = bytes.subarray(0, read);
  const last = head.lastIndexOf(10);
  const label = /^__label__(\S+)/.exec(head.toString("utf8", 0, 200))?.[1];
  if (label !== undefined && last >= 0) openScorer(out, label, engine).score(head.subarray(0, last + 1));
}

/**
 * Trains on a text file (`__label__x word …` a line) and writes an upstream-compatible `.bin`. Throws
 * `classifier_diverged` (exit 5) where the result scores no page. */
export function trainToFile(
  text: string,
  out: string,
  config: FastTextConfig,
  engine: Engine,
): TrainedFigures {
  if (engine === "native") {
    const { wordNgrams, bucket } = config;
    const options = {
      dim: config.dim,
      wordNgrams: wordNgrams,
      minCount: config.minCount,
      epoch: config.epoch,
      bucket: wordNgrams > 1 ? bucket : 0,
      lr: config.lr,
      seed: config.seed,
      threads: config.threads,
    };
    let trained: TrainedFigures;
    try {
      trained = nativeAddon().trainFastText(text, out, options);
    } catch (cause) {
      throw new NsaError({
        code: "fasttext_train",
        what: "training the classifier failed",
        why: (cause as Error).message,
        fix: "check the seeds: both positive and negative pages are needed, and memory for (words + bucket) × dim × 4 bytes",
        exitCode: 3,
        cause,
      });
    }
    checkTrained(text, out, trained.loss, engine);
    return trained;
  }
  let loss = 0;
  const model = trainFastText(text, config, (p) => {
    loss = p.loss;
  });
  writeModel(out, model);
  checkTrained(text, out, loss, engine);
  return { words: model.dictionary.nwords, tokens: model.dictionary.ntokens, loss };
}

export interface LineScorer {
  /** Probability of the positive label for each newline-ended line. */
  score(lines: Uint8Array): Float32Array;
}

/** Opens a `.bin` for scoring in bounded memory. Throws NsaError when it is no such model or lacks the label. */
export function openScorer(path: string, positive: string, engine: Engine): LineScorer {
  if (engine === "typescript") {
    const scorer = new CollapsedScorer(collapseFile(path), positive);
    return { score: (lines) => checkFinite(scorer.scoreLines(lines)) };
  }
  const addon = nativeAddon();
  let model: object;
  try {
    model = addon.openCollapsed(path);
  } catch (cause) {
    throw new NsaError({
      code: "fasttext_model_bad",
      what: `cannot read the fastText model ${path}`,
      why: (cause as Error).message,
      fix: "give a supervised softmax model (.bin, not quantized)",
      exitCode: 3,
      cause,
    });
  }
  const labels = addon.labelsOf(model);
  const index = labels.indexOf(positive);
  if (index < 0) {
    throw new NsaError({
      code: "fasttext_label_unknown",
      what: `the model has no label ${positive}`,
      why: `its labels are ${labels.join(", ")}`,
      fix: "set `positive_label` to one of them",
      exitCode: 2,
    });
  }
  return {
    score(lines) {
      const all = addon.scoreLines(model, lines);
      const wanted = { length: all.length / labels.length };
      return checkFinite(Float32Array.from(wanted, (_, i) => all[i * labels.length + index]!));
    },
  };
}
