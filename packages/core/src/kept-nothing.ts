// Why a file of outputs is empty: a run of `nsa sample` whose `keep` no output passed leaves one.
import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { parse } from "yaml";

/** The `keep` of the run whose folder the file is in; undefined where there is none, or where it leaves nothing out. */
function keepOf(file: string): unknown {
  try {
    const { keep } = parse(readFileSync(join(dirname(file), "config.yaml"), "utf8")) as { keep?: unknown };
    return keep === "all" ? undefined : keep;
  } catch {
    // No run's folder, or a recipe that cannot be read.
    return undefined;
  }
}

/** What to write of the first file that is empty because its run kept no output; undefined where there is none. */
export function keptNothing(files: readonly string[]): { why: string; fix: string } | undefined {
  for (const file of files) {
    if (!existsSync(file) || statSync(file).size > 0) continue;
    const keep = keepOf(file);
    if (keep === undefined) continue;
    return {
      why: `${file} is empty: no output of that run of \`nsa sample\` passed its keep (${JSON.stringify(keep)})`,
      fix: "sample again with `keep: all` or a less strict `keep`, with more outputs per question, or from a checkpoint that solves more",
    };
  }
  return undefined;
}
