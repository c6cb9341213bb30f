// `nsa pipeline run`: stages in order, each a normal run; outputs of one feed the next; finished stages are kept.
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import {
  atomicWriteFile,
  createRunDir,
  ExitCode,
  findRun,
  loadConfig,
  NsaError,
  readRunJson,
  type StageResult,
} from "@nsa/core";
import { z } from "zod";
import { page, runSections } from "../report/report.ts";
import { execute } from "./stage.ts";
import { loadStage, STAGES } from "./stages.ts";

export const pipelineSchema = z.strictObject({
  name: z.string().default("pipeline").describe("Name of the run"),
  stages: z
    .array(
      z.strictObject({
        name: z.string().describe("Name that later stages refer to, as {name.output}"),
        stage: z.enum(STAGES).describe("What to run"),
        config: z.string().describe("Recipe, relative to this file"),
        set: z
          .array(z.string())
          .default([])
          .describe("Overrides; {name.output} is replaced by an earlier stage's output"),
      }),
    )
    .min(1)
    .describe("In order"),
});

interface PipelineOptions {
  device: string;
  runs: string;
  resume?: string;
  plain?: boolean;
  json?: boolean;
}

/** Replaces {stage.output} by what that stage left. */
function fillIn(text: string, done: Record<string, StageResult>): string {
  return text.replace(/\{([\w-]+)\.(\w+)\}/g, (whole, stage: string, output: string) => {
    const value = done[stage]?.outputs[output];
    if (value !== undefined) return value;
    throw new NsaError({
      code: "pipeline_output_unknown",
      what: `${whole} in ${text}`,
      why: `no earlier stage ${stage} has an output ${output}`,
      fix: "name an earlier stage and one of its outputs, e.g. checkpoint",
      exitCode: ExitCode.usage,
    });
  });
}

export async function runPipeline(file: string, options: PipelineOptions): Promise<number> {
  const resumed = options.resume ? findRun(options.runs, options.resume, "pipeline") : undefined;
  const { config, yaml } = loadConfig(pipelineSchema, file);
  const dir =
    resumed?.path ??
    createRunDir({ root: options.runs, stage: "pipeline", name: config.name, configYaml: yaml });
  const done: Record<string, StageResult> = {};
  let body = "";
  for (const stage of config.stages) {
    const runDir = join(dir, "stages", stage.name);
    const finished = readRunJson(runDir, "result.json") as StageResult | null;
    if (finished) {
      done[stage.name] = finished;
    } else {
      const { schema } = await loadStage(stage.stage);
      const started = existsSync(join(runDir, "config.yaml"));
      const recipe = started ? join(runDir, "config.yaml") : resolve(dirname(file), stage.config);
      const set = started ? [] : stage.set.map((s) => fillIn(s, done));
      const loaded = loadConfig(schema as never, recipe, { set });
      mkdirSync(join(runDir, "checkpoints"), { recursive: true });
      atomicWriteFile(join(runDir, "config.yaml"), loaded.yaml);
      atomicWriteFile(join(runDir, "env.json"), readFileSync(join(dir, "env.json")));
      const place = `${config.stages.indexOf(stage) + 1}/${config.stages.length}`;
      const title = `${stage.stage} (stage ${place}, ${stage.name})`;
      const { result } = await execute(stage.stage, loaded.config, runDir, { ...options, title }, started);
      if (result.status === "interrupted") return ExitCode.interrupted;
      atomicWriteFile(join(runDir, "result.json"), JSON.stringify(result));
      done[stage.name] = result;
    }
    body += `<h1>${stage.name}</h1>${runSections(runDir)}`;
    atomicWriteFile(join(dir, "report.html"), page(config.name, body));
  }
  console.error(`pipeline report: ${join(dir, "report.html")}`);
  return ExitCode.ok;
}
