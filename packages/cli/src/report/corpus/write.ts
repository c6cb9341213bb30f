// Writes the pages of corpus work beside its JSON, from that JSON: the data package reports in data alone.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { atomicWriteFile } from "@nsa/core";
import type { BuildReport, PackIndex, StepReport, TokenIndex } from "@nsa/data";
import { corpusReportHtml } from "./build.ts";
import { packReportHtml, tokenReportHtml } from "./files.ts";
import { stepReportHtml } from "./step.ts";

/** `report.html` of a build, in its output folder. */
export function writeBuildPage(outDir: string, report: BuildReport): void {
  atomicWriteFile(join(outDir, "report.html"), corpusReportHtml(report));
}

/** `reports/STEP.html` of one step of the loop. */
export function writeStepPage(outDir: string, report: StepReport): void {
  atomicWriteFile(join(outDir, `reports/${report.step}.html`), stepReportHtml(report));
}

/** `report.html` of token shards, in their folder. */
export function writeShardsPage(folder: string, index: TokenIndex): void {
  atomicWriteFile(join(folder, "report.html"), tokenReportHtml(index));
}

/** `report.html` of packs, in their folder. */
export function writePacksPage(folder: string, index: PackIndex): void {
  atomicWriteFile(join(folder, "report.html"), packReportHtml(index));
}

const read = (path: string) => JSON.parse(readFileSync(path, "utf8"));

/** The page that a finished `data` or `tokenize` stage has beside its outputs; other stages have none. */
export function writeOutputPage(stage: string, outputs: Record<string, string>): void {
  if (stage === "data" && outputs.dir && outputs.report) writeBuildPage(outputs.dir, read(outputs.report));
  if (stage === "tokenize" && outputs.shards && outputs.index)
    writeShardsPage(outputs.shards, read(outputs.index));
}
