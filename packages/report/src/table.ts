// HTML tables of reports.
import { count, escapeHtml } from "./escape.ts";

/** A number is aligned to the right, with thousands separated; undefined is an empty cell. */
export type Cell = string | number | undefined;

/** A table from cells; the columns named in `raw` (by index) hold HTML, all others text. */
export function table(
  header: readonly string[],
  rows: readonly (readonly Cell[])[],
  raw: readonly number[] = [],
): string {
  const cell = (value: Cell, column: number) => {
    if (typeof value === "number") return `<td class="n">${count(value)}</td>`;
    return `<td>${raw.includes(column) ? value : escapeHtml(value ?? "")}</td>`;
  };
  const head = header.map((text) => `<th>${escapeHtml(text)}</th>`).join("");
  const body = rows.map((row) => `<tr>${row.map(cell).join("")}</tr>`).join("\n");
  return `<table><tr>${head}</tr>\n${body}</table>`;
}
