// A person's labels of outputs, as `labels.jsonl` has them: verdicts and preferences, of which a later one corrects an earlier one.
import { ExitCode, firstComplaint, NsaError } from "@nsa/core";
import { z } from "zod";
import { readRecords } from "./records.ts";

interface LabelOf {
  /** ISO 8601, UTC; absent where a recipe's filter gave the label. */
  time?: string;
  step: number;
  group: number;
  id: string;
  question: string;
  prompt: string;
}

export interface VerdictLabel extends LabelOf {
  kind: "verdict";
  output: number;
  gold: string;
  completion: string;
  verdict: "right" | "wrong";
}

/** The texts stand under the names that preference data has. */
export interface PreferenceLabel extends LabelOf {
  kind: "preference";
  chosen_output: number;
  rejected_output: number;
  chosen: string;
  rejected: string;
}

export type Label = VerdictLabel | PreferenceLabel;

const kinds: readonly Label["kind"][] = ["verdict", "preference"];

const number = z.number().int().min(0);
/** What corrections and readers rely on; a person may write rows without the rest. */
const labelSchema = z.discriminatedUnion("kind", [
  z.looseObject({
    kind: z.literal("verdict"),
    step: number,
    output: number,
    verdict: z.enum(["right", "wrong"]),
    completion: z.string().optional(),
  }),
  z.looseObject({
    kind: z.literal("preference"),
    step: number,
    chosen_output: number,
    rejected_output: number,
    chosen: z.string(),
    rejected: z.string(),
  }),
]);

/** A record as the label that it is. Throws NsaError `data_not_a_label` (exit 3) with its place. */
export function labelOf(record: unknown, place: string): Label {
  const parsed = labelSchema.safeParse(record);
  if (parsed.success) return parsed.data as unknown as Label;
  const { path, why } = firstComplaint(parsed.error, record);
  throw new NsaError({
    code: "data_not_a_label",
    what: place,
    why: `${path || "the record"}: ${why}`,
    fix: "give rows of labels.jsonl, {kind: verdict, step, output, verdict: right | wrong, …} or {kind: preference, step, chosen_output, rejected_output, chosen, rejected, …}, or remove the line",
    exitCode: ExitCode.data,
  });
}

/**
 * The labels of a file with their places. `wanted`: those of one kind, where rows of the other are passed over as they are. Throws NsaError
 * `data_not_a_label`, `data_not_json` (exit 3).
 */
export function readLabels(path: string, wanted?: Label["kind"]): { label: Label; place: string }[] {
  const others = kinds.filter((kind) => wanted !== undefined && kind !== wanted) as unknown[];
  return [...readRecords(path)].flatMap(({ record, place }) =>
    others.includes(record.kind) ? [] : [{ label: labelOf(record, place), place }],
  );
}

/** What a label is about: a later one on the same is a correction. */
function subjectOf(label: Label): string {
  if (label.kind === "verdict") return `verdict ${label.step}/${label.output}`;
  const [a, b] = [label.chosen_output, label.rejected_output].sort((x, y) => x - y);
  return `preference ${label.step}/${a}/${b}`;
}

/** The labels of a kind that no later one corrects, in the order in which they were given. */
export function labelsInForce(labels: readonly Label[], kind: Label["kind"]): Label[] {
  const last = new Map(labels.map((label) => [subjectOf(label), label]));
  return labels.filter((label) => label.kind === kind && last.get(subjectOf(label)) === label);
}

/** The verdicts in force, by step and output. */
export function verdictsOf(labels: readonly Label[]): Map<string, "right" | "wrong"> {
  return new Map(
    labels.flatMap((l) => (l.kind === "verdict" ? [[`${l.step}/${l.output}`, l.verdict] as const] : [])),
  );
}
