// Sections that the reports of `nsa data` share: the funnel of documents, contamination, pages near the cut.
import type { ContaminationReport, FunnelRow, NearSample } from "@nsa/data";
import { count, escapeHtml, table } from "@nsa/report";

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
