// The page of a corpus build: every decision of its rounds; no clock in it, so reruns give equal bytes.
import type { BuildReport, Quality, RoundReport } from "@nsa/data";
import { type Cell, page, percent, scoreHistogram, table } from "@nsa/report";
import { contaminationSection, funnelSection, samplesSection } from "./parts.ts";

export function calibrationTable(quality: Quality): string {
  return `<h3>Calibration</h3>${table(
    ["score from", "pages", "wanted"],
    quality.calibration.map((b) => [
      b.from.toFixed(1),
      b.documents,
      b.documents ? percent(b.wanted / b.documents) : "",
    ]),
  )}`;
}

/** Scores by kind of page, where the labels have kinds. */
export function kindTable({ kinds }: Quality): string {
  if (!kinds) return "";
  return `<h3>Scores by kind of page</h3>${table(
    ["kind", "wanted", "pages", "median score", "from 0.5 up", "average precision against the unwanted"],
    kinds.map((k) => [
      k.kind,
      k.wanted ? "yes" : "no",
      k.documents,
      k.median.toFixed(3),
      percent(k.overHalf),
      k.averagePrecision === undefined ? "" : k.averagePrecision.toFixed(4),
    ]),
  )}`;
}

/** The domain table and the proposed paths. */
export function domainSection(found: Pick<RoundReport, "domains" | "proposedDomains" | "paths">): string {
  return `<h3>Domains</h3>
${table(
  ["domain", "pages", "collected", "share", "proposed"],
  found.domains
    .slice(0, 25)
    .map((d) => [
      d.domain,
      d.pages,
      d.collected,
      percent(d.share),
      found.proposedDomains.includes(d.domain) ? "yes" : "",
    ]),
)}
<h3>Proposed paths</h3>
${table(
  ["path", "pages", "collected", "accept"],
  found.paths.map((p) => [p.domain + p.path, p.pages, p.collected, p.accept ? "yes" : "no"]),
)}`;
}

function roundSection(round: RoundReport): string {
  const { rank, quality, cut } = round;
  const figures: Cell[][] = [
    ["pages ranked", rank.documents],
    ["collected", rank.collected],
    ["tokens collected", rank.collected_tokens],
    ["new since the round before", percent(round.newShare)],
    ["lowest collected score", rank.threshold.toFixed(4)],
  ];
  if (cut)
    figures.push([
      "min_precision",
      `scores from ${cut.score.toFixed(4)} up: ${cut.wanted} of ${cut.pages} labelled pages wanted`,
    ]);
  for (const { budget, documents, tokens, threshold, files } of rank.budgets ?? [])
    figures.push([
      `budget of ${budget} tokens`,
      `${documents} pages, ${tokens} tokens, scores from ${threshold.toFixed(4)}: the first ${files} files`,
    ]);
  if (quality)
    figures.push(
      ["average precision (labels)", quality.averagePrecision.toFixed(4)],
      ["R-precision (labels)", quality.rPrecision.toFixed(4)],
    );
  return `<h2>Round ${round.round}</h2>
${table(["", ""], figures)}
${scoreHistogram(rank.histogram, rank.threshold)}
${domainSection(round)}
${quality ? calibrationTable(quality) + kindTable(quality) : ""}`;
}

/** The whole report as one HTML document. */
export function corpusReportHtml(report: BuildReport): string {
  const state =
    report.status === "finished"
      ? `Finished: ${report.stoppedBecause === "little_new" ? "a round brought little new" : "all rounds done"}.`
      : "Waiting for the annotation file to be edited; run the same command to go on.";
  return page(
    "Corpus report",
    `<p>${state}</p>
${funnelSection(report.funnel)}
${contaminationSection(report.contamination)}
${report.rounds.map(roundSection).join("\n")}
${samplesSection(report.samples)}`,
  );
}
