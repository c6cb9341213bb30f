// Which sampled outputs are written: all, the right ones, or those that pass the bounds of a recipe on verdict, end and rewards.
import { ExitCode, NsaError } from "@nsa/core";
import { z } from "zod";
import { rewardKinds } from "../../rewards/registry.ts";
import type { SampleRow } from "./rows.ts";
import type { Tally } from "./tally.ts";

const bounds = z.strictObject({
  min: z.number().optional().describe("Least value"),
  max: z.number().optional().describe("Largest value"),
});

export const keepSchema = z
  .union([
    z.enum(["all", "correct"]),
    z.strictObject({
      verdict: z
        .enum(["right", "any"])
        .default("right")
        .describe(
          "right: only what the rule finds right; any: also wrong ones, and those that no rule decides",
        ),
      ended: z.boolean().default(true).describe("Only outputs that ended by themselves"),
      distinct: z.boolean().default(true).describe("Of equal texts of a question only the first"),
      rewards: z
        .record(z.string(), bounds)
        .default({})
        .describe(
          "Bounds of the recipe's unweighted rewards by their labels, e.g. {language: {min: 1}, format: {min: 1}, repetition: {min: 0}}",
        ),
      perQuestion: z
        .number()
        .int()
        .min(1)
        .optional()
        .describe("At most so many of a question, the first ones"),
    }),
  ])
  .default("all")
  .describe(
    "task: which outputs are written: all, correct (the right ones), or those within bounds (rejection sampling, the collection of a cold start)",
  );

type Keep = z.output<typeof keepSchema>;

/** Why an output is left out; undefined where it is kept so far. */
function fault(row: SampleRow, keep: Exclude<Keep, string>): string | undefined {
  if (keep.ended && row.finish !== "stop") return "unended";
  if (keep.verdict === "right" && row.verdict !== "right") return row.verdict;
  for (const [label, { min, max }] of Object.entries(keep.rewards)) {
    const value = row.parts[label];
    // A reward that is for other parts of the task bounds nothing here.
    if (value === undefined) continue;
    if (value < (min ?? Number.NEGATIVE_INFINITY) || value > (max ?? Number.POSITIVE_INFINITY)) return label;
  }
  return undefined;
}

/** Whether the bounds of `keep` admit outputs that no rule reads: they are written because the recipe's rewards speak for them. */
export const chosenOnPurpose = (keep: Keep): boolean => typeof keep !== "string" && keep.verdict === "any";

/** Outputs of one question that are written, and how many are left out by what they fail first. */
export function keepOf(rows: readonly SampleRow[], keep: Keep): { kept: SampleRow[]; left: Tally } {
  if (keep === "all") return { kept: [...rows], left: {} };
  if (keep === "correct") return { kept: rows.filter(({ verdict }) => verdict === "right"), left: {} };
  const left: Tally = {};
  const seen = new Set<string>();
  const kept: SampleRow[] = [];
  for (const row of rows) {
    const full = kept.length >= (keep.perQuestion ?? Number.POSITIVE_INFINITY);
    const why =
      row.fault !== undefined
        ? "fault"
        : (fault(row, keep) ??
          (keep.distinct && seen.has(row.completion) ? "repeated" : full ? "surplus" : undefined));
    if (why === undefined) {
      seen.add(row.completion);
      kept.push(row);
    } else left[`left/${why}`] = (left[`left/${why}`] ?? 0) + 1;
  }
  return { kept, left };
}

/** Throws NsaError `sample_settings` (exit 2) for a bound of a reward that the recipe does not have. */
export function checkKeep(keep: Keep, labels: readonly string[]): void {
  if (typeof keep === "string") return;
  for (const label of Object.keys(keep.rewards)) checkLabel(`keep.rewards.${label}`, label, labels);
}

/** Throws NsaError `sample_settings` (exit 2) where no reward of the recipe has the label that a setting names. */
export function checkLabel(what: string, label: string, labels: readonly string[]): void {
  if (labels.includes(label)) return;
  const kind = rewardKinds.has(label) ? `add {kind: ${label}, weight: 0} to rewards, or ` : "";
  throw new NsaError({
    code: "sample_settings",
    what,
    why: `the recipe has the rewards ${labels.join(", ")}`,
    fix: `${kind}correct the name`,
    exitCode: ExitCode.usage,
  });
}
