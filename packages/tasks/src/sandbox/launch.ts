// The command line in front of a sandboxed process: joins its control group, gives up the rights of root, ends when this process ends
// (also by SIGKILL) or when its time is over, whatever this process is busy with.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { cgroupState, type Group, joinScript, openGroup } from "./cgroup.ts";
import type { ProgramLimits } from "./limits.ts";

const NOBODY = 65_534;
const SETPRIV = "/usr/bin/setpriv";
const TIMEOUT = "/usr/bin/timeout";
/** Beyond the program's own processes: those that lock it in. */
const HELPERS = 8;

let able: boolean | undefined;

/** Whether processes can be tied to the life of this one; older releases of setpriv cannot. */
export function canTie(): boolean {
  able ??=
    process.platform === "linux" &&
    existsSync(SETPRIV) &&
    spawnSync(SETPRIV, ["--pdeathsig", "KILL", "--", "/bin/true"], { env: {} }).status === 0;
  return able;
}

export interface Launch {
  command: string;
  args: string[];
  user: { uid?: number; gid?: number };
  group?: Group;
}

export interface LaunchOptions {
  limits: ProgramLimits;
  /** Time from the start of the process to its end, milliseconds. */
  deadlineMs: number;
  /** Memory that the runtime itself takes, MiB. */
  runtimeMb: number;
  /** As root, run it as nobody: limits on processes do not bind root. */
  drop: boolean;
}

/** The command, its control group opened where groups can be made. Its caller closes the group. */
export function launch(command: readonly string[], options: LaunchOptions): Launch {
  const { limits, deadlineMs, runtimeMb, drop } = options;
  const root = drop && process.getuid?.() === 0;
  if (!canTie()) {
    return {
      command: command[0]!,
      args: command.slice(1),
      user: root ? { uid: NOBODY, gid: NOBODY } : {},
    };
  }
  const group = openGroup({
    memoryBytes: (limits.memoryMb + runtimeMb) * 2 ** 20,
    processes: limits.processes + HELPERS,
  });
  const rights = root ? [`--reuid=${NOBODY}`, `--regid=${NOBODY}`, "--clear-groups"] : [];
  const tie = [SETPRIV, "--pdeathsig", "KILL"];
  const clock = existsSync(TIMEOUT)
    ? [TIMEOUT, "--signal=KILL", `${(deadlineMs / 1000).toFixed(3)}s`, ...tie, "--"]
    : [];
  const words = [...tie, ...rights, "--", ...clock, ...command];
  const script = `${joinScript(group?.join ?? [])}exec "$@"`;
  return { command: "/bin/sh", args: ["-c", script, "sh", ...words], user: {}, group };
}

/** What is not bounded here, for `nsa doctor`; empty where everything is. */
export function unbounded(): string[] {
  const group = cgroupState();
  return [
    ...(canTie() && group.usable
      ? []
      : [
          `memory of a program as a whole (each process is bounded, and each folder): ${canTie() ? group.why : `${SETPRIV} is missing or older than 2.33`}`,
        ]),
    ...(canTie() ? [] : ["life of a program in Pyodide after this process is killed"]),
  ];
}
