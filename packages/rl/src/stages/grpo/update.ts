// The update after an exploration: mini-batches and inner epochs over what was prepared.
import { Rng } from "@nsa/core";
import { fingerprint } from "@nsa/kernels";
import type { Trainer } from "@nsa/train";
import { policyStep } from "./batch.ts";
import type { GrpoConfig } from "./config.ts";
import { isOnPolicy, type Lesson } from "./learn.ts";
import { grpoLoss } from "./loss.ts";

const MINI_BATCH_STREAM = 43;

/** What is noted of a step's updates, for the record of its rollouts. */
export interface UpdateNotes {
  /** log π_old of each output's tokens, by the sample's `id`. */
  oldLogp: Map<number, readonly number[]>;
  /** Fingerprint of the gradient of each update. */
  gradients: string[];
}

/** Runs the step's updates; metrics are means over them. Nothing to learn from leaves the policy as it is. */
export function update(
  trainer: Trainer,
  { samples, weightSum, metrics: prepared }: Lesson,
  config: GrpoConfig,
  step: number,
  notes?: UpdateNotes,
): Record<string, number> {
  const { algorithm: a, rollout: r } = config;
  if (samples.length === 0) return prepared;
  const onPolicy = isOnPolicy(a);
  const rng = new Rng(config.seed, MINI_BATCH_STREAM);
  const onOldLogp = notes && ((id: number, logp: readonly number[]) => notes.oldLogp.set(id, logp));
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
      const metrics = trainer.step(stepBatch, grpoLoss(a, { onPolicy, totalTokens, onOldLogp }), {
        temperature: r.temperature,
      });
      notes?.gradients.push(fingerprint(trainer.model.parameters.gradients!));
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
