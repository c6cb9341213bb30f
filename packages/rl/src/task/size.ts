// How many questions a task has, for estimates.
import { existsSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { expandInputs } from "@nsa/data";
import { findTask, readRecords } from "@nsa/tasks";
import type { RlTask } from "./config.ts";

/** Questions taken from a family where a recipe does not say how many. */
export const FAMILY_QUESTIONS = 256;
/** Share of records that is held out where a task has no training records of its own. */
export const HELD_OUT_SHARE = 0.1;

/** Records of the files that are there. Throws NsaError `data_not_json` (exit 3). */
function countRecords(patterns: readonly string[], folder = "."): number {
  const paths = patterns.map((p) => (isAbsolute(p) ? p : join(folder, p)));
  const found = expandInputs(paths.filter((p) => p.includes("*") || existsSync(p)));
  let records = 0;
  for (const path of found) for (const _ of readRecords(path)) records++;
  return records;
}

/** Records of a file or task, at most its `limit`; undefined for families, whose problems have no end. */
export function recordCount({ file, task, files, dataDir, limit }: RlTask): number | undefined {
  if (file === "" && task === "") return undefined;
  const records =
    file !== ""
      ? countRecords([file])
      : countRecords(files.length > 0 ? files : findTask(task).files, dataDir);
  return Math.min(records, limit ?? Number.POSITIVE_INFINITY);
}
