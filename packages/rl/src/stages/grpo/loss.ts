// The GRPO loss as the trainer calls it: policy objective and KL to the reference; and the step's figures about them.
import type { Batch } from "@nsa/core";
import type { Tensor } from "@nsa/kernels";
import type { LossContext, LossFunction } from "@nsa/train";
import { isOutside, ratioDiagnostics, segmentMeans } from "../../algorithm/diagnostics.ts";
import { klValue } from "../../algorithm/kl.ts";
import { policyLoss, policyLosses } from "../../algorithm/losses.ts";
import type { GrpoConfig } from "./config.ts";

type Rows = ArrayLike<number>;

export interface GrpoLossOptions {
  /** The batch was sampled from these very weights, so π_old = π_θ and the ratio is 1 by construction. */
  onPolicy: boolean;
  /** Tokens of the update, for means over its micro-batches. */
  totalTokens: number;
  /** Gets log π_old of each output's tokens, once the update is done. */
  onOldLogp?: ((id: number, logp: number[]) => void) | undefined;
  /** Log-probabilities over the kept ids in place of full-vocabulary ones. */
  support?: ((batch: Batch, context: LossContext) => Tensor) | undefined;
}

/** Positions of output tokens: those that have a target; and how many each output has. */
function outputPositions({ targets, cuSeqlens }: Batch): { at: Int32Array; lengths: number[] } {
  const at = new Int32Array(targets.length);
  const lengths: number[] = [];
  let count = 0;
  for (let n = 0; n + 1 < cuSeqlens.length; n++) {
    const before = count;
    for (let t = cuSeqlens[n]!; t < cuSeqlens[n + 1]!; t++) if (targets[t]! >= 0) at[count++] = t;
    lengths.push(count - before);
  }
  return { at: at.subarray(0, count), lengths };
}

/** The values at these positions. */
function gather(values: Rows, at: Int32Array): Float64Array {
  const out = new Float64Array(at.length);
  for (let i = 0; i < at.length; i++) out[i] = values[at[i]!]!;
  return out;
}

/** Mean of f over 0 … n − 1, added up in this order. */
function meanOf(n: number, f: (i: number) => number): number {
  let sum = 0;
  for (let i = 0; i < n; i++) sum += f(i);
  return sum / Math.max(1, n);
}

/** Figures of a micro-batch: entropy, ratios, clipping, KL, and how far the sampler was from π_old. Means are its share of the update's. */
function figuresOf(
  config: GrpoConfig["algorithm"],
  { onPolicy, totalTokens, onOldLogp }: GrpoLossOptions,
  batch: Batch,
  rows: Record<string, Float64Array>,
): Record<string, number> {
  const columns = batch.columns!;
  const { at, lengths } = outputPositions(batch);
  const n = at.length;
  const values = gather(rows.logp!, at);
  // On the device π_old has the precision of the losses, here as in the ratio.
  const old = onPolicy ? values : gather(columns.old_logp!, at);
  if (onOldLogp) {
    let from = 0;
    for (const [i, length] of lengths.entries()) {
      onOldLogp(batch.sampleIds[i]!, Array.from(old.subarray(from, from + length)));
      from += length;
    }
  }
  const logRatio = new Float64Array(n);
  for (let i = 0; i < n; i++) logRatio[i] = values[i]! - old[i]!;
  const overSequences = policyLosses.get(config.loss).ratioOver === "sequence";
  const d = ratioDiagnostics(
    overSequences ? segmentMeans(logRatio, lengths) : logRatio,
    gather(columns.advantage!, at),
    config.clipEpsLow,
    config.clipEpsHigh,
  );
  // Of π_old: what the sampler should have had.
  const sampler = gather(columns.sampler_logp!, at);
  let largest = 0;
  const difference = meanOf(n, (i) => {
    const x = Math.abs(old[i]! - sampler[i]!);
    largest = Math.max(largest, x);
    return x;
  });
  const metrics: Record<string, number> = {};
  if (config.klCoef > 0 && config.klPlacement === "loss") {
    const ref = gather(columns.ref_logp!, at);
    metrics["kl/mean"] = meanOf(n, (i) => klValue(values[i]!, ref[i]!, "k3"));
  }
  const entropy = gather(rows.entropy!, at);
  Object.assign(metrics, {
    "policy/entropy": meanOf(n, (i) => entropy[i]!),
    "policy/ratio_mean": d.ratioMean,
    "policy/ratio_outside_share": d.outsideShare,
    "policy/sampler_ratio_outside_share": meanOf(n, (i) =>
      isOutside(Math.exp(old[i]! - sampler[i]!)) ? 1 : 0,
    ),
    "policy/clip_fraction_low": d.clipFractionLow,
    "policy/clip_fraction_high": d.clipFractionHigh,
    "policy/sampler_difference_mean": difference,
  });
  const share = n / Math.max(1, totalTokens);
  for (const name of Object.keys(metrics)) metrics[name]! *= share;
  metrics["policy/ratio_max"] = d.ratioMax;
  metrics["policy/sampler_difference_max"] = largest;
  return metrics;
}

/** The loss of one update, and its figures. */
export function grpoLoss(config: GrpoConfig["algorithm"], options: GrpoLossOptions): LossFunction {
  const loss = (batch: Batch, c: LossContext) => {
    const { math: m, entropy, device } = c;
    const logp = options.support?.(batch, c) ?? c.logp;
    const klInLoss = config.klCoef > 0 && config.klPlacement === "loss";
    const corrected = config.samplerCorrection === "truncate";
    const { lengths } = outputPositions(batch);
    const inverse = Float32Array.from(lengths, (length) => 1 / Math.max(1, length));
    const inputs = {
      logp,
      oldLogp: options.onPolicy ? m.detach(logp) : c.column("old_logp"),
      advantage: c.column("advantage"),
      refLogp: klInLoss ? c.column("ref_logp") : undefined,
      samplerLogp: corrected ? c.column("sampler_logp") : undefined,
      weight: m.mul(c.weight, 1 / c.weightSum),
      cuSamples: device.docs.cuSeqlens,
      inverseLengths: logp.device.from(inverse, [lengths.length], logp.dtype),
    };
    return { loss: policyLoss(m, inputs, { ...config, kind: config.loss }), rows: { logp, entropy } };
  };
  return Object.assign(loss, {
    figures: (batch: Batch, rows: Record<string, Float64Array>) => figuresOf(config, options, batch, rows),
  });
}
