// `report.html` of a build: one self-contained page with every decision; no clock in it, so reruns give equal bytes.
import type { BuildReport } from "./build.ts";
import type { RoundReport } from "./round.ts";

const ESCAPES: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
const escapeHtml = (text: string) => text.replace(/[&<>"]/g, (ch) => ESCAPES[ch]!);
const count = (n: number | undefined) => (n === undefined ? "" : n.toLocaleString("en-US"));
const percent = (share: number) => `${(100 * share).toFixed(1)} %`;

const STYLE =
  "body{font:15px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem;color:#222}table{border-collapse:collapse;margin:1rem 0}td,th{padding:.2rem .8rem;border-bottom:1px solid #ddd;text-align:left;vertical-align:top}td.n{text-align:right;font-variant-numeric:tabular-nums}.kept{color:#06633a}.dropped{color:#8a1c1c}pre{white-space:pre-wrap;margin:0;font-size:12px}";

type Cell = string | number | undefined;

function table(head: string[], rows: Cell[][]): string {
  const cell = (value: Cell) =>
    typeof value === "number" ? `<td class="n">${count(value)}</td>` : `<td>${escapeHtml(value ?? "")}</td>`;
  const body = rows.map((row) => `<tr>${row.map(cell).join("")}</tr>`).join("\n");
  return `<table><tr>${head.map((h) => `<th>${escapeHtml(h)}</th>`).join("")}</tr>\n${body}</table>`;
}

/** Bars of the square roots, so that the sparse middle of the scores stays visible; the cut is a line. */
function histogram({ histogram: bins, threshold }: RoundReport["rank"]): string {
  const [width, height] = [640, 140];
  const top = Math.sqrt(Math.max(1, ...bins));
  const step = width / bins.length;
  const bars = bins.map((n, i) => {
    const h = (Math.sqrt(n) / top) * height;
    const label = `${(i / bins.length).toFixed(2)} to ${((i + 1) / bins.length).toFixed(2)}: ${count(n)}`;
    return `<rect x="${(i * step).toFixed(1)}" y="${(height - h).toFixed(1)}" width="${(step - 1).toFixed(1)}" height="${h.toFixed(1)}" fill="#4a7ebb"><title>${label}</title></rect>`;
  });
  const cut = (Math.min(1, threshold) * width).toFixed(1);
  return `<svg viewBox="0 0 ${width} ${height + 18}" width="${width}" role="img" aria-label="score histogram">${bars.join("")}<line x1="${cut}" x2="${cut}" y1="0" y2="${height}" stroke="#b00" stroke-dasharray="4 3"/><text x="0" y="${height + 14}" font-size="12">0</text><text x="${width}" y="${height + 14}" font-size="12" text-anchor="end">score 1 (√ of pages; red: cut at ${threshold.toFixed(3)})</text></svg>`;
}

function roundSection(round: RoundReport): string {
  const { rank, quality } = round;
  const figures: Cell[][] = [
    ["pages ranked", rank.documents],
    ["collected", rank.collected],
    ["tokens collected", rank.collected_tokens],
    ["new since the round before", percent(round.newShare)],
    ["lowest collected score", rank.threshold.toFixed(4)],
  ];
  if (quality)
    figures.push(
      ["average precision (labels)", quality.averagePrecision.toFixed(4)],
      ["R-precision (labels)", quality.rPrecision.toFixed(4)],
    );
  const calibration = quality
    ? `<h3>Calibration</h3>${table(
        ["score from", "pages", "wanted"],
        quality.calibration.map((b) => [
          b.from.toFixed(1),
          b.documents,
          b.documents ? percent(b.wanted / b.documents) : "",
        ]),
      )}`
    : "";
  return `<h2>Round ${round.round}</h2>
${table(["", ""], figures)}
${histogram(rank)}
<h3>Domains</h3>
${table(
  ["domain", "pages", "collected", "share", "proposed"],
  round.domains
    .slice(0, 25)
    .map((d) => [
      d.domain,
      d.pages,
      d.collected,
      percent(d.share),
      round.proposedDomains.includes(d.domain) ? "yes" : "",
    ]),
)}
<h3>Proposed paths</h3>
${table(
  ["path", "pages", "collected", "accept"],
  round.paths.map((p) => [p.domain + p.path, p.pages, p.collected, p.accept ? "yes" : "no"]),
)}
${calibration}`;
}

/** The whole report as one HTML document. */
export function corpusReportHtml(report: BuildReport): string {
  const { funnel, contamination, rounds, samples } = report;
  const detail = (d: Record<string, number> | undefined) =>
    Object.entries(d ?? {})
      .map(([reason, n]) => `${reason} ${count(n)}`)
      .join(", ");
  const state =
    report.status === "finished"
      ? `Finished: ${report.stoppedBecause === "little_new" ? "a round brought little new" : "all rounds done"}.`
      : "Waiting for the annotation file to be edited; run the same command to go on.";
  const shown = samples.map(
    (s) =>
      `<tr><td class="${s.kept ? "kept" : "dropped"}">${s.kept ? "kept" : "dropped"}</td><td class="n">${s.score.toFixed(4)}</td><td>${escapeHtml(s.url || s.id)}<pre>${escapeHtml(s.excerpt)}</pre></td></tr>`,
  );
  return `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>Corpus report</title><style>${STYLE}</style></head><body>
<h1>Corpus report</h1>
<p>${state}</p>
<h2>Funnel</h2>
${table(
  ["step", "documents", "tokens", "removed or refused"],
  funnel.map((row) => [row.step, row.documents, row.tokens, detail(row.detail)]),
)}
<h2>Contamination</h2>
${table(
  ["benchmark", "pages dropped", "items hit"],
  contamination.benchmarks.map((b) => [b.benchmark, b.pages, b.items]),
)}
${table(
  ["gram", "pages"],
  contamination.commonGrams.map((g) => [g.gram, g.pages]),
)}
${rounds.map(roundSection).join("\n")}
<h2>Pages near the cut</h2>
<table><tr><th></th><th>score</th><th>page</th></tr>
${shown.join("\n")}</table>
</body></html>
`;
}
