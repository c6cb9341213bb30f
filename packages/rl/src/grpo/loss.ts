// The GRPO loss as the trainer calls it: policy objective, KL to the reference, and what the step tells about them.
import type { Batch } from "@nsa/core";
import type { LossFunction } from "@nsa/model";
import { ratioDiagnostics } from "../algorithm/diagnostics.ts";
import { policyLoss } from "../algorithm/losses.ts";
import type { GrpoConfig } from "./config.ts";

/** Picks the entries of the output tokens. */
function targetsOnly(batch: Batch, values: ArrayLike<number>): Float64Array {
  const out: number[] = [];
  for (let t = 0; t < batch.targets.length; t++) if (batch.targets[t]! >= 0) out.push(values[t]!);
  return Float64Array.from(out);
}

/**
 * `onPolicy`: the batch was sampled from these very weights, so π_old = π_θ and the ratio is 1 by construction.
 * `share`: part of the update's tokens that a micro-batch of n tokens has, for means over the update.
 */
export function grpoLoss(
  config: GrpoConfig["algorithm"],
  options: { onPolicy: boolean; totalTokens: number },
): LossFunction {
  return (batch, c) => {
    const { math: m, logp, entropy, device } = c;
    const oldLogp = options.onPolicy ? m.detach(logp) : c.column("old_logp");
    const advantage = c.column("advantage");
    const withReference = config.klCoef > 0;
    const refLogp = withReference ? c.column("ref_logp") : undefined;
    const n = batch.cuSeqlens.length - 1;
    const lengths = Float32Array.from({ length: n }, (_, i) => {
      let length = 0;
      for (let t = batch.cuSeqlens[i]!; t < batch.cuSeqlens[i + 1]!; t++)
        if (batch.targets[t]! >= 0) length++;
      return 1 / Math.max(1, length);
    });
    const inputs = {
      logp,
      oldLogp,
      advantage,
      refLogp,
      weight: m.mul(c.weight, 1 / c.weightSum),
      cuSamples: device.docs.cuSeqlens,
      inverseLengths: logp.device.from(lengths, [n], logp.dtype),
    };
    const loss = policyLoss(m, inputs, { ...config, kind: config.loss });
    const values = targetsOnly(batch, logp.read());
    const old = targetsOnly(batch, oldLogp.read());
    const sampler = targetsOnly(batch, batch.columns!.sampler_logp!);
    const reference = withReference ? targetsOnly(batch, batch.columns!.ref_logp!) : undefined;
    const d = ratioDiagnostics(
      values,
      old,
      targetsOnly(batch, batch.columns!.advantage!),
      reference,
      config.clipEpsLow,
      config.clipEpsHigh,
    );
    const share = values.length / Math.max(1, options.totalTokens);
    const mean = (xs: Float64Array) => xs.reduce((a, b) => a + b, 0) / Math.max(1, xs.length);
    return {
      loss,
      metrics: {
        "policy/entropy": share * mean(targetsOnly(batch, entropy.read())),
        "policy/ratio_mean": share * d.ratioMean,
        "policy/ratio_max": d.ratioMax,
        "policy/clip_fraction_low": share * d.clipFractionLow,
        "policy/clip_fraction_high": share * d.clipFractionHigh,
        "policy/sampler_difference_max": values.reduce(
          (a, x, i) => Math.max(a, Math.abs(x - sampler[i]!)),
          0,
        ),
        ...(withReference ? { "kl/mean": share * d.kl } : {}),
      },
    };
  };
}
