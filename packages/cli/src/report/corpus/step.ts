// The page of one step of the corpus loop, in the sections that the page of a build is made of.
import type { StepReport } from "@nsa/data";
import { type Cell, page, scoreHistogram, table } from "@nsa/report";
import { calibrationTable, domainSection, kindTable } from "./build.ts";
import { contaminationSection, funnelSection, samplesSection } from "./parts.ts";

/** One self-contained page; no clock in it, so reruns give equal bytes. */
export function stepReportHtml(report: StepReport): string {
  const { step, funnel, figures, histogram, threshold, quality, contamination, domains, samples } = report;
  const rows = Object.entries(figures).filter(([, value]) => typeof value !== "object");
  if (quality)
    rows.push(
      ["average precision (labels)", quality.averagePrecision.toFixed(4)],
      ["R-precision (labels)", quality.rPrecision.toFixed(4)],
    );
  const sections = [
    funnelSection(funnel),
    rows.length > 0 ? `<h2>Figures</h2>${table(["", ""], rows as [string, Cell][])}` : "",
    histogram ? `<h2>Scores</h2>${scoreHistogram(histogram, threshold)}` : "",
    quality ? calibrationTable(quality) + kindTable(quality) : "",
    contamination ? contaminationSection(contamination) : "",
    domains ? domainSection(domains) : "",
    samples ? samplesSection(samples) : "",
  ];
  return page(`Corpus step: ${step}`, sections.filter(Boolean).join("\n"));
}
