// What a finished run makes of its rows: preferences between outputs of a question, and the label file that a person may correct.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { atomicWriteFile, readJsonl } from "@nsa/core";
import type { VerdictLabel } from "@nsa/tasks";
import type { SampleConfig } from "./config.ts";
import { chosenOnPurpose } from "./keep.ts";
import type { SampleRow } from "./rows.ts";

const lines = (rows: readonly object[]) => rows.map((row) => `${JSON.stringify(row)}\n`).join("");

function byQuestion(rows: readonly SampleRow[]): SampleRow[][] {
  const groups = new Map<number, SampleRow[]>();
  for (const row of rows) groups.set(row.step, [...(groups.get(row.step) ?? []), row]);
  return [...groups.values()];
}

type Pairs = NonNullable<SampleConfig["pairs"]>;

/**
 * Pairs of a question's outputs by a reward: those that differ most first, each text at most once, none that differs by less than `least` or not at all.
 */
export function pairsOf(rows: readonly SampleRow[], { by, perQuestion, least }: Pairs): object[] {
  const scored = rows.filter((row) => row.parts[by] !== undefined);
  const texts = new Map(scored.map((row) => [row.completion, row]));
  const sorted = [...texts.values()].sort((a, b) => b.parts[by]! - a.parts[by]! || a.output - b.output);
  const pairs: object[] = [];
  for (let i = 0; i < Math.floor(sorted.length / 2) && pairs.length < perQuestion; i++) {
    const [better, worse] = [sorted[i]!, sorted[sorted.length - 1 - i]!];
    const difference = better.parts[by]! - worse.parts[by]!;
    if (difference === 0 || difference < least) break;
    const { id, part, question, prompt } = better;
    pairs.push({
      ...{ id, ...(part === undefined ? {} : { part }), question, prompt },
      ...{ chosen: better.completion, rejected: worse.completion },
      ...{ chosen_output: better.output, rejected_output: worse.output },
    });
  }
  return pairs;
}

/**
 * A verdict label of each row: the rule's verdict. Where no rule reads the answer, an output that `keep` chose by bounds is right until a
 * person corrects it, and any other has no label.
 */
export function labelsOf(rows: readonly SampleRow[], keep: SampleConfig["keep"]): VerdictLabel[] {
  return rows.flatMap((row) => {
    const { step, output, id, question, prompt, gold, completion } = row;
    if (row.verdict === "unread" && !chosenOnPurpose(keep)) return [];
    const verdict = row.verdict === "wrong" ? "wrong" : "right";
    const of = { step, group: step - 1, id, question, prompt };
    // Behind examples an output ends with the break in front of the next question.
    return [{ kind: "verdict", ...of, output, gold, completion: completion.trimEnd(), verdict }];
  });
}

/** Files beside samples.jsonl by their output's name. A label file that is there stays as it is: a person may have corrected it. */
export function writeCollected(
  runDir: string,
  { pairs, labels, keep }: SampleConfig,
  warn: (text: string) => void = () => {},
): Record<string, string> {
  const paths = plannedFiles(runDir, { pairs, labels });
  if (Object.keys(paths).length === 0) return paths;
  const rows = readJsonl<SampleRow>(join(runDir, "samples.jsonl")).filter(({ ids }) => ids !== undefined);
  if (paths.pairs) {
    const found = byQuestion(rows).flatMap((own) => pairsOf(own, pairs!));
    if (found.length === 0)
      warn(
        `pairs.jsonl is empty: no two outputs of a question differ in ${pairs!.by}${pairs!.least > 0 ? ` by at least ${pairs!.least} (pairs.least)` : ""}`,
      );
    atomicWriteFile(paths.pairs, lines(found));
  }
  if (paths.labels && !existsSync(paths.labels)) {
    const found = labelsOf(rows, keep);
    const unread = rows.length - found.length;
    if (unread > 0)
      warn(`labels.jsonl leaves out ${unread} of ${rows.length} outputs, whose answer no rule can read`);
    atomicWriteFile(paths.labels, lines(found));
  }
  return paths;
}

/** The files that a run with these settings writes. */
export function plannedFiles(
  folder: string,
  { pairs, labels }: Pick<SampleConfig, "pairs" | "labels">,
): Record<string, string> {
  return {
    ...(pairs ? { pairs: join(folder, "pairs.jsonl") } : {}),
    ...(labels ? { labels: join(folder, "labels.jsonl") } : {}),
  };
}
