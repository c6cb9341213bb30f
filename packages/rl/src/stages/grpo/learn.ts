// From scored outputs to what the update learns from: log-probabilities of others, KL in the reward, advantages, weights.
import { type Collectives, singleRank } from "@nsa/kernels";
import { logprobs, type ReferencePolicy, type Transformer } from "@nsa/model";
import { shareItems } from "@nsa/train";
import type { SampleRewards } from "../../algorithm/advantages/kind.ts";
import { aggregationWeights } from "../../algorithm/aggregation.ts";
import { klValue } from "../../algorithm/kl.ts";
import { outputsOf, type PolicySample, policyBatch, splitByTokens } from "./batch.ts";
import type { GrpoConfig } from "./config.ts";
import type { Rollout } from "./rollout.ts";
import { samplerSupportLogp, supportOf } from "./support.ts";
import { setAdvantages } from "./value/apply.ts";
import type { ValueModel } from "./value/value-model.ts";

export interface UpdateBatch {
  /** Outputs with a weight; their advantages may still be 0. */
  samples: PolicySample[];
  /** What weighted token losses are divided by. */
  weightSum: number;
  metrics: Record<string, number>;
}

export interface RecordableBatch extends UpdateBatch {
  /** Also the samples without a weight: all outputs that were not discarded, in their order; `id` is the place in it. */
  all: PolicySample[];
}

/** Log-probabilities of all output tokens under a model, at the sampling temperature; over the kept ids where the recipe wants that. Ranks share the micro-batches. */
export function scoreAll(
  score: ReferencePolicy["logprobs"],
  samples: readonly PolicySample[],
  { rollout, microBatchTokens }: Pick<GrpoConfig, "rollout" | "microBatchTokens">,
  collectives: Collectives = singleRank,
): number[][] {
  const { temperature, replaySupport } = rollout;
  const scored = (group: readonly PolicySample[]) => {
    const batch = policyBatch(group);
    const support = replaySupport ? supportOf(batch, group, temperature) : undefined;
    return outputsOf(batch, score(batch, { temperature, support }).logp);
  };
  const groups = splitByTokens(samples, microBatchTokens);
  return shareItems(collectives, groups, (own) => own.map(scored)).flat();
}

/** The batch of one update is the very policy that sampled it. */
export function isOnPolicy({ innerEpochs, miniBatches }: GrpoConfig["algorithm"]): boolean {
  return innerEpochs === 1 && miniBatches === 1;
}

/** −β·KL of every token as rewards, and the mean KL by k3, whatever the kind. */
export function klRewards(
  samples: readonly PolicySample[],
  rewards: readonly SampleRewards[],
  { klCoef, klKind }: GrpoConfig["algorithm"],
): { rewards: SampleRewards[]; mean: number } {
  let [sum, tokens] = [0, 0];
  const out = rewards.map((r, i) => {
    const s = samples[i]!;
    const policy = s.oldLogp ?? s.samplerLogp;
    const kl = s.ids.map((_, t) => klValue(policy[t]!, s.refLogp![t]!, klKind));
    for (let t = 0; t < s.ids.length; t++) sum += klValue(policy[t]!, s.refLogp![t]!, "k3");
    tokens += s.ids.length;
    return { ...r, perToken: kl.map((x) => -klCoef * x) };
  });
  return { rewards: out, mean: sum / Math.max(1, tokens) };
}

/** What an update batch is made with besides the policy. */
export interface UpdateModels {
  reference?: ReferencePolicy | undefined;
  value?: ValueModel | undefined;
  /** Ranks that all have the rollout. */
  collectives?: Collectives;
}

/** Builds what the update learns from. Outputs that were quarantined, or truncated and masked, are left out of all sums. */
export function buildUpdateBatch(
  policy: Transformer,
  rollout: Rollout,
  config: GrpoConfig,
  { reference, value, collectives }: UpdateModels = {},
): RecordableBatch {
  const { algorithm: a, rollout: r } = config;
  const used = rollout.outputs.filter((o) => !o.discarded);
  const keep = used.map((o) => !(a.maskTruncated && o.row.finish === "length"));
  const finite = used.map((o) => Number.isFinite(o.row.reward.total));
  const { weights, sum } = aggregationWeights(
    used.map((o) => o.sample.ids.length),
    a.aggregation,
    { maxTokens: r.maxTokens, keep: keep.map((k, i) => k && finite[i]!) },
  );
  const samples = used.map(
    ({ prompt, sample }, i): PolicySample => ({
      prompt,
      ids: sample.ids,
      ...(sample.inserts ? { inserts: sample.inserts } : {}),
      weight: weights[i]!,
      advantage: new Float32Array(sample.ids.length),
      samplerLogp: r.replaySupport ? samplerSupportLogp(sample) : sample.logp,
      ...(r.replaySupport ? { kept: sample.kept! } : {}),
      id: i,
    }),
  );
  const inReward = a.klPlacement === "reward" && reference !== undefined;
  // Masked outputs still belong to their group's statistics; a KL in the reward needs theirs, too.
  const scored = inReward ? samples : samples.filter((s) => s.weight > 0);
  if (!isOnPolicy(a)) {
    for (const [i, logp] of scoreAll(
      (batch, options) => logprobs(policy, batch, options),
      scored,
      config,
      collectives,
    ).entries())
      scored[i]!.oldLogp = logp;
  }
  if (reference) {
    for (const [i, logp] of scoreAll(reference.logprobs, scored, config, collectives).entries())
      scored[i]!.refLogp = logp;
  }
  let rewards = used.map((o) => o.rewards);
  const metrics: Record<string, number> = {};
  if (inReward) {
    const kl = klRewards(samples, rewards, a);
    rewards = kl.rewards;
    metrics["kl/mean"] = kl.mean;
  }
  Object.assign(metrics, setAdvantages(samples, rewards, config, value));
  return { samples: samples.filter((s) => s.weight > 0), all: samples, weightSum: sum, metrics };
}
