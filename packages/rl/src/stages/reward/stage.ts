// The definition of the `reward` stage.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { defineStage, type ReportSection, readJsonl } from "@nsa/core";
import { calibrationError, rocAuc } from "@nsa/tasks";
import { policyInputs } from "../../task/inputs.ts";
import { rewardModelSchema } from "./config.ts";
import { accuracyOf } from "./measure.ts";
import { estimateReward, HELD_OUT_FILE, runReward } from "./run.ts";

interface Row {
  label: number;
  number: number;
  index: number;
  of: number;
  policy_step?: number;
}

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
const figure = (x: number) => (Number.isFinite(x) ? x.toFixed(3) : "–");

/** The last value of each metric of a run. */
function lastMetrics(runDir: string): Record<string, unknown> {
  const path = join(runDir, "metrics.jsonl");
  const last: Record<string, unknown> = {};
  if (existsSync(path)) for (const row of readJsonl<Record<string, unknown>>(path)) Object.assign(last, row);
  return last;
}

const shareOf = (labels: readonly number[]) => labels.reduce((a, b) => a + b, 0) / labels.length;

/** One row of figures of a group of numbers. `probability`: σ of a number is one, so that it has a side and a calibration. */
function rowOf(name: string | number, rows: readonly Row[], probability: boolean): (string | number)[] {
  const [numbers, labels] = [rows.map((r) => r.number), rows.map((r) => r.label)];
  return [
    name,
    rows.length,
    figure(shareOf(labels)),
    probability ? figure(accuracyOf(rows)) : "–",
    figure(rocAuc(numbers, labels)),
    probability ? figure(calibrationError(numbers.map(sigmoid), labels)) : "–",
  ];
}

const COLUMNS = ["share of right labels", "accuracy", "AUC", "calibration error of σ"];

/** The row of the baseline, and for pairs the share in which the better output has the higher number. */
function otherRows(metrics: Record<string, unknown>): (string | number)[][] {
  const row = (name: string, accuracy: unknown, auc: unknown) => {
    const cell = (value: unknown) => (typeof value === "number" ? figure(value) : "–");
    return [name, "–", "–", cell(accuracy), cell(auc), "–"];
  };
  const baseline = metrics["held_out/length_and_form_auc"];
  const pairs = metrics["held_out/pair_accuracy"];
  return [
    ...(pairs === undefined ? [] : [row("pairs in order", pairs, undefined)]),
    ...(baseline === undefined ? [] : [row("baseline on length and form", undefined, baseline)]),
  ];
}

/** Held-out figures by the policy's step and by the place in the output. */
function sections(runDir: string): ReportSection[] {
  const path = join(runDir, HELD_OUT_FILE);
  if (!existsSync(path)) return [];
  const rows = readJsonl<Row>(path);
  const metrics = lastMetrics(runDir);
  const probability = metrics["held_out/accuracy"] !== undefined;
  // A process model gives a number a step, an outcome model one an output.
  const columns = [rows.some((r) => r.of > 1) ? "steps" : "outputs", ...COLUMNS];
  const by = (title: string, key: string, of: (row: Row) => number | undefined): ReportSection[] => {
    const names = [...new Set(rows.flatMap((r) => of(r) ?? []))].sort((a, b) => a - b);
    if (names.length < 2) return [];
    const table = names.map((name) =>
      rowOf(
        name,
        rows.filter((r) => of(r) === name),
        probability,
      ),
    );
    return [{ title, kind: "table", columns: [key, ...columns], rows: table }];
  };
  const all = [rowOf("all", rows, probability), ...otherRows(metrics)];
  return [
    { title: "Held-out outputs", kind: "table", columns: ["", ...columns], rows: all },
    ...by("Held-out outputs by policy step", "policy step", (r) => r.policy_step),
    ...by("Held-out outputs by step of the solution", "step", (r) => (r.of > 1 ? r.index + 1 : undefined)),
  ];
}

export const rewardStage = defineStage({
  name: "reward",
  about: "train a reward model on labelled outputs or steps",
  schema: rewardModelSchema,
  run: runReward,
  estimate: estimateReward,
  plannedOutputs: ({ init }) => ({ checkpoint: init.checkpoint }),
  inputFiles: ({ init, data }) => [...policyInputs(init.checkpoint), ...data.files],
  figures: [
    { metric: "train/loss", label: "loss", format: "figure" },
    { metric: "val/loss", label: "held-out loss", format: "figure" },
    { metric: "held_out/accuracy", label: "held-out accuracy", format: "percent" },
    { metric: "held_out/pair_accuracy", label: "held-out pairs right", format: "percent" },
    { metric: "held_out/auc", label: "held-out AUC", format: "figure" },
    { metric: "held_out/length_and_form_auc", label: "AUC by length and form", format: "figure" },
    { metric: "held_out/calibration_error", label: "calibration error", format: "figure" },
    { metric: "train/grad_norm", label: "grad norm", format: "figure" },
    { metric: "train/lr", label: "lr", format: "figure" },
    { metric: "perf/tokens_per_sec", label: "tokens/s", format: "count" },
  ],
  plots: [
    { metric: "train/loss", title: "loss" },
    { metric: "held_out/auc", title: "held-out AUC" },
  ],
  overview: { title: "Reward model", result: "held-out AUC {held_out/auc:figure}" },
  sections,
});
