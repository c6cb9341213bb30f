// Values in an update: the estimates that advantages are made of, the returns that the value model learns, whitened advantages.
import type { Metrics } from "@nsa/core";
import { MIN_STD, meanStd, type SampleRewards } from "../../../algorithm/advantages/kind.ts";
import { advantages } from "../../../algorithm/advantages/registry.ts";
import type { PolicySample } from "../batch.ts";
import type { GrpoConfig } from "../config.ts";
import { valueMetrics } from "./figures.ts";
import type { ValueModel } from "./value-model.ts";

/** Shifts and scales all tokens' advantages to mean 0 and population deviation 1; equal ones become 0. */
export function whiten(samples: readonly PolicySample[]): void {
  const { mean, std } = meanStd(samples.flatMap(({ advantage }) => [...advantage]));
  for (const { advantage } of samples)
    for (let t = 0; t < advantage.length; t++)
      advantage[t] = std < MIN_STD ? 0 : (advantage[t]! - mean) / std;
}

/**
 * Sets the advantages of all samples; with a value model also old values and returns (advantage + value, before whitening) of those that
 * have a weight. Returns figures of the values.
 */
export function setAdvantages(
  samples: readonly PolicySample[],
  rewards: readonly SampleRewards[],
  { algorithm, value: settings }: Pick<GrpoConfig, "algorithm" | "value">,
  model?: ValueModel,
): Metrics {
  const used = samples.filter(({ weight }) => weight > 0);
  if (model)
    for (const [i, values] of model.valuesOf(used).entries()) used[i]!.oldValue = Float32Array.from(values);
  const none = (length: number) => new Float32Array(length);
  const valued = model
    ? rewards.map((r, i) => ({ ...r, values: samples[i]!.oldValue ?? none(r.length) }))
    : rewards;
  const by = { gamma: algorithm.gaeGamma, lambda: algorithm.gaeLambda };
  for (const [i, advantage] of advantages(valued, algorithm.advantage, by).entries())
    samples[i]!.advantage = advantage;
  if (!model) return {};
  for (const s of used) s.returns = s.advantage.map((a, t) => a + s.oldValue![t]!);
  const metrics = valueMetrics(
    used.map(({ oldValue, returns }) => ({ values: oldValue!, returns: returns! })),
  );
  if (settings?.whiten) whiten(used);
  return metrics;
}
