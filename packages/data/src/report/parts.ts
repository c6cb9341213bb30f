// Building blocks of the HTML reports of `nsa data`: tables, the score histogram, the page around them.
import type { ContaminationReport } from "../loop/contamination.ts";
import type { NearSample } from "../loop/samples.ts";
import type { FunnelRow } from "../loop/steps.ts";

const ESCAPES: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
export const escapeHtml = (text: string) => text.replace(/[&<>"]/g, (ch) => ESCAPES[ch]!);
export const count = (n: number | undefined) => (n === undefined ? "" : n.toLocaleString("en-US"));
export const percent = (share: number) => `${(100 * share).toFixed(1)} %`;

const STYLE =
  "body{font:15px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem;color:#222}table{border-collapse:collapse;margin:1rem 0}td,th{padding:.2rem .8rem;border-bottom:1px solid #ddd;text-align:left;vertical-align:top}td.n{text-align:right;font-variant-numeric:tabular-nums}.kept{color:#06633a}.dropped{color:#8a1c1c}pre{white-space:pre-wrap;margin:0;font-size:12px}";

export type Cell = string | number | undefined;

export function table(head: string[], rows: Cell[][]): string {
  const cell = (value: Cell) =>
    typeof value === "number" ? `<td class="n">${count(value)}</td>` : `<td>${escapeHtml(value ?? "")}</td>`;
  const body = rows.map((row) => `<tr>${row.map(cell).join("")}</tr>`).join("\n");
  return `<table><tr>${head.map((h) => `<th>${escapeHtml(h)}</th>`).join("")}</tr>\n${body}</table>`;
}

/** Bars of the square roots, so that the sparse middle of the scores stays visible; the cut is a line. */
export function scoreHistogram(bins: readonly number[], threshold?: number): string {
  const [width, height] = [640, 140];
  const top = Math.sqrt(Math.max(1, ...bins));
  const step = width / bins.length;
  const bars = bins.map((n, i) => {
    const h = (Math.sqrt(n) / top) * height;
    const label = `${(i / bins.length).toFixed(2)} to ${((i + 1) / bins.length).toFixed(2)}: ${count(n)}`;
    return `<rect x="${(i * step).toFixed(1)}" y="${(height - h).toFixed(1)}" width="${(step - 1).toFixed(1)}" height="${h.toFixed(1)}" fill="#4a7ebb"><title>${label}</title></rect>`;
  });
  const at = (Math.min(1, threshold ?? 0) * width).toFixed(1);
  const cut =
    threshold === undefined
      ? ""
      : `<line x1="${at}" x2="${at}" y1="0" y2="${height}" stroke="#b00" stroke-dasharray="4 3"/>`;
  const legend = threshold === undefined ? "√ of pages" : `√ of pages; red: cut at ${threshold.toFixed(3)}`;
  return `<svg viewBox="0 0 ${width} ${height + 18}" width="${width}" role="img" aria-label="score histogram">${bars.join("")}${cut}<text x="0" y="${height + 14}" font-size="12">0</text><text x="${width}" y="${height + 14}" font-size="12" text-anchor="end">score 1 (${legend})</text></svg>`;
}

/** `duplicates 3, short 17` */
const detail = (d: Record<string, number> | undefined) =>
  Object.entries(d ?? {})
    .map(([reason, n]) => `${reason} ${count(n)}`)
    .join(", ");

export function funnelSection(funnel: readonly FunnelRow[]): string {
  return `<h2>Funnel</h2>
${table(
  ["step", "documents", "tokens", "removed or refused"],
  funnel.map((row) => [row.step, row.documents, row.tokens, detail(row.detail)]),
)}`;
}

export function contaminationSection(report: ContaminationReport): string {
  const { benchmarks, commonGrams, warning, files } = report;
  return `<h2>Contamination</h2>
${warning ? `<p class="dropped">${escapeHtml(warning)}</p>` : ""}
${table(
  ["benchmark", "pages dropped", "items hit"],
  benchmarks.map((b) => [b.benchmark, b.pages, b.items]),
)}
${table(
  ["benchmark", "its item", "page dropped", "words that both have"],
  benchmarks.flatMap((b) => b.dropped.map((d) => [b.benchmark, d.item, d.url || d.id, d.gram])),
)}
<p>All of them: ${escapeHtml(files.join(", "))}</p>
${table(
  ["gram", "pages"],
  commonGrams.map((g) => [g.gram, g.pages]),
)}`;
}

export function samplesSection(samples: readonly NearSample[]): string {
  const shown = samples.map(
    (s) =>
      `<tr><td class="${s.kept ? "kept" : "dropped"}">${s.kept ? "kept" : "dropped"}</td><td class="n">${s.score.toFixed(4)}</td><td>${escapeHtml(s.url || s.id)}<pre>${escapeHtml(s.excerpt)}</pre></td></tr>`,
  );
  return `<h2>Pages near the cut</h2>
<table><tr><th></th><th>score</th><th>page</th></tr>
${shown.join("\n")}</table>`;
}

export function pageHtml(title: string, body: string): string {
  return `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>${escapeHtml(title)}</title><style>${STYLE}</style></head><body>
<h1>${escapeHtml(title)}</h1>
${body}
</body></html>
`;
}
