// The contract of a diagnosis: a pure rule over the figures of the steps so far that names what is wrong with a run, and its cause.
//
// A rule is a function of recorded figures and the recipe alone. So it can be tested on hand-made series, and a resumed run arrives at
// the same state by reading its metrics.jsonl.
import type { Metrics } from "@nsa/core";
import type { GrpoConfig } from "../config.ts";

/** A row of figures: metrics of a step by name, or those of a held-out evaluation. */
export type StepRow = Metrics & { step: number };

/** Texts that make a finding concrete; of the newest step, so absent when a resumed run reads old rows. */
export interface Evidence {
  /** A special token inside an output that should have ended there. */
  missedEnd?: string;
  /** An output graded wrong whose last number is the gold. */
  rejected?: string;
  /** A question with its gold and the policy's own most frequent answer. */
  plurality?: string;
  /** An answer that repeats its question. */
  echo?: string;
}

/** What of the run, besides its recipe, does not change from step to step. */
export interface RunFacts {
  /** Tokens and texts that end an output, as people read them. */
  ends: readonly string[];
  /** Those among the tokenizer's end tokens that are ordinary text. */
  ordinaryEnds: readonly string[];
  dtype: "fp32" | "bf16";
}

export interface DiagnosisView {
  /** Figures of the steps that are done, the newest last; at least one. All have what the rule needs. */
  rows: readonly StepRow[];
  /** Whether a step of the run had groups whose outputs earned differently: a run that has solved its task since has no fault. */
  learned: boolean;
  /** The newest held-out evaluation, where there was one. */
  held?: StepRow;
  config: GrpoConfig;
  facts: RunFacts;
  evidence: Evidence;
}

export interface Diagnosis {
  readonly name: string;
  /** Figures that the rule needs: rows of runs that did not record them are skipped. */
  readonly needs: readonly string[];
  /** Diagnoses that only describe what follows from this one: they are silent while it lasts, and a while after. */
  readonly explains?: readonly string[];
  /** What is wrong and why, as a sentence without the step; undefined where nothing is. */
  find(view: DiagnosisView): string | undefined;
}

export const percent = (x: number) => `${(100 * x).toFixed(x > 0 && x < 0.1 ? 1 : 0)} %`;

/** The newest `count` rows; undefined where there are fewer. */
export function newest({ rows }: Pick<DiagnosisView, "rows">, count: number): readonly StepRow[] | undefined {
  return rows.length >= count ? rows.slice(-count) : undefined;
}

/** Mean of a figure over the rows that have it; NaN where none has. */
export function meanOf(rows: readonly StepRow[], name: string): number {
  const values = rows.flatMap((row) => row[name] ?? []);
  return values.reduce((a, b) => a + b, 0) / values.length;
}

export const sumOf = (rows: readonly StepRow[], name: string): number =>
  rows.reduce((sum, row) => sum + (row[name] ?? 0), 0);

/** Mean of a share over rows, weighted by the count that it is a share of; NaN where the counts are 0. */
export const shareOf = (rows: readonly StepRow[], share: string, count: string): number =>
  rows.reduce((sum, row) => sum + (row[share] ?? 0) * (row[count] ?? 0), 0) / sumOf(rows, count);

/** Share of right outputs in a row, by the task's rule; undefined where it is not known. */
export const passRate = (row: StepRow): number | undefined =>
  row["verdict/pass_rate"] ?? row["rollout/pass_rate"];
