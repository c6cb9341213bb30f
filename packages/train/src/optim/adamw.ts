// AdamW (arXiv 1711.05101) over the flat buffers; with bf16 moments each tensor is rounded by random numbers of its own.
import type { Tensor } from "@nsa/kernels";
import { streamOf } from "@nsa/model";
import type { OptimizerContext, OptimizerKind } from "./kind.ts";

/** AdamW on elements [from, to) of the flat buffers. `seed`: the random stream that rounds bf16 moments. */
export function adamwRange(
  { device, parameters, config, state, buffers }: OptimizerContext,
  from: number,
  to: number,
  weightDecay: number,
  seed = 0,
): void {
  if (from === to) return;
  const { flat, low } = parameters;
  const cut = (t: Tensor) => t.view(from, [to - from]);
  device.run("adamw", {
    p: cut(flat),
    g: cut(parameters.gradients!),
    m: cut(buffers.m!),
    v: cut(buffers.v!),
    p_low: low && cut(low),
    state,
    lr_mult: 1,
    beta1: config.beta1,
    beta2: config.beta2,
    eps: config.eps,
    weight_decay: weightDecay,
    seed,
  });
}

export const adamw: OptimizerKind = {
  name: "adamw",
  onDevice: true,
  buffers: ({ stateDtype }, master) => {
    const dtype = stateDtype === "bf16" ? "bf16" : master;
    return { m: dtype, v: dtype };
  },
  apply(context) {
    const { config, parameters } = context;
    const { layout } = parameters;
    if (config.stateDtype === "bf16") {
      for (const w of layout.weights) {
        const numel = w.shape.reduce((a, b) => a * b, 1);
        const decay = w.decay ? config.weightDecay : 0;
        adamwRange(context, w.offset, w.offset + numel, decay, streamOf(w.key));
      }
      return;
    }
    adamwRange(context, 0, layout.decayNumel, config.weightDecay);
    adamwRange(context, layout.decayNumel, layout.numel, 0);
  },
};
