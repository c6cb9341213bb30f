// Append-only JSONL files that can be cut back to a step, so that resumed runs have no doubled rows.
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, truncateSync, writeSync } from "node:fs";
import { explainWriteError } from "./atomic.ts";

/** One JSONL file. Rows are written through at once: a killed process loses at most the row it was writing. */
export class JsonlFile {
  readonly path: string;
  #fd: number | null = null;

  constructor(path: string) {
    this.path = path;
  }

  append(row: object): void {
    this.#fd ??= openSync(this.path, "a");
    try {
      const bytes = Buffer.from(`${JSON.stringify(row)}\n`);
      for (let at = 0; at < bytes.length; ) at += writeSync(this.#fd, bytes, at);
    } catch (error) {
      throw explainWriteError(this.path, error);
    }
  }

  /** Length in bytes. */
  offset(): number {
    return existsSync(this.path) ? readFileSync(this.path).length : 0;
  }

  /** Cuts the file to `offset` bytes. */
  truncate(offset: number): void {
    this.close();
    if (existsSync(this.path)) truncateSync(this.path, offset);
  }

  /** Keeps the rows before the first one whose `step` is above the given step; drops a half-written last row. */
  truncateToStep(step: number): void {
    this.close();
    if (!existsSync(this.path)) return;
    const bytes = readFileSync(this.path);
    let keep = 0;
    for (;;) {
      const end = bytes.indexOf(10, keep);
      if (end < 0) break;
      let row: { step?: unknown };
      try {
        row = JSON.parse(bytes.toString("utf8", keep, end));
      } catch {
        break;
      }
      if (typeof row.step === "number" && row.step > step) break;
      keep = end + 1;
    }
    if (keep !== bytes.length) truncateSync(this.path, keep);
  }

  close(): void {
    if (this.#fd === null) return;
    fsyncSync(this.#fd);
    closeSync(this.#fd);
    this.#fd = null;
  }
}

/** Reads a whole JSONL file; a half-written last line is left out. */
export function readJsonl<T = Record<string, unknown>>(path: string): T[] {
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, "utf8").split("\n");
  lines.pop();
  return lines.filter((line) => line !== "").map((line) => JSON.parse(line) as T);
}
