// Append-only JSONL files that can be cut back to a step, so that resumed runs have no doubled rows.
import { closeSync, existsSync, fsyncSync, openSync, statSync, truncateSync } from "node:fs";
import { explainWriteError, withWriteErrors, writeFully } from "./atomic.ts";
import { ExitCode, NsaError } from "./errors.ts";
import { checkHeld } from "./held-folder.ts";
import { eachLine, withoutMark } from "./lines.ts";

function damagedRow(path: string, line: number): NsaError {
  return new NsaError({
    code: "rows_damaged",
    what: `${path}:${line} is not a JSON object`,
    why: "a killed process leaves at most its last line unfinished, so the file was changed by something else",
    fix: "put the file back, or begin the run again",
    exitCode: ExitCode.data,
  });
}

/** The object that a line is; undefined where it is none. */
function objectOf(line: string): Record<string, unknown> | undefined {
  try {
    const row: unknown = JSON.parse(line);
    return typeof row === "object" && row !== null && !Array.isArray(row)
      ? (row as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}

interface WholeRow {
  /** Undefined for a blank line. */
  row: Record<string, unknown> | undefined;
  /** Offset in bytes after the line. */
  end: number;
}

/**
 * Lines that have their ends, which the last has not if it was being written; a byte order mark in front is passed over. Throws NsaError
 * `rows_damaged`, `path_unusable` (exit 3).
 */
function* wholeRows(path: string): Generator<WholeRow> {
  const { size } = statSync(path);
  let end = 0;
  let number = 0;
  for (const line of eachLine(path)) {
    end += line.length + 1;
    number++;
    if (end > size) return;
    const text = number === 1 ? withoutMark(line.toString("utf8")) : line.toString("utf8");
    const row = objectOf(text);
    // Cutting a damaged line off would lose the rows after it.
    if (!row && text.trim() !== "") throw damagedRow(path, number);
    yield { row, end };
  }
}

/** One JSONL file. Rows are written through at once: a killed process loses at most the row it was writing. */
export class JsonlFile {
  readonly path: string;
  #fd: number | null = null;

  constructor(path: string) {
    this.path = path;
  }

  append(row: object): void {
    this.appendAll([row]);
  }

  /** Rows by one write. */
  appendAll(rows: readonly object[]): void {
    if (rows.length === 0) return;
    withWriteErrors(this.path, () => {
      this.#fd ??= openSync(this.path, "a");
      writeFully(this.#fd, Buffer.from(rows.map((row) => `${JSON.stringify(row)}\n`).join("")));
    });
  }

  /** Length in bytes. */
  offset(): number {
    return existsSync(this.path) ? statSync(this.path).size : 0;
  }

  /** Cuts the file to `offset` bytes. */
  truncate(offset: number): void {
    this.close();
    checkHeld(this.path);
    if (existsSync(this.path)) truncateSync(this.path, offset);
  }

  /** Keeps the rows before the first one whose `step` is above the given step; drops a half-written last row. */
  truncateToStep(step: number): void {
    this.close();
    if (!existsSync(this.path)) return;
    const { size } = statSync(this.path);
    let keep = 0;
    for (const { row, end } of wholeRows(this.path)) {
      if (typeof row?.step === "number" && row.step > step) break;
      keep = end;
    }
    checkHeld(this.path);
    if (keep !== size) truncateSync(this.path, keep);
  }

  /** Makes the rows so far outlive a power cut: before a state that counts them is written. */
  sync(): void {
    const fd = this.#fd;
    if (fd !== null) withWriteErrors(this.path, () => fsyncSync(fd));
  }

  close(): void {
    const fd = this.#fd;
    if (fd === null) return;
    this.#fd = null;
    try {
      fsyncSync(fd);
    } catch (error) {
      throw explainWriteError(this.path, error);
    } finally {
      closeSync(fd);
    }
  }
}

/** Reads a whole JSONL file; a half-written last line is left out. Throws NsaError `rows_damaged`, `path_unusable` (exit 3). */
export function readJsonl<T = Record<string, unknown>>(path: string): T[] {
  if (!existsSync(path)) return [];
  const rows: T[] = [];
  for (const { row } of wholeRows(path)) if (row) rows.push(row as T);
  return rows;
}
