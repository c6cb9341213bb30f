// Folders that this process has locked: what writes there first checks that the lock is still its own.
//
// A process that stood still for minutes (a suspended machine, a stalled file system) may find that another has taken its folder over.
// The check is made before each write, not within it: a process that stands still in between can still finish that one write.
import { resolve, sep } from "node:path";

const checks = new Map<string, () => void>();

/** Has {@link checkHeld} call `check` for every path in the folder, until it is disposed of. `check` throws where the lock is lost. */
export function guardFolder(folder: string, check: () => void): Disposable {
  const path = resolve(folder);
  checks.set(path, check);
  return {
    [Symbol.dispose]() {
      if (checks.get(path) === check) checks.delete(path);
    },
  };
}

/** To be called before a file or folder is written. Throws what the check of a folder around it throws. */
export function checkHeld(path: string): void {
  if (checks.size === 0) return;
  const whole = resolve(path);
  for (const [folder, check] of checks)
    if (whole === folder || whole.startsWith(folder.endsWith(sep) ? folder : folder + sep)) check();
}
