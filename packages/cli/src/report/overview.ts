// What a stage came to in one line, from the text of its definition: `validation loss {val/loss|train/loss:figure}`.

import { count, figure, percent } from "../view/format.ts";
import type { Row } from "./charts.ts";

const FORMATS: Record<string, (value: number) => string> = { figure, count, percent, "": String };

/** The last value of a metric; `*end` means the first metric of the last row with that end. */
function last(rows: readonly Row[], name: string): number | undefined {
  const wanted = name.startsWith("*")
    ? Object.keys(rows.at(-1) ?? {}).find((key) => key.endsWith(name.slice(1)))
    : name;
  if (wanted === undefined) return undefined;
  const value = rows.findLast((row) => typeof row[wanted] === "number")?.[wanted];
  return typeof value === "number" ? value : undefined;
}

/** The text with its figures; nothing where none of them is there. */
export function resultOf(template: string, rows: readonly Row[]): string {
  let found = 0;
  const text = template.replace(/\{([^{}:]+)(?::(\w+))?\}/g, (_, names: string, format = "") => {
    const value = names
      .split("|")
      .map((name) => last(rows, name))
      .find((v) => v !== undefined);
    if (value === undefined) return "–";
    found++;
    return (FORMATS[format] ?? figure)(value);
  });
  return found > 0 || text === template ? text : "";
}
