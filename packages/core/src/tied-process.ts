// Commands of other people's programs that must not outlive this process, whatever ends it.
//
// The program runs in a process group of its own with a watcher, a shell that waits for the end of a pipe which this process alone
// holds: when this process is gone, SIGKILL included, the watcher kills the group. A helper with a session of its own is not in it.
import { accessSync, constants, statSync } from "node:fs";
import { delimiter, join } from "node:path";

const WATCHER = `( exec </dev/null >/dev/null 2>&1; read -r _ <&3; kill -KILL 0 ) & exec 3<&-; exec "$@"`;

/** Exit code of a shell whose command was not found or could not be run. */
const NOT_RUN = [126, 127];

/** Words to spawn, with `detached: true` and a pipe as descriptor 3. */
export function tiedCommand(words: readonly string[]): { command: string; args: string[] } {
  return { command: "/bin/sh", args: ["-c", WATCHER, "sh", ...words] };
}

/** Whether the exit code is the shell's own: the program never ran. */
export const wasNotRun = (exit: number | null): boolean => exit !== null && NOT_RUN.includes(exit);

function canBeRun(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

/** Whether a shell would find the program: by its path, or by its name in the folders of PATH. */
export function isProgram(name: string): boolean {
  if (name.includes("/")) return canBeRun(name);
  return (process.env.PATH ?? "").split(delimiter).some((folder) => canBeRun(join(folder, name)));
}
