// Index files of web archives: CDXJ as Common Crawl has it, JSON lines as its server answers, and CDX with a header line.
// Each line gives the place of one record: a file and a range of its bytes, which is a gzip member of its own.
import { NsaError } from "@nsa/core";
import { fileSource, splitLines } from "../readers/bytes.ts";

export interface IndexedRecord {
  /** The archive file, relative to where archives lie, or an address. */
  file: string;
  offset: number;
  length: number;
}

const MAX_LINE = 1 << 20;
/** Types of which the reader makes documents. */
const TEXT = /^(?:text\/html|application\/xhtml\+xml|text\/plain|warc\/revisit|-|unk|)$/i;

/** Letters of a CDX header and the names of CDXJ. */
const LETTERS: Record<string, string> = { m: "mime", s: "status", S: "length", V: "offset", g: "filename" };

type Fields = Record<string, unknown>;

function fieldsOf(line: string, header: readonly string[]): Fields | undefined {
  // Keys and addresses may have braces: the object is the whole line, or what follows the key and the time.
  const values = line.split(" ");
  const object = /^(\{.*\})$/.exec(line) ?? /^\S+ +(?:\S+ +)?(\{.*\})$/.exec(line);
  if (object && values.length !== header.length) {
    try {
      return JSON.parse(object[1]!) as Fields;
    } catch {
      return undefined;
    }
  }
  if (header.length === 0 || values.length !== header.length) return undefined;
  return Object.fromEntries(header.map((letter, i) => [LETTERS[letter] ?? letter, values[i]]));
}

const wholeNumber = (value: unknown): number => {
  const number = typeof value === "string" && /^\d+$/.test(value) ? Number(value) : value;
  return typeof number === "number" && Number.isSafeInteger(number) && number >= 0 ? number : Number.NaN;
};

/** The record of a line; "passed" where it holds no text; undefined for what is no line of an index. */
export function indexedRecord(line: string, header: readonly string[]): IndexedRecord | "passed" | undefined {
  const fields = fieldsOf(line, header);
  if (!fields) return undefined;
  const { filename: file, status = "200", mime = "", "mime-detected": detected = mime } = fields;
  const [offset, length] = [wholeNumber(fields.offset), wholeNumber(fields.length)];
  if (typeof file !== "string" || file === "" || Number.isNaN(offset) || !(length > 0)) return undefined;
  const isText = TEXT.test(String(mime)) || TEXT.test(String(detected));
  if (String(status) !== "200" || !isText || mime === "warc/revisit") return "passed";
  return { file, offset, length };
}

/**
 * Records of an index file (also .gz) that hold text. Throws NsaError `index_bad` (exit 3): an index of which a line is missing or
 * cannot be read would leave out pages silently.
 */
export async function* readIndex(path: string): AsyncGenerator<IndexedRecord> {
  const fail = (why: string, number: number) =>
    new NsaError({
      code: "index_bad",
      what: `${path}, line ${number}`,
      why,
      fix: "fetch the index again, or remove the line",
      exitCode: 3,
    });
  let header: string[] = [];
  let number = 0;
  for await (const { bytes, tooLong, gap } of splitLines(fileSource(path).parts(), MAX_LINE)) {
    number++;
    if (gap) throw fail(`${gap.reason} (byte ${gap.at})`, number);
    if (tooLong !== undefined) throw fail(`it has ${tooLong} bytes`, number);
    const line = Buffer.from(bytes).toString("utf8").trimEnd();
    if (line.trim() === "") continue;
    if (/^ ?CDX /.test(line)) {
      header = line.trim().split(" ").slice(1);
      continue;
    }
    const record = indexedRecord(line, header);
    if (record === undefined) throw fail(`it is no line of an index: ${line.slice(0, 80)}`, number);
    if (record !== "passed") yield record;
  }
}
