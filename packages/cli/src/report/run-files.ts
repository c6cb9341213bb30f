// What a run folder holds, as text.
import { existsSync, readFileSync } from "node:fs";

/** Text of a file of the run, or nothing. */
export function readIfThere(path: string): string {
  return existsSync(path) ? readFileSync(path, "utf8") : "";
}
