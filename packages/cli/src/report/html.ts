// Small pieces of HTML that all reports share.

export const escapeHtml = (s: string) =>
  s.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;").replace(/"/g, "&quot;");

export const percent = (x: number) => `${(100 * x).toFixed(1)} %`;

/** A table from cells of text; `raw` columns hold HTML. */
export function table(
  header: readonly string[],
  rows: readonly (readonly string[])[],
  raw: readonly number[] = [],
): string {
  const line = (cells: readonly string[], tag: string) =>
    `<tr>${cells.map((c, i) => `<${tag}>${tag === "td" && raw.includes(i) ? c : escapeHtml(c)}</${tag}>`).join("")}</tr>`;
  return `<table>${line(header, "th")}${rows.map((row) => line(row, "td")).join("")}</table>`;
}
