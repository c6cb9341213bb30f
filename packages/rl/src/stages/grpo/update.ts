// The update after a rollout: mini-batches and inner epochs over the samples of its update batch.
import { Rng } from "@nsa/core";
import type { Trainer } from "@nsa/train";
import { policyStep } from "./batch.ts";
import type { GrpoConfig } from "./config.ts";
import { isOnPolicy, type UpdateBatch } from "./learn.ts";
import { grpoLoss } from "./loss.ts";

const MINI_BATCH_STREAM = 43;

/** Runs the step's updates; metrics are means over them. Nothing to learn from leaves the policy as it is. */
export function update(
  trainer: Trainer,
  { samples, weightSum, metrics: prepared }: UpdateBatch,
  config: GrpoConfig,
  step: number,
): Record<string, number> {
  const { algorithm: a, rollout: r } = config;
  if (samples.length === 0) return prepared;
  const onPolicy = isOnPolicy(a);
  const rng = new Rng(config.seed, MINI_BATCH_STREAM);
  const sums: Record<string, number> = {};
  let updates = 0;
  for (let epoch = 0; epoch < a.innerEpochs; epoch++) {
    const order = a.miniBatches === 1 ? samples : rng.shuffle(samples, step * 1024 + epoch);
    const size = Math.ceil(order.length / a.miniBatches);
    for (let b = 0; b < order.length; b += size) {
      const part = order.slice(b, b + size);
      const totalTokens = part.reduce((n, s) => n + s.ids.length, 0);
      // Every mini-batch is divided by its share of the whole, so that the mean over mini-batches is the plain loss.
      const stepBatch = policyStep(part, config.microBatchTokens, weightSum * (part.length / samples.length));
      const metrics = trainer.step(stepBatch, grpoLoss(a, { onPolicy, totalTokens }), {
        temperature: r.temperature,
      });
      updates++;
      for (const [name, value] of Object.entries(metrics)) {
        sums[name] = name.endsWith("_max")
          ? Math.max(sums[name] ?? Number.NEGATIVE_INFINITY, value)
          : (sums[name] ?? 0) + value;
      }
    }
  }
  for (const name of Object.keys(sums)) if (!name.endsWith("_max")) sums[name]! /= updates;
  return { ...sums, ...prepared };
}
