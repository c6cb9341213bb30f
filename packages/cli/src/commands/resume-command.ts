// The complete command that resumes a run, for the last line of a stopped run.
import { basename } from "node:path";
import { STAGE_TABLE } from "./stage-table.ts";

interface StartedWith {
  runs?: string;
  device?: string;
  ranks?: string;
}

/** A word as a shell takes it. */
const quoted = (word: string) => (/^[\w./:=@-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

/** What runs a stage, behind `nsa`: stages of pipelines and of plugins have no command of their own. */
export const commandOfStage = (stage: string): string =>
  STAGE_TABLE[stage]?.command ? stage : `run ${stage}`;

/** `nsa grpo --resume grpo-sums-20260101-000000`, with the options that a resume needs again. */
export function resumeCommand(command: string, runDir: string, { runs, device, ranks }: StartedWith): string {
  const given = [
    ["--runs", runs === "runs" ? undefined : runs],
    ["--device", device === "auto" ? undefined : device],
    ["--ranks", ranks],
  ].flatMap(([option, value]) => (value === undefined ? [] : [option!, value]));
  return ["nsa", ...command.split(" "), "--resume", basename(runDir), ...given].map(quoted).join(" ");
}
