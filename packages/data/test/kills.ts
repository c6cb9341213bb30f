// A process tree that is killed at random moments and started again: what it had finished, what it was working on.
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";

const filesOf = (dir: string): string[] =>
  existsSync(dir)
    ? readdirSync(dir, { recursive: true, withFileTypes: true })
        .filter((e) => e.isFile())
        .map((e) => join(e.parentPath, e.name))
    : [];

/** Modification times of the manifests of finished tasks. */
export function finishedTasks(outDir: string): Map<string, number> {
  const paths = filesOf(join(outDir, "manifests")).filter((p) => p.endsWith(".json"));
  return new Map(paths.map((p) => [p, statSync(p).mtimeMs]));
}

/** Tasks that have temporary outputs, by the name they share. */
export function tasksUnderWay(outDir: string): number {
  const names = filesOf(outDir).flatMap((p) => /([^/]+?)\.[\w.]+\.tmp-\d+[^/]*$/.exec(p)?.[1] ?? []);
  return new Set(names).size;
}

/** Peak memory of a process and of each below it, MB, by pid. */
export function peakMemories(root: number, peaks: Map<number, number>): void {
  const parents = new Map<number, number>();
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const status = readFileSync(`/proc/${name}/status`, "utf8");
      parents.set(Number(name), Number(/^PPid:\s+(\d+)/m.exec(status)![1]));
      const peak = /^VmHWM:\s+(\d+)/m.exec(status);
      const descends = (pid: number): boolean =>
        pid === root || (parents.has(pid) && descends(parents.get(pid)!));
      if (peak && descends(Number(name))) peaks.set(Number(name), Number(peak[1]) / 1024);
    } catch {
      // The process ended between the listing and the reading.
    }
  }
}

export interface Attempt {
  killed: boolean;
  seconds: number;
  stdout: string;
}

/** Runs a Node process in a group of its own; after `killAfter` seconds the whole group gets SIGKILL. */
export async function attempt(
  args: string[],
  killAfter: number | undefined,
  peaks: Map<number, number>,
): Promise<Attempt> {
  const start = performance.now();
  const child: ChildProcess = spawn(process.execPath, args, {
    detached: true,
    stdio: ["ignore", "pipe", "inherit"],
  });
  let stdout = "";
  child.stdout!.on("data", (chunk: Buffer) => {
    stdout += chunk.toString();
  });
  const watch = setInterval(() => peakMemories(child.pid!, peaks), 500);
  const timer =
    killAfter === undefined
      ? undefined
      : setTimeout(() => process.kill(-child.pid!, "SIGKILL"), killAfter * 1000);
  const code = await new Promise<number | null>((done) => child.on("exit", (exit) => done(exit)));
  clearInterval(watch);
  clearTimeout(timer);
  if (code !== null && code !== 0) throw new Error(`the run ended with code ${code}`);
  return { killed: code === null, seconds: (performance.now() - start) / 1000, stdout };
}
