// How many questions a task has, for estimates: without reading its records.
import { existsSync } from "node:fs";
import { isAbsolute, join } from "node:path";
import { eachLine } from "@nsa/core";
import { expandInputs } from "@nsa/data";
import { findTask } from "@nsa/tasks";
import type { RlTask } from "./config.ts";

/** Questions taken from a family where a recipe does not say how many. */
export const FAMILY_QUESTIONS = 256;
/** Share of records that is held out where a task has no training records of its own. */
export const HELD_OUT_SHARE = 0.1;

/** Lines of the files that are there. */
export function lineCount(patterns: readonly string[], folder = "."): number {
  const paths = patterns.map((p) => (isAbsolute(p) ? p : join(folder, p)));
  const found = expandInputs(paths.filter((p) => p.includes("*") || existsSync(p)));
  let lines = 0;
  for (const path of found) for (const line of eachLine(path)) if (line.length > 0) lines++;
  return lines;
}

/** Records of a file or task, at most its `limit`; undefined for families, whose problems have no end. */
export function recordCount({ file, task, files, dataDir, limit }: RlTask): number | undefined {
  if (file === "" && task === "") return undefined;
  const lines =
    file !== "" ? lineCount([file]) : lineCount(files.length > 0 ? files : findTask(task).files, dataDir);
  return Math.min(lines, limit ?? Number.POSITIVE_INFINITY);
}
