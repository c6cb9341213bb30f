// What the benches of whole recipes share: their own arguments, and the command line run in a folder.
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { atomicWriteFile } from "@nsa/core";

export const root = resolve(import.meta.dirname, "../../../..");

/** The text behind `--name` among the bench's arguments. */
export function textArgument(name: string): string | undefined {
  const words: string[] = JSON.parse(process.env.NSA_BENCH_ARGS ?? "[]");
  const at = words.indexOf(`--${name}`);
  return at < 0 ? undefined : words[at + 1];
}

/** The number behind `--name` among the bench's arguments. */
export function argument(name: string, fallback: number): number {
  return Number(textArgument(name) ?? fallback);
}

/**
 * What was measured under this name. With `--keep folder` it is read from `folder/<name>.json` where that exists, else measured and
 * written there, so that seeds can be measured in several processes or sessions and concluded on by one more run.
 */
export async function measureOnce<T>(name: string, measure: () => Promise<T>): Promise<T> {
  const folder = textArgument("keep");
  if (folder === undefined) return await measure();
  const file = join(folder, `${name}.json`);
  if (existsSync(file)) return JSON.parse(readFileSync(file, "utf8")) as T;
  const measured = await measure();
  mkdirSync(folder, { recursive: true });
  atomicWriteFile(file, `${JSON.stringify(measured)}\n`);
  return measured;
}

/** The device that the bench runs on. */
export const deviceArgument = (): string => textArgument("device") ?? "cpu";

/** Runs the command line in `cwd` and returns its JSON lines. Throws with the end of its errors where it fails. */
export function nsa(cwd: string, args: string[]): Promise<Record<string, unknown>[]> {
  return new Promise((done, failed) => {
    const words = [
      join(root, "scripts/nsa.mjs"),
      ...args,
      "--device",
      textArgument("device") ?? "cpu",
      "--json",
    ];
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
