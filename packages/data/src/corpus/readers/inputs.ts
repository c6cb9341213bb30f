// Input paths of a config: `*` matches within file names; the order is sorted, so shard names are stable.
import { existsSync, readdirSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { NsaError } from "@nsa/core";

function missing(pattern: string, why: string): NsaError {
  return new NsaError({
    code: "input_missing",
    what: `no input file for ${pattern}`,
    why,
    fix: "check the path; `*` matches in file names only, folders are written out",
    exitCode: 3,
  });
}

/** Absolute paths for a list of paths and patterns, in the given order, matches sorted, each file once. */
export function expandInputs(patterns: string[], base = process.cwd()): string[] {
  const out = new Set<string>();
  for (const pattern of patterns) {
    const path = resolve(base, pattern);
    if (!pattern.includes("*")) {
      if (!existsSync(path)) throw missing(pattern, "the file is not there");
      out.add(path);
      continue;
    }
    const folder = dirname(path);
    if (!existsSync(folder)) throw missing(pattern, `the folder ${dirname(pattern)} is not there`);
    const name = new RegExp(
      `^${basename(path)
        .split("*")
        .map((s) => s.replace(/[.+?^${}()|[\]\\]/g, "\\$&"))
        .join(".*")}$`,
    );
    const found = readdirSync(folder)
      .filter((f) => name.test(f))
      .sort();
    if (found.length === 0) throw missing(pattern, "nothing matches");
    for (const f of found) out.add(join(folder, f));
  }
  return [...out];
}

/** Shard name of the i-th input: its ordinal and its base name without extensions. */
export function shardName(path: string, i: number): string {
  const stem = basename(path)
    .replace(/\.(gz|zst)$/i, "")
    .replace(/\.\w+$/, "");
  return `${String(i).padStart(5, "0")}-${stem.replace(/[^\w.-]/g, "_")}`;
}
