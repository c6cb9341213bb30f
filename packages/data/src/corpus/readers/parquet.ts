// Parquet: one row group at a time, the columns a document needs.
import { gunzipSync } from "node:zlib";
import { decompress as unzstd } from "fzstd";
import {
  asyncBufferFromFile,
  type Compressors,
  parquetMetadataAsync,
  parquetReadObjects,
  parquetSchema,
} from "hyparquet";
import type { ReadEvent } from "./document.ts";
import { refuse } from "./document.ts";
import { documentOf } from "./jsonl.ts";

const compressors: Compressors = {
  GZIP: (input) => gunzipSync(input),
  ZSTD: (input) => unzstd(input),
};
const COLUMNS = ["id", "url", "uri", "domain", "title", "text", "content", "raw_content", "html"];

/** `offset` in the documents' source is the row number. */
export async function* readParquet(path: string, file: string): AsyncGenerator<ReadEvent> {
  const buffer = await asyncBufferFromFile(path);
  const metadata = await parquetMetadataAsync(buffer);
  const present = new Set(parquetSchema(metadata).children.map((c) => c.element.name));
  const columns = COLUMNS.filter((name) => present.has(name));
  let start = 0;
  for (const group of metadata.row_groups) {
    const end = start + Number(group.num_rows);
    const rows = await parquetReadObjects({
      file: buffer,
      metadata,
      columns,
      rowStart: start,
      rowEnd: end,
      compressors,
      // Bytes that are not said to be UTF-8 stay bytes: an HTML page declares its own encoding.
      utf8: false,
    });
    for (let i = 0; i < rows.length; i++) {
      const document = documentOf(rows[i], file, start + i, start + i);
      yield "reason" in document ? refuse(file, start + i, document.reason, "") : { document };
    }
    start = end;
  }
}

/** Rows of a file as plain objects, all columns, one row group at a time. */
export async function* readParquetRows(path: string): AsyncGenerator<Record<string, unknown>> {
  const file = await asyncBufferFromFile(path);
  const metadata = await parquetMetadataAsync(file);
  let start = 0;
  for (const group of metadata.row_groups) {
    const end = start + Number(group.num_rows);
    yield* await parquetReadObjects({ file, metadata, rowStart: start, rowEnd: end, compressors });
    start = end;
  }
}
