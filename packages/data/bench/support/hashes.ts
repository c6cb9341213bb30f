// Hashes of all files below a folder, several at once, by the system's sha256sum.
import { spawnSync } from "node:child_process";

/** sha256 by path, reports left out: they hold no clock, but name the folder. */
export function parallelHashes(dir: string, atOnce: number): Map<string, string> {
  const find = "find . -type f ! -path './reports/*' -print0";
  const run = spawnSync("sh", ["-c", `${find} | xargs -0 -P ${atOnce} -n 4 sha256sum`], {
    cwd: dir,
    encoding: "utf8",
    maxBuffer: 1 << 26,
  });
  if (run.status !== 0) throw new Error(`cannot hash ${dir}: ${run.stderr || run.error?.message}`);
  const lines = run.stdout.trim().split("\n");
  return new Map(lines.map((line) => [line.slice(66), line.slice(0, 64)]));
}
