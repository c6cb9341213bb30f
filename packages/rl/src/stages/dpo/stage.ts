// The definition of the `dpo` stage.

import { existsSync } from "node:fs";
import { join } from "node:path";
import { defineStage, type ReportSection, readJsonl, type StageFigure } from "@nsa/core";
import { templateInputs } from "@nsa/tasks";
import { missingPrograms } from "../../rewards/command.ts";
import { policyInputs, rewardInputs, taskInputs } from "../../task/inputs.ts";
import { dpoSchema } from "./config.ts";
import { estimateDpo } from "./estimate.ts";
import { runDpo } from "./run.ts";

const figures: StageFigure[] = [
  { metric: "dpo/loss", label: "loss", format: "figure" },
  { metric: "dpo/accuracy", label: "accuracy", format: "percent" },
  { metric: "dpo/margin", label: "margin", format: "figure" },
  { metric: "rewards/chosen", label: "reward, chosen", format: "figure" },
  { metric: "rewards/rejected", label: "reward, rejected", format: "figure" },
  { metric: "logps/chosen", label: "log p, chosen", format: "figure" },
  { metric: "logps/rejected", label: "log p, rejected", format: "figure" },
  { metric: "val/loss", label: "held-out loss", format: "figure" },
  { metric: "val/dpo/accuracy", label: "held-out accuracy", format: "percent" },
  { metric: "val/dpo/margin", label: "held-out margin", format: "figure" },
  { metric: "reward/mean", label: "reward of outputs", format: "figure", deviation: "reward/std" },
  { metric: "rollout/pass_rate", label: "pass rate", format: "percent" },
  { metric: "rollout/pairs", label: "pairs", format: "count" },
  { metric: "rollout/zero_variance_share", label: "questions without a pair", format: "percent" },
  { metric: "eval/pass_at_1", label: "held-out pass@1", format: "percent" },
  { metric: "eval/greedy_pass_at_1", label: "held-out, greedy", format: "percent" },
  { metric: "train/grad_norm", label: "grad norm", format: "figure" },
  { metric: "train/lr", label: "lr", format: "figure" },
  { metric: "perf/tokens_per_sec", label: "tokens/s", format: "count" },
  { metric: "perf/data_wait", label: "time before the update", format: "percent" },
];

/** Curves of a run's metrics that have values. */
function sections(runDir: string): ReportSection[] {
  const file = join(runDir, "metrics.jsonl");
  const rows = existsSync(file) ? readJsonl<Record<string, number>>(file) : [];
  const curve = (title: string, names: Record<string, string>): ReportSection => ({
    title,
    kind: "curve",
    columns: ["step", ...Object.values(names)],
    rows: rows
      .filter((row) => Object.keys(names).some((name) => typeof row[name] === "number"))
      .map((row) => [row.step!, ...Object.keys(names).map((name) => row[name] ?? "")]),
  });
  return [
    curve("Loss of a pair", { "dpo/loss": "training", "val/loss": "held out" }),
    curve("Share of pairs whose chosen output has the higher reward; ties count half", {
      "dpo/accuracy": "training",
      "val/dpo/accuracy": "held out",
    }),
    curve("Rewards, β·log π/π_ref", {
      "rewards/chosen": "chosen",
      "rewards/rejected": "rejected",
      "val/rewards/chosen": "chosen, held out",
      "val/rewards/rejected": "rejected, held out",
    }),
    curve("Log-probabilities of outputs, nats", { "logps/chosen": "chosen", "logps/rejected": "rejected" }),
  ].filter((section) => section.rows.length > 0);
}

export const dpoStage = defineStage({
  name: "dpo",
  about: "learn from preferences without a reward model (DPO), offline or from the policy's own outputs",
  schema: dpoSchema,
  run: runDpo,
  estimate: estimateDpo,
  plannedOutputs: ({ init }) => ({ checkpoint: init.checkpoint }),
  missingInputs: ({ pairs, rewards }) => (pairs === "offline" ? [] : missingPrograms(rewards)),
  inputFiles: ({ init, reference, pairs, data, task, rewards }) => [
    ...policyInputs(init.checkpoint),
    ...(reference === "init" ? [] : policyInputs(reference)),
    ...templateInputs(data.chatTemplate),
    ...(pairs === "offline" ? data.files : [...taskInputs(task), ...rewardInputs(rewards)]),
  ],
  figures,
  plots: [
    { metric: "dpo/loss", title: "loss" },
    { metric: "dpo/accuracy", title: "accuracy" },
    { metric: "dpo/margin", title: "margin" },
    { metric: "eval/pass_at_1", title: "held-out pass@1" },
  ],
  sections,
  overview: {
    title: "Learning from preferences",
    charts: ["Held-out accuracy", "Gradient norm"],
    result: "preference accuracy {val/dpo/accuracy|dpo/accuracy:percent}",
  },
});
