// Heads with one number a position: reward models (`scalar`), and a policy that estimates values beside its log-probabilities
// (`lm_scalar`, the shared trunk of PPO). The weight is `score.weight` [1, D], as sequence classifiers of Hugging Face name it, without
// a bias; it begins at 0, so that every first value is 0 (probability ½) whatever the text.
import { scalarHead, type Tensor } from "@nsa/kernels";
import type { WeightSpec } from "../parameters/weight-spec.ts";
import type { HeadKind, HeadOutputs } from "./kind.ts";
import { lm } from "./lm.ts";

export type ScalarOutputs = {
  /** The number of each row, fp32; 0 where there is none, [T]. */
  value: Tensor;
};

const score = (dModel: number): WeightSpec => ({
  key: "score",
  shape: [1, dModel],
  parts: [{ name: "score.weight", shape: [1, dModel], offset: 0 }],
  decay: false,
  init: { kind: "constant", value: 0 },
  matrix: true,
  offset: 0,
});

export const scalar: HeadKind = {
  name: "scalar",
  weights: (c) => [score(c.dModel)],
  forward: (tape, { hidden, weight }): HeadOutputs => ({ value: scalarHead(tape, hidden, weight("score")) }),
  logits: () => 0,
};

export const lmScalar: HeadKind = {
  name: "lm_scalar",
  weights: (c) => [...lm.weights(c), score(c.dModel)],
  forward: (tape, inputs, options) => ({
    ...lm.forward(tape, inputs, options),
    ...scalar.forward(tape, inputs, options),
  }),
  logitsWeight: lm.logitsWeight,
  logits: lm.logits,
};
