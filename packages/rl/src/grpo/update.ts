// The update after an exploration: π_old and π_ref where they are needed, mini-batches and inner epochs.
import { Rng } from "@nsa/core";
import { logprobs, type Trainer, type Transformer } from "@nsa/model";
import { outputsOf, type PolicySample, policyBatch, policyStep, splitByTokens } from "./batch.ts";
import type { GrpoConfig } from "./config.ts";
import { grpoLoss } from "./loss.ts";
import type { Rollout } from "./rollout.ts";

const MINI_BATCH_STREAM = 43;

/** Log-probabilities of all output tokens under a model, at the sampling temperature. */
function scoreAll(model: Transformer, samples: readonly PolicySample[], config: GrpoConfig): number[][] {
  const { temperature } = config.rollout;
  return splitByTokens(samples, config.microBatchTokens).flatMap((group) => {
    const batch = policyBatch(group);
    return outputsOf(batch, logprobs(model, batch, { temperature }).logp);
  });
}

/** Runs the step's updates; metrics are means over them. */
export function update(
  trainer: Trainer,
  rollout: Rollout,
  config: GrpoConfig,
  step: number,
  reference?: Transformer,
): Record<string, number> {
  const { algorithm: a, rollout: r } = config;
  const onPolicy = a.innerEpochs === 1 && a.miniBatches === 1;
  const samples = rollout.samples.filter((s) => s.weight > 0);
  if (samples.length === 0) return {};
  if (!onPolicy) {
    scoreAll(trainer.model, samples, config).forEach((logp, i) => {
      samples[i]!.oldLogp = logp;
    });
  }
  if (reference && a.klCoef > 0) {
    scoreAll(reference, samples, config).forEach((logp, i) => {
      samples[i]!.refLogp = logp;
    });
  }
  const rng = new Rng(config.seed, MINI_BATCH_STREAM);
  const sums: Record<string, number> = {};
  const updates = a.innerEpochs * a.miniBatches;
  for (let epoch = 0; epoch < a.innerEpochs; epoch++) {
    const order = a.miniBatches === 1 ? samples : rng.shuffle(samples, step * 1024 + epoch);
    const size = Math.ceil(order.length / a.miniBatches);
    for (let b = 0; b < order.length; b += size) {
      const part = order.slice(b, b + size);
      const totalTokens = part.reduce((n, s) => n + s.ids.length, 0);
      // Every mini-batch is divided by its share of the whole, so that the mean over mini-batches is the plain loss.
      const stepBatch = policyStep(
        part,
        config.microBatchTokens,
        rollout.weightSum * (part.length / samples.length),
      );
      const metrics = trainer.step(stepBatch, grpoLoss(a, { onPolicy, totalTokens }), {
        temperature: r.temperature,
      });
      for (const [name, value] of Object.entries(metrics)) {
        sums[name] = name.endsWith("_max")
          ? Math.max(sums[name] ?? Number.NEGATIVE_INFINITY, value)
          : (sums[name] ?? 0) + value / updates;
      }
    }
  }
  return sums;
}
