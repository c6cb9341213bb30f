// The built command for tests: bundles what is stale and runs it as a user would.
import { type SpawnSyncReturns, spawnSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../../../", import.meta.url));
export const bundle = join(root, "packages/cli/dist/nsa.mjs");

let built = false;

export function buildOnce(): void {
  if (built) return;
  const build = spawnSync(process.execPath, ["scripts/build.mjs"], { cwd: root, encoding: "utf8" });
  if (build.status !== 0) throw new Error(build.stderr);
  built = true;
}

export interface RunOptions {
  cwd?: string;
  env?: Record<string, string>;
  flags?: string[];
  input?: string;
}

/** Runs `nsa …` to its end, with no terminal. */
export function nsa(args: readonly string[], options: RunOptions = {}): SpawnSyncReturns<string> {
  buildOnce();
  return spawnSync(process.execPath, [...(options.flags ?? []), bundle, ...args], {
    cwd: options.cwd ?? root,
    encoding: "utf8",
    input: options.input,
    env: { ...process.env, ...options.env },
    timeout: 120_000,
  });
}
