// A plugin for tests: the next token by an output matrix of its own, beside tied embeddings.
import type { Plugin } from "@nsa/core";
import { lmHead } from "@nsa/kernels";
import { type HeadKind, matrix } from "@nsa/model";

export default {
  kind: "head",
  name: "own_output",
  weights: (c) => [matrix("output", [["output.weight", c.vocabSize]], c.dModel, c.initStd)],
  forward: (tape, { hidden, targets, weight }, options) => ({
    ...lmHead(tape, hidden, weight("output"), targets, options),
  }),
  logitsWeight: () => "output",
  logits: (c) => c.vocabSize,
} satisfies Plugin<"head", HeadKind>;
