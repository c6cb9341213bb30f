// A person's verdicts and preferences on recorded outputs, in `labels.jsonl` in the run's folder.
//
// The file is only ever appended to: one row a label, written by one call and synced before the next key is taken. A later row on the
// same output is the person's correction of an earlier one; both stay. A row that a power cut left unfinished is cut off when the file
// is opened again.
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, truncateSync } from "node:fs";
import { explainWriteError, readJsonl, writeFully } from "@nsa/core";
import type { RolloutGroup, ShownOutput } from "./groups.ts";

interface LabelOf {
  /** ISO 8601, UTC. */
  time: string;
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

/** Cuts off a row without an end; ends a whole one. */
function repair(path: string): void {
  const bytes = readFileSync(path);
  if (bytes.length === 0 || bytes.at(-1) === 0x0a) return;
  const start = bytes.lastIndexOf(0x0a) + 1;
  try {
    JSON.parse(bytes.toString("utf8", start));
  } catch {
    truncateSync(path, start);
    return;
  }
  append(path, "\n");
}

function append(path: string, text: string): void {
  try {
    const fd = openSync(path, "a");
    try {
      writeFully(fd, Buffer.from(text));
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    throw explainWriteError(path, error);
  }
}

export class LabelFile {
  constructor(
    readonly path: string,
    private readonly now: () => Date,
  ) {
    if (existsSync(path)) repair(path);
  }

  /** All rows so far, corrected ones included. */
  read(): Label[] {
    return readJsonl<Label>(this.path);
  }

  /** Throws NsaError `disk_full` (exit 3). */
  verdict(of: RolloutGroup, output: ShownOutput, verdict: "right" | "wrong"): VerdictLabel {
    const label: VerdictLabel = {
      kind: "verdict",
      ...this.head(of, output),
      ...{ output: output.output, gold: of.answer, completion: output.completion, verdict },
    };
    this.write(label);
    return label;
  }

  /** `better` over `worse`, two outputs of one question. Throws NsaError `disk_full` (exit 3). */
  prefer(of: RolloutGroup, better: ShownOutput, worse: ShownOutput): PreferenceLabel {
    const label: PreferenceLabel = {
      kind: "preference",
      ...this.head(of, better),
      ...{ chosen_output: better.output, rejected_output: worse.output },
      ...{ chosen: better.completion, rejected: worse.completion },
    };
    this.write(label);
    return label;
  }

  private head({ step, group, id, question }: RolloutGroup, { prompt }: ShownOutput): LabelOf {
    return { time: this.now().toISOString(), step, group, id, question, prompt };
  }

  private write(label: Label): void {
    append(this.path, `${JSON.stringify(label)}\n`);
  }
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
