// One exploration: questions of the step, G outputs each, their rewards and advantages.
import { createHash } from "node:crypto";
import type { Tokenizer } from "@nsa/data";
import { type Problem, renderPrompt } from "@nsa/eval";
import { Engine, type GeneratedSample, type Transformer } from "@nsa/model";
import { advantages, meanStd, type SampleRewards, zeroVarianceShare } from "../algorithm/advantages.ts";
import { aggregationWeights } from "../algorithm/aggregation.ts";
import type { Reward, Scored } from "../reward/score.ts";
import { reflectiveWords } from "../reward/text.ts";
import type { PolicySample } from "./batch.ts";
import type { GrpoConfig } from "./config.ts";
import type { ProblemSource } from "./problems.ts";

export interface RolloutRow {
  id: string;
  question: string;
  answer: string;
  completion: string;
  reward: Reward;
  finish: "stop" | "length";
  tokens: number;
}

export interface Rollout {
  samples: PolicySample[];
  rows: RolloutRow[];
  /** What weighted token losses are divided by. */
  weightSum: number;
  metrics: Record<string, number>;
  /** Digest of all sampled ids: equal runs show equal digests. */
  digest: string;
}

export async function explore(
  model: Transformer,
  tokenizer: Tokenizer,
  problems: ProblemSource,
  score: (s: Scored) => Promise<Reward>,
  config: GrpoConfig,
  step: number,
): Promise<Rollout> {
  const { rollout: r, task, algorithm } = config;
  const G = r.groupSize;
  const asked: Problem[] = Array.from({ length: r.questionsPerStep }, (_, q) =>
    problems.train((step - 1) * r.questionsPerStep + q),
  );
  const prompts = asked.map((p) => renderPrompt(task.template, p.question));
  const encoded = prompts.map((p) => tokenizer.encode(p));
  const engine = new Engine(model, { ...r, prefillTokens: 16_384 });
  const outputs = engine.generate(
    encoded.map((prompt, q) => ({
      prompt,
      n: G,
      maxTokens: r.maxTokens,
      sampling: r,
      seed: config.seed,
      // Request numbers stay below those of evaluations and repeat only after 2^24 outputs.
      id: (((step - 1) * r.questionsPerStep + q) * G) % 2 ** 24,
      stopIds: [tokenizer.eosId],
    })),
  );
  const rows: RolloutRow[] = [];
  const rewards: SampleRewards[] = [];
  const flat: { q: number; s: GeneratedSample }[] = [];
  for (const [q, group] of outputs.entries()) {
    for (const s of group) {
      const completion = tokenizer.decode(s.ids);
      const { question, answer, id } = asked[q]!;
      const reward = await score({
        prompt: prompts[q]!,
        completion,
        answer,
        tokens: s.ids.length,
        maxTokens: r.maxTokens,
      });
      rows.push({ id, question, answer, completion, reward, finish: s.finish, tokens: s.ids.length });
      rewards.push({
        group: q,
        length: s.ids.length,
        steps: [{ token: s.ids.length - 1, reward: reward.total }],
      });
      flat.push({ q, s });
    }
  }
  const advantage = advantages(rewards, algorithm.advantage);
  const keep = rows.map(
    (row) => Number.isFinite(row.reward.total) && !(algorithm.maskTruncated && row.finish === "length"),
  );
  const { weights, sum } = aggregationWeights(
    flat.map(({ s }) => s.ids.length),
    algorithm.aggregation,
    { maxTokens: r.maxTokens, keep },
  );
  const samples = flat.map(
    ({ q, s }, i): PolicySample => ({
      prompt: encoded[q]!,
      ids: s.ids,
      weight: weights[i]!,
      advantage: advantage[i]!,
      samplerLogp: s.logp,
      id: i,
    }),
  );
  const hash = createHash("sha256");
  for (const { s } of flat) hash.update(Int32Array.from(s.ids));
  return { samples, rows, weightSum: sum, metrics: describe(rows, rewards), digest: hash.digest("hex") };
}

function describe(rows: readonly RolloutRow[], rewards: readonly SampleRewards[]): Record<string, number> {
  const valid = rows.filter((row) => Number.isFinite(row.reward.total));
  const share = (f: (row: RolloutRow) => boolean) => rows.filter(f).length / rows.length;
  const mean = (xs: number[]) => meanStd(xs).mean;
  const total = meanStd(valid.map((row) => row.reward.total));
  const metrics: Record<string, number> = {
    "reward/mean": total.mean,
    "reward/std": total.std,
    "reward/quarantined": rows.length - valid.length,
    "rollout/zero_variance_share": zeroVarianceShare(rewards),
    "completion/length_mean": mean(rows.map((row) => row.tokens)),
    "completion/terminated_length_mean": mean(
      rows.filter((row) => row.finish === "stop").map((row) => row.tokens),
    ),
    "completion/truncated_share": share((row) => row.finish === "length"),
    "completion/reflective_words": mean(rows.map((row) => reflectiveWords(row.completion))),
  };
  for (const label of Object.keys(valid[0]?.reward.parts ?? {})) {
    const part = meanStd(valid.map((row) => row.reward.parts[label]!));
    metrics[`reward/${label}`] = part.mean;
    metrics[`reward/${label}_std`] = part.std;
  }
  if ("reward/accuracy" in metrics) metrics["rollout/pass_rate"] = metrics["reward/accuracy"]!;
  return metrics;
}
