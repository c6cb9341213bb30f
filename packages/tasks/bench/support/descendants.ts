// Processes that a process has started, directly or through others, by /proc.
import { readdirSync, readFileSync } from "node:fs";

/** Numbers of the processes below one, by default this. */
export function descendants(root = process.pid): number[] {
  const parents = new Map<number, number>();
  for (const name of readdirSync("/proc").filter((n) => /^\d+$/.test(n))) {
    try {
      const stat = readFileSync(`/proc/${name}/stat`, "utf8");
      parents.set(Number(name), Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]));
    } catch {
      // It ended in the meantime.
    }
  }
  const below = (pid: number | undefined): boolean =>
    pid !== undefined && pid > 1 && (pid === root || below(parents.get(pid)));
  return [...parents].filter(([pid, parent]) => pid !== root && below(parent)).map(([pid]) => pid);
}
