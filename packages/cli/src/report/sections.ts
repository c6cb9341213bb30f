// Draws the parts of a report that a stage's definition gives as plain data.
import type { ReportSection } from "@nsa/core";
import { bars, curve, escapeHtml, heatMap, table } from "@nsa/report";
import { figure } from "../view/format.ts";

const DRAW: Record<ReportSection["kind"], (section: ReportSection) => string> = {
  table: ({ columns, rows }) =>
    table(
      columns,
      rows.map((row) => row.map((cell) => (typeof cell === "number" ? figure(cell) : cell))),
    ),
  curve: ({ title, columns, rows }) => {
    const series = columns.slice(1).map((name, i) => ({
      name,
      points: rows.flatMap((row) => {
        const [x, y] = [row[0], row[i + 1]];
        return typeof x === "number" && typeof y === "number" ? [{ x, y }] : [];
      }),
    }));
    return `<div class="charts">${curve(title, series)}</div>`;
  },
  bars: ({ rows }) =>
    bars(
      rows.map(([label, value, text]) => ({
        label: String(label),
        value: Number(value),
        text: String(text ?? figure(Number(value))),
      })),
    ),
  heat: ({ title, columns, rows }) =>
    heatMap({
      title,
      columns: columns.slice(1),
      rows: rows.map(([label]) => String(label)),
      values: columns.slice(1).map((_, c) => rows.map((row) => Number(row[c + 1]))),
      columnTitle: "",
      rowTitle: columns[0] ?? "",
    }),
  text: ({ rows }) => rows.map((row) => `<p>${escapeHtml(row.join(" "))}</p>`).join(""),
};

export const drawSections = (sections: readonly ReportSection[]): string =>
  sections.map((section) => `<h2>${escapeHtml(section.title)}</h2>${DRAW[section.kind](section)}`).join("\n");
