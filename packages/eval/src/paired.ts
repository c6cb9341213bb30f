// Entries of one recipe that ask the same problems, side by side: prompts in several styles, with tools and without, each against the first.
import { join } from "node:path";
import { type ReportSection, readJsonl } from "@nsa/core";
import { findTask } from "@nsa/tasks";
import { compareSamples, type TaskComparison } from "./compare.ts";
import type { EvalTask } from "./config.ts";
import type { EvalRow } from "./rows.ts";

/** An entry against the first one that asks the same problems. */
export interface PairedEntry extends Omit<TaskComparison, "task"> {
  task: string;
  /** The entry that it is compared with. */
  against: string;
  /** Mean tokens of an answer that the model wrote, and of all its answers to a problem for each right one; null where none is right. */
  tokens: number;
  tokensPerRight: number | null;
}

/** What decides an entry's problems; entries of other kinds have none to be paired by. */
function problemsOf(spec: EvalTask): string | undefined {
  if (spec.kind === "problems") return `task ${findTask(spec.task).name} ${spec.limit ?? ""}`;
  if (spec.kind === "family") return `family ${spec.family} ${spec.difficulty} ${spec.questions}`;
  return undefined;
}

const mean = (xs: readonly number[]) => xs.reduce((a, b) => a + b, 0) / Math.max(1, xs.length);

/** Tokens of the answers of an entry. */
function tokensOf(rows: readonly EvalRow[], task: string): Pick<PairedEntry, "tokens" | "tokensPerRight"> {
  const own = rows.flatMap((row) => (row.kind === "sample" && row.task === task ? [row] : []));
  const right = own.filter(({ verdict }) => verdict === "correct").length;
  const tokens = mean(own.map((row) => row.tokens));
  return { tokens, tokensPerRight: right > 0 ? (tokens * own.length) / right : null };
}

/** Every entry that has one before it with the same problems, against the first of them. */
export function pairedEntries(
  tasks: readonly EvalTask[],
  names: readonly string[],
  rows: readonly EvalRow[],
): PairedEntry[] {
  const firsts = new Map<string, string>();
  const of = (name: string) => rows.flatMap((row) => (row.task === name ? [{ ...row, task: "" }] : []));
  return tasks.flatMap((spec, i): PairedEntry[] => {
    const key = problemsOf(spec);
    const name = names[i]!;
    if (key === undefined) return [];
    const against = firsts.get(key);
    if (against === undefined) {
      firsts.set(key, name);
      return [];
    }
    const [compared] = compareSamples(of(against), of(name));
    return compared ? [{ ...compared, task: name, against, ...tokensOf(rows, name) }] : [];
  });
}

const percent = (x: number) => `${(100 * x).toFixed(1)} %`;

/** The table of a run's pairs; nothing where no two entries ask the same problems. */
export function pairedSections(runDir: string): ReportSection[] {
  const entries = readJsonl<PairedEntry>(join(runDir, "pairs.jsonl"));
  if (entries.length === 0) return [];
  return [
    {
      title: "Entries on the same problems, each against the first (95 % intervals of paired differences)",
      kind: "table",
      columns: [
        "entry",
        "against",
        "problems",
        "first",
        "entry's",
        "difference",
        "interval",
        "p",
        "tokens",
        "tokens per right answer",
      ],
      rows: entries.map((e) => [
        e.task,
        e.against,
        String(e.problems),
        percent(e.first),
        percent(e.second),
        percent(e.difference),
        `${percent(e.low)} to ${percent(e.high)}`,
        e.p.toPrecision(2),
        e.tokens.toFixed(1),
        e.tokensPerRight === null ? "–" : e.tokensPerRight.toFixed(1),
      ]),
    },
  ];
}
