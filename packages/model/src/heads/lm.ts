// The language-model head: log-probabilities of the tokens that follow. Its weight is the embedding where that is tied.
import { lmHead, type Tensor } from "@nsa/kernels";
import { matrix } from "../parameters/weight-spec.ts";
import type { HeadKind, HeadOutputs } from "./kind.ts";

export type LmOutputs = {
  /** log p(targets[t] | tokens ≤ t), 0 where there is no target, [T]. */
  logp: Tensor;
  /** Log-sum-exp of the logits and entropy, [T]; 0 where there is no target. */
  lse: Tensor;
  entropy: Tensor;
};

const logitsWeight = (c: { tieEmbeddings: boolean }) => (c.tieEmbeddings ? "embed" : "lm_head");

export const lm: HeadKind & { logitsWeight: typeof logitsWeight } = {
  name: "lm",
  weights: (c) =>
    c.tieEmbeddings
      ? []
      : [{ ...matrix("lm_head", [["lm_head.weight", c.vocabSize]], c.dModel, c.initStd), table: true }],
  forward: (tape, { hidden, targets, config, weight }, options): HeadOutputs => ({
    ...lmHead(tape, hidden, weight(logitsWeight(config)), targets, options),
  }),
  logitsWeight,
  logits: (c) => c.vocabSize,
};
