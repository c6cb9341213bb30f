// What the benches of whole recipes share: their own arguments, and the command line run in a folder.
import { spawn } from "node:child_process";
import { join, resolve } from "node:path";

export const root = resolve(import.meta.dirname, "../../../..");

/** The number behind `--name` among the bench's arguments. */
export function argument(name: string, fallback: number): number {
  const words: string[] = JSON.parse(process.env.NSA_BENCH_ARGS ?? "[]");
  const at = words.indexOf(`--${name}`);
  return at < 0 ? fallback : Number(words[at + 1]);
}

/** Runs the command line in `cwd` on the CPU and returns its JSON lines. Throws with the end of its errors where it fails. */
export function nsa(cwd: string, args: string[]): Promise<Record<string, unknown>[]> {
  return new Promise((done, failed) => {
    const words = [join(root, "scripts/nsa.mjs"), ...args, "--device", "cpu", "--json"];
    const child = spawn(process.execPath, words, { cwd });
    let out = "";
    let err = "";
    child.stdout.on("data", (chunk) => {
      out += chunk;
    });
    child.stderr.on("data", (chunk) => {
      err += chunk;
    });
    child.on("close", (code) => {
      if (code !== 0) failed(new Error(`nsa ${args[0]} ended with ${code}: ${err.slice(-500)}`));
      else
        done(
          out
            .split("\n")
            .filter((l) => l.startsWith("{"))
            .map((l) => JSON.parse(l)),
        );
    });
  });
}
