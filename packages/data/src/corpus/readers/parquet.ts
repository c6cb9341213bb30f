// Parquet: one row group at a time, the columns a document needs.
import { statSync } from "node:fs";
import type { ReadEvent } from "./document.ts";
import { refuse } from "./document.ts";
import { documentOf } from "./jsonl.ts";
import { type GroupOptions, ParquetFault, parquetError, RowGroups } from "./row-groups.ts";

const COLUMNS = ["id", "url", "uri", "domain", "title", "text", "content", "raw_content", "html"];

/** `offset` in the documents' source is the row number. What cannot be decoded, or not in time, is refused with all behind it. */
export async function* readParquet(
  path: string,
  file: string,
  options: GroupOptions = {},
): AsyncGenerator<ReadEvent> {
  using decoder = new RowGroups(path, statSync(path).size, options);
  let start = 0;
  try {
    const { columns: present, groups } = await decoder.schema();
    const columns = COLUMNS.filter((name) => present.includes(name));
    for (const count of groups) {
      // Bytes that are not said to be UTF-8 stay bytes: an HTML page declares its own encoding.
      const rows = await decoder.rows({ first: start, end: start + count, columns, utf8: false });
      for (let i = 0; i < rows.length; i++) {
        const document = await documentOf(rows[i], file, start + i, start + i);
        yield "reason" in document ? refuse(file, start + i, document.reason, "") : { document };
      }
      start += count;
    }
  } catch (error) {
    if (!(error instanceof ParquetFault)) throw error;
    yield refuse(file, start, error.reason, error.message);
  }
}

/** Rows of a file as plain objects, all columns, one row group at a time. Throws NsaError `parquet_broken`, `parquet_budget` (exit 3). */
export async function* readParquetRows(
  path: string,
  options: GroupOptions = {},
): AsyncGenerator<Record<string, unknown>> {
  using decoder = new RowGroups(path, statSync(path).size, options);
  try {
    let start = 0;
    for (const count of (await decoder.schema()).groups) {
      yield* await decoder.rows({ first: start, end: start + count, columns: null, utf8: true });
      start += count;
    }
  } catch (error) {
    throw error instanceof ParquetFault ? parquetError(path, error) : error;
  }
}
