// Rows of our own JSONL files, parsed one at a time.
import { eachLine } from "@nsa/core";
import { decodeUtf8 } from "../text/decode.ts";

export function forEachJson<T>(path: string, visit: (row: T, index: number) => void): void {
  let index = 0;
  for (const row of eachJson<T>(path)) visit(row, index++);
}

export function* eachJson<T>(path: string): Generator<T> {
  for (const { row } of eachRow<T>(path)) yield row;
}

/** Rows with the bytes of their lines, which are valid until the next row. */
export function* eachRow<T>(path: string): Generator<{ row: T; line: Buffer }> {
  for (const line of eachLine(path)) yield { row: JSON.parse(decodeUtf8(line)) as T, line };
}
