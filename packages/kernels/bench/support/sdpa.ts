// Times of PyTorch's SDPA with cuDNN on the same card, from a Python process beside us; undefined where there is none.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

const script = fileURLToPath(new URL("sdpa.py", import.meta.url));

/** Milliseconds by "heads/kv heads/dim Nk". */
export function sdpaTimes(
  shapes: string[],
  lengths: number[],
  runs: number,
): Record<string, { forward: number; both: number }> | undefined {
  const words = [script, shapes.join(","), lengths.join(","), String(runs)];
  const child = spawnSync("python3", words, { encoding: "utf8", timeout: 240_000 });
  if (child.status !== 0) return undefined;
  try {
    return JSON.parse(child.stdout.trim().split("\n").at(-1)!);
  } catch {
    return undefined;
  }
}
