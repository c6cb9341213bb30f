// Runs one stage: recipe → run folder → events on the terminal → report.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import {
  createRunDir,
  ExitCode,
  findRun,
  latestCheckpoint,
  loadConfig,
  NsaError,
  openStageContext,
  type StageResult,
  watchInterruption,
} from "@nsa/core";
import { writeReport } from "../report/report.ts";
import { printer } from "../view/plain.ts";
import { loadStage } from "./stages.ts";

export interface StageOptions {
  set: string[];
  resume?: string;
  device: string;
  runs: string;
  dryRun?: boolean;
  plain?: boolean;
  json?: boolean;
}

/** Runs a stage to its end or interruption and returns the exit code. */
export async function runStage(name: string, file: string, options: StageOptions): Promise<number> {
  const stage = await loadStage(name);
  const resumed = options.resume ? findRun(options.runs, options.resume, name) : undefined;
  const recipe = resumed ? join(resumed.path, "config.yaml") : file;
  const { config, yaml } = loadConfig(stage.schema as never, recipe, { set: options.set }) as {
    config: { name: string };
    yaml: string;
  };
  if (options.dryRun) {
    if (!stage.estimate) {
      throw new NsaError({
        code: "no_estimate",
        what: `nsa ${name} --dry-run`,
        why: "this stage has no estimate yet",
        fix: "run it with few steps",
        exitCode: ExitCode.unavailable,
      });
    }
    for (const [key, value] of Object.entries(stage.estimate(config))) console.log(`${key}\t${value}`);
    return ExitCode.ok;
  }
  const runDir = resumed
    ? resumed.path
    : createRunDir({ root: options.runs, stage: name, name: config.name, configYaml: yaml });
  const { result } = await execute(name, config, runDir, options, resumed !== undefined);
  return result.status === "interrupted" ? ExitCode.interrupted : ExitCode.ok;
}

/** Runs a checked config in a run folder, resuming from its newest checkpoint when asked. */
export async function execute(
  name: string,
  config: unknown,
  runDir: string,
  options: Pick<StageOptions, "device" | "json">,
  resume: boolean,
): Promise<{ result: StageResult; report: string }> {
  const stage = await loadStage(name);
  using stop = watchInterruption((code) => process.exit(code));
  const print = printer(options.json ? "json" : "plain");
  console.error(`${name}: ${runDir}`);
  const ctx = openStageContext({
    runDir,
    resumeFrom: (resume && latestCheckpoint(runDir)) || undefined,
    device: options.device,
    signal: stop.signal,
    onEvent: print,
  });
  let result: StageResult;
  try {
    if (resume && !ctx.resumeFrom) ctx.rewind(0);
    result = await stage.run(config, ctx);
  } finally {
    await ctx.close();
  }
  const report = await writeReport(runDir);
  console.error(`report: ${report}`);
  return { result, report };
}

/** Text of a file of the run, or nothing. */
export function readIfThere(path: string): string {
  return existsSync(path) ? readFileSync(path, "utf8") : "";
}
