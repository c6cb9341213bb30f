// Series of figures made by hand, and what is warned of on them.
import { grpoSchema } from "../src/stages/grpo/config.ts";
import { DiagnosisMonitor } from "../src/stages/grpo/diagnosis/monitor.ts";
import type { Evidence, RunFacts } from "../src/stages/grpo/diagnosis/rule.ts";

export type Row = Record<string, number>;

/** A step of a run that learns: no rule finds anything in it. */
export const healthy: Row = {
  "reward/mean": 0.6,
  "reward/std": 0.4,
  "reward/accuracy": 0.4,
  "reward/accuracy_std": 0.49,
  "reward/echo_share": 0,
  "reward/quarantined": 0,
  "rollout/zero_variance_share": 0.1,
  "rollout/distinct_share": 0.6,
  "rollout/top_answer_share": 0.1,
  "rollout/distinct_question_share": 0.95,
  "rollout/gold_answers": 11,
  "rollout/pass_rate": 0.4,
  "completion/truncated_share": 0.1,
  "completion/length_mean": 20,
  "completion/terminated_length_mean": 18,
  "policy/entropy": 0.5,
  "policy/update_change_mean": 0.01,
  "policy/sampler_difference_mean": 1e-7,
  "policy/clip_fraction_low": 0.01,
  "policy/clip_fraction_high": 0.02,
  "train/grad_norm": 0.3,
  "train/lr": 1e-4,
  "train/skipped": 0,
  "verdict/pass_rate": 0.4,
  "verdict/auc": 0.97,
  "verdict/auc_std": 0.05,
  "verdict/mixed_questions": 10,
  "verdict/length_correlation": 0.3,
  "verdict/length_questions": 4,
  "verdict/rejected_gold_share": 0.12,
  "verdict/plurality_questions": 11,
  "verdict/plurality_right_share": 0.9,
  "verdict/confident_questions": 4,
  "verdict/confident_right_share": 1,
};

/** All outputs earn 0, and none has an answer that agrees with another. */
export const nothingRight: Row = {
  ...{ "reward/mean": 0, "reward/std": 0, "reward/accuracy": 0, "reward/accuracy_std": 0 },
  ...{ "rollout/zero_variance_share": 1, "rollout/pass_rate": 0, "verdict/pass_rate": 0 },
  ...{ "verdict/plurality_questions": 0, "verdict/confident_questions": 0, "verdict/rejected_gold_share": 0 },
  ...{ "train/grad_norm": 0, "policy/update_change_mean": 0 },
};

export const facts: RunFacts = { ends: ['"<|end|>"'], ordinaryEnds: [], dtype: "fp32" };

export interface Run {
  /** What each step has in place of the healthy figures; the last one is repeated. */
  steps: Row[];
  count?: number;
  /** Figures without which the healthy rows are taken. */
  without?: string[];
  config?: object;
  facts?: Partial<RunFacts>;
  evidence?: Evidence;
  /** Held-out figures after the last step. */
  held?: Row;
}

/** What a run of these steps warns of. */
export function warnings({ steps, count = 20, without = [], config = {}, ...run }: Run): string[] {
  const texts: string[] = [];
  const recipe = grpoSchema.parse({ init: { checkpoint: "" }, ...config });
  const monitor = new DiagnosisMonitor(recipe, { ...facts, ...run.facts }, (text) => void texts.push(text));
  for (let step = 1; step <= count; step++) {
    const row = { ...healthy, ...(steps[step - 1] ?? steps.at(-1)) };
    for (const name of without) delete row[name];
    monitor.observe(row, step, run.evidence);
    if (step === count && run.held) monitor.evaluated(run.held, step);
  }
  return texts;
}
