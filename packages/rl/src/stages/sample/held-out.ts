// Figures of a finished run by part of its task, each with its 95 % interval: what a table shows of a checkpoint that was sampled on
// held-out questions.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type ReportSection, readJsonl, readRunJson } from "@nsa/core";
import { shareInterval } from "@nsa/tasks";
import type { SampleRow } from "./rows.ts";

/** A mean over questions with its interval. */
export interface PartFigure {
  mean: number;
  low: number;
  high: number;
}

export interface PartFigures {
  /** family_difficulty; empty for a task without parts. */
  part: string;
  questions: number;
  outputs: number;
  /** `right` where a rule decides, and each reward by its label. */
  figures: Record<string, PartFigure>;
}

/** The file of a finished run with its {@link PartFigures}. */
export const PARTS_FILE = "parts.json";

const mean = (xs: readonly number[]) => xs.reduce((a, b) => a + b, 0) / xs.length;

/** The mean of a number of outputs over questions; undefined where no output has it. */
function figureOf(
  questions: readonly (readonly SampleRow[])[],
  of: (row: SampleRow) => number | undefined,
): PartFigure | undefined {
  const means = questions.flatMap((rows) => {
    const found = rows.flatMap((row) => of(row) ?? []);
    return found.length > 0 ? [mean(found)] : [];
  });
  return means.length > 0 ? shareInterval(means) : undefined;
}

/** Figures by part, in the order of their first questions. One output a question gives Wilson's interval, several the bootstrap's. */
export function partFigures(rows: readonly SampleRow[]): PartFigures[] {
  const parts = new Map<string, Map<number, SampleRow[]>>();
  for (const row of rows) {
    const part = row.part ?? "";
    if (!parts.has(part)) parts.set(part, new Map());
    const questions = parts.get(part)!;
    questions.set(row.step, [...(questions.get(row.step) ?? []), row]);
  }
  return [...parts].map(([part, byQuestion]) => {
    const questions = [...byQuestion.values()];
    const outputs = questions.flat();
    const labels = [...new Set(outputs.flatMap((row) => Object.keys(row.parts)))];
    const right = figureOf(questions, ({ judge, verdict }) =>
      judge === undefined ? (verdict === "right" ? 1 : 0) : undefined,
    );
    const figures: Record<string, PartFigure> = right ? { right } : {};
    for (const label of labels) {
      const figure = figureOf(questions, (row) => row.parts[label]);
      // The rule's own verdict stands there already.
      if (figure && label !== "accuracy") figures[label] = figure;
    }
    return { part, questions: questions.length, outputs: outputs.length, figures };
  });
}

const percent = (x: number) => `${(100 * x).toFixed(1)} %`;

/** A figure for a table. */
export const shownFigure = (figure: PartFigure | undefined): string =>
  figure ? `${percent(figure.mean)} [${percent(figure.low)}, ${percent(figure.high)}]` : "";

/** The figures of a finished run folder; undefined where it has none. */
export const readPartFigures = (runDir: string): PartFigures[] | undefined =>
  existsSync(join(runDir, PARTS_FILE))
    ? (readRunJson(runDir, PARTS_FILE) as unknown as PartFigures[])
    : undefined;

/** The figures of what a run has written to its folder so far. */
export const measuredParts = (runDir: string): PartFigures[] =>
  partFigures(readJsonl<SampleRow>(join(runDir, "samples.jsonl")).filter(({ ids }) => ids !== undefined));

/** The table of a finished run. */
export function partsTable(runDir: string): ReportSection[] {
  const all = readPartFigures(runDir);
  if (!all || all.length === 0) return [];
  const names = [...new Set(all.flatMap(({ figures }) => Object.keys(figures)))];
  return [
    {
      title: "By part, with 95 % intervals",
      kind: "table",
      columns: ["part", "questions", "outputs", ...names],
      rows: all.map(({ part, questions, outputs, figures }) => [
        part === "" ? "all" : part,
        questions,
        outputs,
        ...names.map((name) => shownFigure(figures[name])),
      ]),
    },
  ];
}
