// The GRPO loss as the trainer calls it: policy objective, KL to the reference, and what the step tells about them.
import type { Batch } from "@nsa/core";
import type { Tensor } from "@nsa/kernels";
import type { LossContext, LossFunction } from "@nsa/train";
import { isOutside, ratioDiagnostics, segmentMeans } from "../../algorithm/diagnostics.ts";
import { klValue } from "../../algorithm/kl.ts";
import { policyLoss, policyLosses } from "../../algorithm/losses.ts";
import { outputsOf } from "./batch.ts";
import type { GrpoConfig } from "./config.ts";

const mean = (xs: Float64Array) => xs.reduce((a, b) => a + b, 0) / Math.max(1, xs.length);

/** The entries of the output tokens. */
function outputTokens(batch: Batch, values: ArrayLike<number>): Float64Array {
  return Float64Array.from(outputsOf(batch, values).flat());
}

/**
 * `onPolicy`: the batch was sampled from these very weights, so π_old = π_θ and the ratio is 1 by construction.
 * `totalTokens`: those of the update, for means over its micro-batches. `onOldLogp` gets log π_old of each output's tokens.
 */
export function grpoLoss(
  config: GrpoConfig["algorithm"],
  options: {
    onPolicy: boolean;
    totalTokens: number;
    onOldLogp?: ((id: number, logp: number[]) => void) | undefined;
    /** Log-probabilities over the kept ids in place of full-vocabulary ones. */
    support?: ((batch: Batch, context: LossContext) => Tensor) | undefined;
  },
): LossFunction {
  return (batch, c) => {
    const { math: m, entropy, device } = c;
    const logp = options.support?.(batch, c) ?? c.logp;
    const oldLogp = options.onPolicy ? m.detach(logp) : c.column("old_logp");
    const advantage = c.column("advantage");
    const klInLoss = config.klCoef > 0 && config.klPlacement === "loss";
    const corrected = config.samplerCorrection === "truncate";
    const n = batch.cuSeqlens.length - 1;
    const lengths = outputsOf(batch, batch.targets).map((output) => output.length);
    const inverse = Float32Array.from(lengths, (length) => 1 / Math.max(1, length));
    const inputs = {
      logp,
      oldLogp,
      advantage,
      refLogp: klInLoss ? c.column("ref_logp") : undefined,
      samplerLogp: corrected ? c.column("sampler_logp") : undefined,
      weight: m.mul(c.weight, 1 / c.weightSum),
      cuSamples: device.docs.cuSeqlens,
      inverseLengths: logp.device.from(inverse, [n], logp.dtype),
    };
    const loss = policyLoss(m, inputs, { ...config, kind: config.loss });
    const values = outputTokens(batch, logp.read());
    const oldRows = outputsOf(batch, oldLogp.read());
    if (options.onOldLogp)
      for (const [n, row] of oldRows.entries()) options.onOldLogp(batch.sampleIds[n]!, row);
    const old = Float64Array.from(oldRows.flat());
    const sampler = outputTokens(batch, batch.columns!.sampler_logp!);
    const logRatio = values.map((x, t) => x - old[t]!);
    const d = ratioDiagnostics(
      policyLosses.get(config.loss).ratioOver === "sequence" ? segmentMeans(logRatio, lengths) : logRatio,
      outputTokens(batch, batch.columns!.advantage!),
      config.clipEpsLow,
      config.clipEpsHigh,
    );
    // Of π_old: what the sampler should have had.
    const difference = old.map((x, t) => Math.abs(x - sampler[t]!));
    const metrics: Record<string, number> = {};
    if (klInLoss) {
      const ref = outputTokens(batch, batch.columns!.ref_logp!);
      metrics["kl/mean"] = mean(values.map((x, t) => klValue(x, ref[t]!, "k3")));
    }
    Object.assign(metrics, {
      "policy/entropy": mean(outputTokens(batch, entropy.read())),
      "policy/ratio_mean": d.ratioMean,
      "policy/ratio_outside_share": d.outsideShare,
      "policy/sampler_ratio_outside_share": mean(
        old.map((x, t) => (isOutside(Math.exp(x - sampler[t]!)) ? 1 : 0)),
      ),
      "policy/clip_fraction_low": d.clipFractionLow,
      "policy/clip_fraction_high": d.clipFractionHigh,
      "policy/sampler_difference_mean": mean(difference),
    });
    // Micro-batches are summed: each gives its tokens' share of the update's means.
    const share = values.length / Math.max(1, options.totalTokens);
    for (const name of Object.keys(metrics)) metrics[name]! *= share;
    metrics["policy/ratio_max"] = d.ratioMax;
    metrics["policy/sampler_difference_max"] = difference.reduce((a, b) => Math.max(a, b), 0);
    return { loss, metrics };
  };
}
