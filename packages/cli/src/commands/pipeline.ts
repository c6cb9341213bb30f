// `nsa pipeline run`: stages in order, each a normal run; outputs of one feed the next; finished stages are kept.
import { mkdirSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import {
  atomicWriteFile,
  createRunDir,
  ExitCode,
  findRun,
  latestCheckpoint,
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
        name: z
          .string()
          .regex(/^[\w-]+$/)
          .describe("Name that later stages refer to, as {name.output}"),
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

type Pipeline = z.output<typeof pipelineSchema>;

function unknownOutput(whole: string, text: string, why: string): NsaError {
  return new NsaError({
    code: "pipeline_output_unknown",
    what: `${whole} in ${text}`,
    why,
    fix: "name an earlier stage and one of its outputs, e.g. checkpoint",
    exitCode: ExitCode.usage,
  });
}

/** Replaces {stage.output} by what `value` gives for it. */
function fillIn(text: string, value: (stage: string, output: string) => string | undefined): string {
  return text.replace(/\{([\w-]+)\.(\w+)\}/g, (whole, stage: string, output: string) => {
    const filled = value(stage, output);
    if (filled !== undefined) return filled;
    throw unknownOutput(whole, text, `no earlier stage ${stage} has an output ${output}`);
  });
}

/** Checks every recipe before the first stage runs: the last one may start hours later. */
async function checkStages(config: Pipeline, file: string): Promise<void> {
  const earlier = new Set<string>();
  for (const stage of config.stages) {
    if (earlier.has(stage.name)) {
      throw new NsaError({
        code: "pipeline_stage_twice",
        what: `${file}: two stages are named ${stage.name}`,
        why: "a stage's folder and its outputs go by its name",
        fix: "give one of them another name",
        exitCode: ExitCode.usage,
      });
    }
    const { schema, estimate } = await loadStage(stage.stage);
    const set = stage.set.map((s) => fillIn(s, (name) => (earlier.has(name) ? "later" : undefined)));
    const loaded = loadConfig(schema as never, resolve(dirname(file), stage.config), { set });
    // A stage that takes in an earlier one's checkpoint cannot be measured before there is one.
    if (stage.set.every((s) => !s.includes("{"))) estimate(loaded.config);
    earlier.add(stage.name);
  }
}

export async function runPipeline(file: string, options: PipelineOptions): Promise<number> {
  const resumed = options.resume ? findRun(options.runs, options.resume, "pipeline") : undefined;
  const { config, yaml } = loadConfig(pipelineSchema, file);
  await checkStages(config, file);
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
      // Until its first checkpoint a stage starts anew, with the recipe as it is now.
      const started = latestCheckpoint(runDir) !== null;
      const recipe = started ? join(runDir, "config.yaml") : resolve(dirname(file), stage.config);
      const set = started
        ? []
        : stage.set.map((s) => fillIn(s, (name, output) => done[name]?.outputs[output]));
      const loaded = loadConfig(schema as never, recipe, { set });
      mkdirSync(join(runDir, "checkpoints"), { recursive: true });
      atomicWriteFile(join(runDir, "config.yaml"), loaded.yaml);
      atomicWriteFile(join(runDir, "env.json"), readFileSync(join(dir, "env.json")));
      const place = `${config.stages.indexOf(stage) + 1}/${config.stages.length}`;
      const title = `${stage.stage} (stage ${place}, ${stage.name})`;
      // Also without a checkpoint: rows that a killed attempt left must not stay beside the new ones.
      const { result } = await execute(stage.stage, loaded.config, runDir, { ...options, title }, true);
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
