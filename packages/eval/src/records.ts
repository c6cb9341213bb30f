// JSONL records as text: one object a line, put into a template by field name.
import { readFileSync, statSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { NsaError } from "@nsa/core";

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

/** Python writes NaN where a value is absent; JSON has only null. */
function parseRow(row: string): unknown {
  try {
    return JSON.parse(row);
  } catch (error) {
    if (!row.includes("NaN")) throw error;
    return JSON.parse(row.replace(/([[,:]\s*)NaN(?=\s*[,\]}])/g, "$1null"));
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
  const bytes = readFileSync(path);
  const text = (path.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString("utf8");
  let line = 0;
  for (const row of text.split("\n")) {
    line++;
    if (row.trim() === "") continue;
    const place = `${path}:${line}`;
    let record: unknown;
    try {
      record = parseRow(row);
    } catch {
      record = null;
    }
    if (typeof record !== "object" || record === null) {
      throw new NsaError({
        code: "data_not_json",
        what: place,
        why: "the line is not a JSON object",
        fix: "a template needs one JSON object a line",
        exitCode: 3,
      });
    }
    yield { record: record as Record<string, unknown>, place };
  }
}
