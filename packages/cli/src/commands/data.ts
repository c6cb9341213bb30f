// `nsa data build`: the corpus loop from a recipe, with its progress on stderr and its figures on stdout.
import { ExitCode, loadConfig, watchInterruption } from "@nsa/core";
import { BuildConfig, type BuildReport, buildCorpus, type StageProgress } from "@nsa/data";
import { figure, percent } from "../view/format.ts";

/** On a terminal one line that changes, else a line per step that has finished. */
function progressPrinter(tty: boolean): (p: StageProgress) => void {
  return ({ stage, done, total, skipped }) => {
    const known = skipped > 0 ? ` (${skipped} from before)` : "";
    const text = `${stage}: ${done}/${total}${known}`;
    if (tty) process.stderr.write(`\r\u001b[K${text}${done === total ? "\n" : ""}`);
    else if (done === total) console.error(text);
  };
}

function printReport(report: BuildReport, outDir: string): void {
  const width = Math.max(...report.funnel.map(({ step }) => step.length));
  for (const { step, documents, tokens } of report.funnel) {
    const size = tokens === undefined ? "" : `  ${tokens} tokens`;
    console.log(`${step.padEnd(width)}  ${String(documents).padStart(10)} documents${size}`);
  }
  for (const { round, newShare, proposedDomains, quality } of report.rounds) {
    const found = proposedDomains.length > 0 ? `, proposes ${proposedDomains.join(" ")}` : "";
    const measured = quality ? `, average precision ${figure(quality.averagePrecision)}` : "";
    console.log(`round ${round}: ${percent(newShare)} of the collected pages are new${measured}${found}`);
  }
  if (report.status === "annotation_needed")
    console.log(`edit ${report.annotationFile}, then run the command again`);
  console.log(`report: ${outDir}/report.html`);
}

/** Builds or goes on building; Ctrl-C ends it with 130, and the next run redoes only what is missing. */
export async function buildData(file: string, options: { set: string[]; json?: boolean }): Promise<number> {
  const { config } = loadConfig(BuildConfig, file, options);
  using stop = watchInterruption((code) => process.exit(code));
  try {
    const onProgress = progressPrinter(process.stderr.isTTY === true && !options.json);
    const report = await buildCorpus(config, { onProgress, signal: stop.signal });
    if (options.json) console.log(JSON.stringify(report, null, 1));
    else printReport(report, config.outDir);
    return ExitCode.ok;
  } catch (error) {
    if (!stop.interrupted()) throw error;
    console.error("stopped; the same command goes on from here");
    return ExitCode.interrupted;
  }
}
