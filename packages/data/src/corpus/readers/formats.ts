// The format of an input by its name.
import { basename } from "node:path";
import { NsaError } from "@nsa/core";
import { isCodeName } from "./code.ts";

export type InputFormat = "jsonl" | "archive" | "parquet" | "html" | "text" | "latex" | "code" | "tar";

const FORMATS: [RegExp, InputFormat][] = [
  [/\.(jsonl|ndjson|json)$/, "jsonl"],
  [/\.(warc|wet|arc)$/, "archive"],
  [/\.parquet$/, "parquet"],
  [/\.(html?|xhtml)$/, "html"],
  [/\.(txt|text|md|rst)$/, "text"],
  [/\.(tex|ltx)$/, "latex"],
  [/\.(tar|tgz)$/, "tar"],
];

/** Format by name, compression suffix aside; undefined for names of no format. */
export function formatOfName(path: string): InputFormat | undefined {
  const name = basename(path)
    .toLowerCase()
    .replace(/\.(gz|zst)$/, "");
  return FORMATS.find(([pattern]) => pattern.test(name))?.[1] ?? (isCodeName(name) ? "code" : undefined);
}

/** The same. Throws NsaError `input_format` (exit 2). */
export function formatOf(path: string): InputFormat {
  const format = formatOfName(path);
  if (format) return format;
  throw new NsaError({
    code: "input_format",
    what: `the format of ${path} is unknown`,
    why: "its name ends in none of .jsonl .warc .wet .arc .parquet .html .txt .tex .tar or a programming language's (with .gz or .zst, but for Parquet)",
    fix: "rename the file",
    exitCode: 2,
  });
}
