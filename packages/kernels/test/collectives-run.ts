// Ranks of the collectives' tests: each a process that runs a script and prints what it holds.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { makeRankPipes } from "../src/index.ts";
import type { Call } from "./collectives-main.ts";

export interface Outcome {
  code: number | null;
  out: unknown;
}

export function start(
  rank: number,
  world: number,
  folder: string,
  script: Call[],
  env: Record<string, string> = {},
): Promise<Outcome> {
  const main = join(import.meta.dirname, "collectives-main.ts");
  const flags = ["--conditions=nsa-source", "--import", import.meta.resolve("tsx")];
  const args = [...flags, main, `${rank}`, `${world}`, folder, JSON.stringify(script)];
  const child = spawn(process.execPath, args, {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, ...env },
  });
  let text = "";
  child.stdout.on("data", (x) => {
    text += x;
  });
  return new Promise((resolve) =>
    child.on("close", (code) => resolve({ code, out: text === "" ? undefined : JSON.parse(text) })),
  );
}

/** What each rank holds after each call; a script for all, or one a rank. */
export async function outcomes(
  world: number,
  script: Call[] | ((rank: number) => Call[]),
  env: Record<string, string> = {},
): Promise<Outcome[]> {
  const folder = mkdtempSync(join(tmpdir(), "nsa-collectives-"));
  makeRankPipes(folder, world);
  const of = (rank: number) => (typeof script === "function" ? script(rank) : script);
  const all = await Promise.all(
    Array.from({ length: world }, (_, rank) => start(rank, world, folder, of(rank), env)),
  );
  rmSync(folder, { recursive: true });
  return all;
}

export async function run(
  world: number,
  script: Call[],
  env: Record<string, string> = {},
): Promise<unknown[][]> {
  const all = await outcomes(world, script, env);
  for (const { code, out } of all) expect(code, JSON.stringify(out)).toBe(0);
  return all.map(({ out }) => out as unknown[]);
}

/** Rank r holds r·10 + place, and five numbers of it. */
export const ramp = (world: number, length = 5) =>
  Array.from({ length: world }, (_, r) => Array.from({ length }, (__, i) => 10 * r + i + 1));
