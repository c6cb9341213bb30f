// The definition of the `sample` stage.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { defineStage, type ReportSection, readJsonl, type StageFigure } from "@nsa/core";
import { missingPrograms } from "../../rewards/command.ts";
import { policyInputs, rewardInputs, taskInputs } from "../../task/inputs.ts";
import { plannedFiles } from "./collected.ts";
import { sampleSchema } from "./config.ts";
import { estimateSample } from "./estimate.ts";
import { partsTable } from "./held-out.ts";
import { runSample } from "./run.ts";

const figures: StageFigure[] = [
  { metric: "sample/pass_rate", label: "right", format: "percent" },
  { metric: "sample/unread_share", label: "unread", format: "percent" },
  { metric: "sample/solved_once_share", label: "questions solved", format: "percent" },
  { metric: "sample/kept", label: "written", format: "count" },
  { metric: "steps/count", label: "steps", format: "count" },
  { metric: "steps/soft_mean", label: "soft label", format: "figure" },
  { metric: "steps/hard_share", label: "hard label", format: "percent" },
  { metric: "reward/mean", label: "reward", format: "figure" },
  { metric: "completion/length_mean", label: "length", format: "figure" },
  { metric: "completion/truncated_share", label: "truncated", format: "percent" },
  { metric: "perf/tokens_per_sec", label: "tokens/s", format: "count" },
  { metric: "perf/samples_per_sec", label: "samples/s", format: "figure" },
];

/** Pass rates of the bars, each up to and without the next; 0 and 1 are bars of their own. */
const EDGES = [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9] as const;

/** Label of the bar that a pass rate belongs to. */
function barOf(rate: number): string {
  if (rate === 0 || rate === 1) return `${rate}`;
  const at = EDGES.findLastIndex((edge) => edge <= rate);
  return at === 0 ? "above 0, below 0.1" : `${EDGES[at]} to ${EDGES[at + 1] ?? "below 1"}`;
}

/** Questions by pass rate: the difficulty of the pool at a glance. */
function sections(runDir: string): ReportSection[] {
  const path = join(runDir, "pool.jsonl");
  if (!existsSync(path)) return partsTable(runDir);
  const labels = ["0", ...EDGES.map((edge) => barOf(edge + 0.05)), "1"];
  const counts = new Map(labels.map((label) => [label, 0]));
  for (const { pass_rate: rate } of readJsonl<{ pass_rate: number }>(path))
    counts.set(barOf(rate), counts.get(barOf(rate))! + 1);
  const rows = [...counts].map(([label, n]) => [label, n, String(n)]);
  return [
    ...partsTable(runDir),
    { title: "Questions by pass rate", kind: "bars", columns: ["pass rate", "questions"], rows },
  ];
}

export const sampleStage = defineStage({
  name: "sample",
  about: "sample a checkpoint's outputs for questions, graded, with their log-probabilities",
  schema: sampleSchema,
  run: runSample,
  estimate: estimateSample,
  plannedOutputs: ({ prompts, pairs, labels }, folder) => ({
    samples: join(folder, "samples.jsonl"),
    ...(prompts.from === "task"
      ? { pool: join(folder, "pool.jsonl"), ...plannedFiles(folder, { pairs, labels }) }
      : {}),
  }),
  missingInputs: ({ rewards }) => missingPrograms(rewards),
  inputFiles: ({ init, task, data, rewards, prompts }) => [
    ...policyInputs(init.checkpoint),
    ...(prompts.from === "task" ? [...taskInputs(task), ...prompts.examples] : data.files),
    ...rewardInputs(rewards),
  ],
  figures,
  plots: [
    { metric: "sample/pass_rate", title: "right outputs" },
    { metric: "completion/length_mean", title: "length" },
  ],
  overview: {
    title: "Sampling",
    result: "right {sample/pass_rate:percent}",
  },
  sections,
});
