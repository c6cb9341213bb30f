// AdamW (arXiv 1711.05101) over the flat buffers; with bf16 moments each tensor is rounded by random numbers of its own.
import type { Tensor } from "@nsa/kernels";
import { streamOf } from "@nsa/model";
import type { OptimizerContext, OptimizerKind } from "./kind.ts";

/** What differs between ranges of one update. */
export interface RangeSettings {
  weightDecay: number;
  lrMultiplier: number;
  /** The random stream that rounds bf16 moments. */
  seed?: number;
}

/** AdamW on elements [from, to) of the flat buffers. */
export function adamwRange(
  { device, parameters, config, state, buffers }: OptimizerContext,
  from: number,
  to: number,
  { weightDecay, lrMultiplier, seed = 0 }: RangeSettings,
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
    lr_mult: lrMultiplier,
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
    for (const { weights, from, decayTo, to, weightDecay, lrMultiplier } of context.groups) {
      if (context.config.stateDtype === "bf16") {
        for (const w of weights) {
          const numel = w.shape.reduce((a, b) => a * b, 1);
          const decay = w.decay ? weightDecay : 0;
          const settings = { weightDecay: decay, lrMultiplier, seed: streamOf(w.key) };
          adamwRange(context, w.offset, w.offset + numel, settings);
        }
        continue;
      }
      adamwRange(context, from, decayTo, { weightDecay, lrMultiplier });
      adamwRange(context, decayTo, to, { weightDecay: 0, lrMultiplier });
    }
  },
};
