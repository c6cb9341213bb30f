// `nsa data build` and its steps: the corpus loop from a recipe, with its progress on stderr and its figures on stdout.
import { ExitCode, loadConfig, watchInterruption } from "@nsa/core";
import {
  type BuildConfig,
  type BuildContext,
  type BuildReport,
  buildCorpus,
  type CorpusStep,
  corpusStage,
  type FunnelRow,
  runCorpusStep,
  type StepReport,
} from "@nsa/data";
import { loadPluginsOfRecipe } from "../plugins/load.ts";
import { writeBuildPage, writeStepPage } from "../report/corpus/write.ts";
import { figure, percent } from "../view/format.ts";
import { changingLine, stageProgress } from "./data-progress.ts";

export interface DataOptions {
  set: string[];
  plain?: boolean;
  json?: boolean;
}

function printFunnel(funnel: readonly FunnelRow[]): void {
  const width = Math.max(...funnel.map(({ step }) => step.length));
  for (const { step, documents, tokens } of funnel) {
    const size = tokens === undefined ? "" : `  ${tokens} tokens`;
    console.log(`${step.padEnd(width)}  ${String(documents).padStart(10)} documents${size}`);
  }
}

/** Pages dropped by benchmark; a warning on stderr where it was more than copies are likely to be. */
function printContamination({ benchmarks, warning }: BuildReport["contamination"]): void {
  for (const { benchmark, pages, items } of benchmarks)
    console.log(`dropped for ${benchmark}: ${pages} pages that share words with ${items} of its items`);
  if (warning) console.error(`warning: ${warning}`);
}

function printBuild(report: BuildReport, outDir: string): void {
  printFunnel(report.funnel);
  printContamination(report.contamination);
  for (const { round, newShare, proposedDomains, quality, cut } of report.rounds) {
    const found = proposedDomains.length > 0 ? `, proposes ${proposedDomains.join(" ")}` : "";
    const measured = quality ? `, average precision ${figure(quality.averagePrecision)}` : "";
    console.log(`round ${round}: ${percent(newShare)} of the collected pages are new${measured}${found}`);
    if (cut)
      console.log(
        `min_precision: scores from ${figure(cut.score)} up, ${cut.wanted} of ${cut.pages} labelled pages wanted`,
      );
  }
  for (const { budget, documents, tokens, files } of report.rounds.at(-1)?.rank.budgets ?? [])
    console.log(
      `budget ${budget}: ${documents} documents, ${tokens} tokens: the first ${files} files of ranked/`,
    );
  for (const warning of report.warnings) console.error(`warning: ${warning}`);
  if (report.status === "annotation_needed")
    console.log(`edit ${report.annotationFile}, then run the command again`);
  console.log(`report: ${outDir}/report.html`);
}

function printStep(report: StepReport, outDir: string): void {
  printFunnel(report.funnel);
  if (report.contamination) printContamination(report.contamination);
  for (const [name, value] of Object.entries(report.figures))
    if (typeof value === "number") console.log(`${name} ${figure(value)}`);
  if (report.quality) console.log(`average precision ${figure(report.quality.averagePrecision)}`);
  const { domains } = report;
  if (domains && domains.proposedDomains.length > 0)
    console.log(`proposes ${domains.proposedDomains.join(" ")}`);
  const first = report.outputs[0] ?? "nothing";
  const more = report.outputs.length > 1 ? ` and ${report.outputs.length - 1} more` : "";
  console.log(`wrote ${first}${more}`);
  console.log(`report: ${outDir}/reports/${report.step}.html`);
}

/** Runs something that goes on from where it was; Ctrl-C ends it with 130. */
async function resumable(work: (signal: AbortSignal) => Promise<void>): Promise<number> {
  using stop = watchInterruption((code) => process.exit(code));
  try {
    await work(stop.signal);
    return ExitCode.ok;
  } catch (error) {
    if (!stop.interrupted()) throw error;
    console.error("stopped; the same command goes on from here");
    return ExitCode.interrupted;
  }
}

async function withReport<R>(
  file: string,
  options: DataOptions,
  run: (config: BuildConfig, ctx: BuildContext) => Promise<R>,
  print: (report: R, outDir: string) => void,
  writePage: (outDir: string, report: R) => void,
): Promise<number> {
  await loadPluginsOfRecipe(file, options);
  const config = loadConfig(corpusStage.schema as never, file, options).config as BuildConfig;
  return resumable(async (signal) => {
    const onProgress = stageProgress({ changing: changingLine(options) });
    const onWarning = (text: string) => console.error(`warning: ${text}`);
    const report = await run(config, { onProgress, onWarning, signal });
    writePage(config.outDir, report);
    if (options.json) console.log(JSON.stringify(report, null, 1));
    else print(report, config.outDir);
  });
}

/** Builds or goes on building; the next run redoes only what is missing. */
export const buildData = (file: string, options: DataOptions): Promise<number> =>
  withReport(file, options, buildCorpus, printBuild, writeBuildPage);

/** One step of the first round, and those before it that are missing. */
export const runDataStep = (step: CorpusStep, file: string, options: DataOptions): Promise<number> =>
  withReport(file, options, (config, ctx) => runCorpusStep(step, config, ctx), printStep, writeStepPage);
