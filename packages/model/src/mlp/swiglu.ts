// The SwiGLU MLP of Llama: down(silu(gate(x)) · up(x)).
import { swigluDown } from "@nsa/kernels";
import { adapterSize } from "../adapter/config.ts";
import type { ModelConfig } from "../config/schema.ts";
import { asLinear, matrix } from "../parameters/weight-spec.ts";
import type { MlpKind } from "./kind.ts";

/** Hidden layers of all MLPs that are kept for the backward; more than this are made again, 1 % of a step's time. */
const HIDDEN_BUDGET = 2.5 * 2 ** 30;

/** Whether a micro-batch of T tokens keeps the MLPs' hidden layers. Bits do not depend on it. */
export function keepsHidden(c: ModelConfig, T: number): boolean {
  return c.numLayers * T * c.dFf * (c.dtype === "bf16" ? 2 : 4) <= HIDDEN_BUDGET;
}

/** Whether a gradient of the projection down reads the hidden layer: its weight's, or that of adapters it has in some layer. */
const learnsDown = ({ lora, numLayers }: ModelConfig) =>
  !lora ||
  Array.from({ length: numLayers }, (_, i) => `model.layers.${i}.mlp.down_proj`).some((path) =>
    adapterSize(lora, path),
  );

export const swiglu: MlpKind = {
  name: "swiglu",
  weights: (c, prefix, residualStd) => [
    asLinear(
      matrix(
        `${prefix}gate_up`,
        [
          [`${prefix}gate_proj.weight`, c.dFf],
          [`${prefix}up_proj.weight`, c.dFf],
        ],
        c.dModel,
        c.initStd,
      ),
    ),
    asLinear(matrix(`${prefix}down`, [[`${prefix}down_proj.weight`, c.dModel]], c.dFf, residualStd)),
  ],
  forward(tape, layer, normed, residual) {
    const gateUp = layer.linear(tape, normed, "mlp.gate_up");
    const keep = keepsHidden(layer.config, normed.shape[0]!);
    const adapter = layer.adapter("mlp.down");
    return { y: swigluDown(tape, gateUp, layer.weight("mlp.down"), residual, keep, adapter) };
  },
  memory: (c, T) => ({ kept: (keepsHidden(c, T) && learnsDown(c) ? 3 : 2) * c.dFf, live: c.dFf }),
};
