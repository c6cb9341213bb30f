// JSONL records as text: one object a line, put into a template by field name.
import { statSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { eachLine, NsaError, readWhole, withoutMark } from "@nsa/core";
import { parsePythonJson } from "@nsa/data";

/** The template with every `{field}` replaced. Throws NsaError `data_field_missing` (exit 3). */
export function fillTemplate(template: string, record: Record<string, unknown>, place: string): string {
  return template.replace(/\{(\w+)\}/g, (_, field: string) => {
    const value = record[field];
    if (typeof value === "string" || typeof value === "number") return String(value);
    throw new NsaError({
      code: "data_field_missing",
      what: `${place}: no field \`${field}\``,
      why: `the template asks for it; the record has ${Object.keys(record).join(", ")}`,
      fix: "correct the recipe's template",
      exitCode: 3,
    });
  });
}

/** Lines of a text that is longer than a string can be. */
function* linesOf(bytes: Buffer): Generator<Buffer> {
  for (let from = 0; from < bytes.length; ) {
    const end = bytes.indexOf(10, from);
    yield bytes.subarray(from, end < 0 ? bytes.length : end);
    from = end < 0 ? bytes.length : end + 1;
  }
}

/** Objects of a .jsonl or .jsonl.gz file with their place. Throws NsaError `data_not_json` (exit 3). */
export function* readRecords(path: string): Generator<{ record: Record<string, unknown>; place: string }> {
  if (statSync(path).isDirectory()) {
    throw new NsaError({
      code: "data_not_json",
      what: path,
      why: "it is a folder",
      fix: "name its files, e.g. folder/*.jsonl",
      exitCode: 3,
    });
  }
  let line = 0;
  for (const bytes of path.endsWith(".gz") ? linesOf(gunzipSync(readWhole(path))) : eachLine(path)) {
    line++;
    const row = line === 1 ? withoutMark(bytes.toString("utf8")) : bytes.toString("utf8");
    if (row.trim() === "") continue;
    const place = `${path}:${line}`;
    let record: unknown;
    try {
      record = parsePythonJson(row);
    } catch {
      record = null;
    }
    if (typeof record !== "object" || record === null) {
      throw new NsaError({
        code: "data_not_json",
        what: place,
        why: "the line is not a JSON object",
        fix: "give one JSON object a line, or remove the line",
        exitCode: 3,
      });
    }
    yield { record: record as Record<string, unknown>, place };
  }
}
