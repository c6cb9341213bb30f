// A person's verdicts and preferences on recorded outputs, in `labels.jsonl` in the run's folder.
//
// The file is only ever appended to: one row a label, written by one call and synced before the next key is taken. A later row on the
// same output is the person's correction of an earlier one; both stay. A row that a power cut left unfinished is cut off when the file
// is opened again.
import { closeSync, existsSync, fsyncSync, openSync, truncateSync } from "node:fs";
import { explainWriteError, readWhole, writeFully } from "@nsa/core";
import { type Label, type PreferenceLabel, readLabels, type VerdictLabel } from "@nsa/tasks";
import type { RolloutGroup, ShownOutput } from "./groups.ts";

/** Cuts off a row without an end; ends a whole one. */
function repair(path: string): void {
  const bytes = readWhole(path);
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

  /** All rows so far, corrected ones included. Throws NsaError `data_not_a_label`, `data_not_json` (exit 3). */
  read(): Label[] {
    return existsSync(this.path) ? readLabels(this.path).map(({ label }) => label) : [];
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

  private head({ step, group, id, question }: RolloutGroup, { prompt }: ShownOutput) {
    return { time: this.now().toISOString(), step, group, id, question, prompt };
  }

  private write(label: Label): void {
    append(this.path, `${JSON.stringify(label)}\n`);
  }
}
