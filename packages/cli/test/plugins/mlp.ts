// A plugin for tests: the SwiGLU MLP with a loss of its own on the size of its hidden layer.
import type { Plugin } from "@nsa/core";
import { linear, swigluDown, TensorMath } from "@nsa/kernels";
import { type MlpKind, matrix } from "@nsa/model";

export default {
  kind: "mlp",
  name: "quiet_swiglu",
  weights: (c, prefix, residualStd) => [
    matrix(
      `${prefix}gate_up`,
      [
        [`${prefix}gate_proj.weight`, c.dFf],
        [`${prefix}up_proj.weight`, c.dFf],
      ],
      c.dModel,
      c.initStd,
    ),
    matrix(`${prefix}down`, [[`${prefix}down_proj.weight`, c.dModel]], c.dFf, residualStd),
  ],
  forward(tape, layer, normed, residual) {
    const hidden = linear(tape, normed, layer.weight("mlp.gate_up"));
    const m = new TensorMath(tape);
    const aux = m.mul(m.sum(m.square(hidden)), 1 / hidden.numel);
    return { y: swigluDown(tape, hidden, layer.weight("mlp.down"), residual, true), aux };
  },
  memory: (c) => ({ kept: 3 * c.dFf, live: c.dFf }),
} satisfies Plugin<"mlp", MlpKind>;
