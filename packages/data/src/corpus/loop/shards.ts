// The files of a cleaned shard: `NAME.jsonl` (documents), `NAME.rows` (where each lies, its tokens), `NAME.pages.jsonl`
// (id, url, domain), and the score and collected columns that rounds add. One reader for each.
import { readWhole } from "@nsa/core";
import type { Document } from "../readers/document.ts";
import { JsonlWriter } from "../readers/write.ts";
import { ByteColumn, readF32 } from "./column.ts";

/** Byte offset f64, byte length u32, tokens u32. */
const ROW_BYTES = 16;
/** Characters of a title that pages keep. */
const TITLE = 80;

export interface Rows {
  count: number;
  offset(i: number): number;
  bytes(i: number): number;
  tokens(i: number): number;
}

export interface Page {
  id: string;
  url: string;
  domain: string;
  /** Its first characters; absent in files of older versions. */
  title?: string;
}

export class ShardWriter {
  private documents: JsonlWriter;
  private pages: JsonlWriter;
  private rows = new ByteColumn();
  private offset = 0;
  documentsWritten = 0;
  tokens = 0;
  constructor(
    documentsPath: string,
    private rowsPath: string,
    pagesPath: string,
    /** Tokens of a text, as budgets count them. */
    private tokensOf: (text: string) => number,
  ) {
    this.documents = new JsonlWriter(documentsPath);
    this.pages = new JsonlWriter(pagesPath);
  }
  /** `line` is the document in JSON, without a newline. */
  write(document: Document, line: Buffer): void {
    const bytes = line.length;
    const tokens = this.tokensOf(document.text);
    const row = this.rows.extend(ROW_BYTES);
    row.bytes.writeDoubleLE(this.offset, row.at);
    row.bytes.writeUInt32LE(bytes, row.at + 8);
    row.bytes.writeUInt32LE(tokens, row.at + 12);
    this.offset += bytes + 1;
    this.documents.bytes(line);
    const { id, url, domain, title } = document;
    this.pages.write({ id, url, domain, title: title.slice(0, TITLE) } satisfies Page);
    this.documentsWritten++;
    this.tokens += tokens;
  }
  close(writeFile: (path: string, bytes: Buffer) => void): void {
    this.documents.close();
    this.pages.close();
    writeFile(this.rowsPath, this.rows.view());
  }
}

/** Tokens that the budget counts for a text: its UTF-8 bytes over `bytesPerToken`, at least 1. */
export function tokenCount(text: string, bytesPerToken: number): number {
  return Math.max(1, Math.round(Buffer.byteLength(text) / bytesPerToken));
}

export function readRows(path: string): Rows {
  const b = readWhole(path);
  return {
    count: b.length / ROW_BYTES,
    offset: (i) => b.readDoubleLE(i * ROW_BYTES),
    bytes: (i) => b.readUInt32LE(i * ROW_BYTES + 8),
    tokens: (i) => b.readUInt32LE(i * ROW_BYTES + 12),
  };
}

export const readScores = readF32;

export function scoresBytes(scores: Float32Array | number[]): Buffer {
  const f = Float32Array.from(scores);
  return Buffer.from(f.buffer, f.byteOffset, f.byteLength);
}
