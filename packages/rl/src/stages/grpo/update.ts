// The update after a rollout: mini-batches and inner epochs over the samples of its update batch.
import { type Batch, Rng } from "@nsa/core";
import { type Collectives, fingerprint, type Tensor } from "@nsa/kernels";
import type { LmOutputs, ScalarOutputs, Transformer } from "@nsa/model";
import {
  type AnyLoss,
  gatherValues,
  type LossContext,
  type LossFunction,
  shareOfStep,
  type Trainer,
} from "@nsa/train";
import { type PolicySample, policyStep } from "./batch.ts";
import type { GrpoConfig } from "./config.ts";
import { isOnPolicy, type UpdateBatch } from "./learn.ts";
import { grpoLoss } from "./loss.ts";
import { supportLogpOf } from "./support.ts";
import { valueLoss } from "./value/loss.ts";
import type { ValueModel } from "./value/value-model.ts";

const MINI_BATCH_STREAM = 43;

/** The loss of the policy's trainer: with a shared trunk also that of the values, alone while they warm up. Undefined: no update. */
export function lossOf({ value }: GrpoConfig, policy: LossFunction, warming: boolean): AnyLoss | undefined {
  if (!value?.shared) return warming ? undefined : policy;
  const values = valueLoss(value.clip);
  const both: LossFunction<LossContext<LmOutputs & ScalarOutputs>> = (batch, context) => {
    const { math: m } = context;
    const own = m.mul(values(batch, context).loss, value.coef);
    const metrics = { "value/loss": m.mul(m.detach(own), 1 / value.coef) };
    if (warming) return { loss: own, metrics };
    const { loss, metrics: others, rows } = policy(batch, context);
    return { loss: m.add(loss, own), metrics: { ...others, ...metrics }, rows };
  };
  return Object.assign(both, warming ? {} : { figures: policy.figures }) as AnyLoss;
}

/** What is noted of a step's updates, for the record of its rollouts. */
export interface UpdateNotes {
  /** log π_old of each output's tokens, by the sample's `id`. */
  oldLogp: Map<number, readonly number[]>;
  /** Fingerprint of the gradient of each update, where they are recorded. */
  gradients?: string[];
}

/** Each rank's notes of its own outputs, on every rank. */
export function shareNotes(collectives: Collectives, { oldLogp }: UpdateNotes): void {
  if (collectives.world === 1) return;
  for (const entries of gatherValues(collectives, [...oldLogp]))
    for (const [id, logp] of entries) oldLogp.set(id, logp);
}

export interface UpdateOptions {
  step: number;
  /** Learns its values from the same samples. */
  value?: ValueModel | undefined;
  notes?: UpdateNotes | undefined;
}

/** What a loss takes log-probabilities over the kept ids by; undefined where they are full-vocabulary. */
export function supportLossOf(
  model: Transformer,
  samples: readonly PolicySample[],
  { rollout }: Pick<GrpoConfig, "rollout">,
) {
  if (!rollout.replaySupport) return undefined;
  const byId = new Map(samples.map((s) => [s.id, s]));
  return (batch: Batch, { tape, hidden }: LossContext): Tensor =>
    supportLogpOf(model, tape, hidden, batch, byId, rollout.temperature);
}

/** Runs the step's updates, of which each rank does its share of the micro-batches; metrics are means over them. Nothing to learn from leaves the policy as it is. */
export function update(
  trainer: Trainer,
  { samples, weightSum, metrics: prepared }: UpdateBatch,
  config: GrpoConfig,
  { step, value, notes }: UpdateOptions,
): Record<string, number> {
  const { algorithm: a, rollout: r } = config;
  if (samples.length === 0) return prepared;
  const onPolicy = isOnPolicy(a);
  const warming = step <= (config.value?.warmupSteps ?? 0);
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
      const share = weightSum * (part.length / samples.length);
      const whole = policyStep(part, config.microBatchTokens, share);
      const stepBatch = shareOfStep(whole, trainer.collectives);
      const support = supportLossOf(trainer.model, part, config);
      const loss = lossOf(config, grpoLoss(a, { onPolicy, totalTokens, onOldLogp, support }), warming);
      const metrics = {
        ...(loss ? trainer.step(stepBatch, loss, { temperature: r.temperature, scheduleStep: step }) : {}),
        ...value?.update(part, share, step),
      };
      if (loss) notes?.gradients?.push(fingerprint(trainer.model.parameters.gradients!));
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
