// One face for the native and the TypeScript classifier: train to a file, score many lines.
import { NsaError } from "@nsa/core";
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

/** Trains on a text file (`__label__x word …` a line) and writes an upstream-compatible `.bin`. */
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
    try {
      return nativeAddon().trainFastText(text, out, options);
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
  }
  let loss = 0;
  const model = trainFastText(text, config, (p) => {
    loss = p.loss;
  });
  writeModel(out, model);
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
    return { score: (lines) => scorer.scoreLines(lines) };
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
      return Float32Array.from(
        { length: all.length / labels.length },
        (_, i) => all[i * labels.length + index]!,
      );
    },
  };
}
