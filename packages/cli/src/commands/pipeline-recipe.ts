// The recipe of `nsa pipeline run`: its schema, overrides of its stages, and the check of all of them beforehand.
import { existsSync, mkdirSync, symlinkSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { configYaml, didYouMean, ExitCode, loadConfig, NsaError } from "@nsa/core";
import type { z } from "zod";
import { loadPluginsOfRecipe } from "../plugins/load.ts";
import { missingFiles } from "./missing-files.ts";
import { loadOfStage, ofStage } from "./other-stage.ts";
import { pipelineSchema } from "./pipeline-schema.ts";
import { findCheckpointsIn } from "./recipe-checkpoints.ts";
import { loadStage } from "./stages.ts";

/** What no stage may be called: `{stage.dir}` is a stage's own folder, the others are keys of the recipe. */
const RESERVED = ["stage", "stages", "name", "plugins", "set"];

export type Pipeline = z.output<ReturnType<typeof pipelineSchema>>;
export type PipelineStage = Pipeline["stages"][number];
export type Outputs = Record<string, Record<string, string>>;

function usage(code: string, what: string, why: string, fix: string): NsaError {
  return new NsaError({ code, what, why, fix, exitCode: ExitCode.usage });
}

/** Replaces {stage.output} by the outputs of earlier stages. Throws `pipeline_output_unknown` (exit 2). */
export function fillIn(text: string, outputs: Outputs, ownDir: string): string {
  return text.replace(/\{([\w-]+)\.(\w+)\}/g, (whole, stage: string, output: string) => {
    if (stage === "stage" && output === "dir") return ownDir;
    const filled = outputs[stage]?.[output];
    if (filled !== undefined) return filled;
    const why = outputs[stage]
      ? `stage ${stage} has the outputs ${Object.keys(outputs[stage]).join(", ")}`
      : `no earlier stage ${stage} has an output ${output}`;
    const fix = "name an earlier stage and one of its outputs, e.g. checkpoint";
    throw usage("pipeline_output_unknown", `${whole} in ${text}`, why, fix);
  });
}

function checkNames(file: string, { stages }: Pipeline): void {
  for (const [i, { name }] of stages.entries()) {
    if (RESERVED.includes(name)) {
      const fix = "call it otherwise";
      throw usage("pipeline_stage_name", `${file}: a stage is named ${name}`, "the word has a meaning", fix);
    }
    if (!stages.slice(0, i).some((earlier) => earlier.name === name)) continue;
    const why = "a stage's folder and its outputs go by its name";
    const fix = "give one of them another name";
    throw usage("pipeline_stage_twice", `${file}: two stages are named ${name}`, why, fix);
  }
}

/**
 * Reads the recipe. Overrides are `STAGE.key=value` for a stage's recipe, or set `name` and `stages` of this one.
 * Throws NsaError config_*, `pipeline_*` (exit 2).
 */
export async function loadPipeline(
  file: string,
  overrides: readonly string[],
): Promise<{ config: Pipeline; yaml: string }> {
  const headOf = (text: string) => text.slice(0, Math.max(0, text.search(/[.=]/)));
  const own = overrides.filter((text) => RESERVED.includes(headOf(text)));
  await loadPluginsOfRecipe(file, { set: own });
  const schema = pipelineSchema();
  const { config, yaml } = await ofStage("pipeline", schema, file, () =>
    loadConfig(schema, file, { set: own }),
  );
  checkNames(file, config);
  for (const text of [...config.set, ...overrides.filter((o) => !own.includes(o))]) {
    const stage = config.stages.find(({ name }) => text.startsWith(`${name}.`));
    if (stage) {
      stage.set.push(text.slice(stage.name.length + 1));
      continue;
    }
    const names = config.stages.map(({ name }) => name);
    const near = didYouMean(headOf(text), names);
    throw usage(
      "pipeline_set",
      `${config.set.includes(text) ? `${file}: set: ` : "--set "}${text}`,
      `it names no stage; there are ${names.join(", ")}`,
      near ? `did you mean ${near}?` : "write --set STAGE.key=value, e.g. --set base.train.steps=100",
    );
  }
  return { config, yaml };
}

/** The recipe of a stage with earlier outputs filled in. */
export async function loadStageConfig(
  stage: PipelineStage,
  recipe: string,
  set: readonly string[],
  runs: string,
): Promise<{ config: unknown; yaml: string }> {
  await loadPluginsOfRecipe(recipe, { set, runs });
  const { schema } = await loadStage(stage.stage);
  const { config, remarks } = await loadOfStage(stage.stage, schema, recipe, set);
  for (const remark of remarks) console.error(`warning: stage ${stage.name}: ${remark}`);
  const found = findCheckpointsIn(config, runs);
  return { config: found, yaml: configYaml(schema, found) };
}

export interface CheckedStage {
  stage: PipelineStage;
  /** What it will cost, as far as that is known. */
  estimate: Record<string, number>;
  /** Files of its recipe that are not there. */
  missing: NsaError[];
}

/**
 * Planned outputs as stand-ins below `folder`. A stage that trains plans the checkpoint it begins with, which has the architecture; where an
 * earlier stage is finished that is a real one, and would be taken for what is still to be made (a reward model without its reward.json).
 */
function standIns(planned: Record<string, string>, own: string, folder: string): Record<string, string> {
  const entries = Object.entries(planned).map(([output, path]) => {
    if (path.startsWith(folder) || !existsSync(path)) return [output, path] as const;
    const link = join(own, output);
    mkdirSync(own, { recursive: true });
    if (!existsSync(link)) symlinkSync(resolve(path), link);
    return [output, link] as const;
  });
  return Object.fromEntries(entries);
}

/**
 * Checks every recipe before the first stage runs: the last one may start hours later. Outputs that are not there yet
 * are stood in for in `folder`.
 */
export async function checkStages(
  config: Pipeline,
  file: string,
  finished: Outputs,
  { folder, runs }: { folder: string; runs: string },
): Promise<CheckedStage[]> {
  const outputs: Outputs = {};
  const checked: CheckedStage[] = [];
  for (const stage of config.stages) {
    const { name } = stage;
    if (finished[name]) {
      outputs[name] = finished[name];
      continue;
    }
    const definition = await loadStage(stage.stage);
    const own = join(folder, name);
    const set = stage.set.map((text) => fillIn(text, outputs, own));
    const loaded = await loadStageConfig(stage, resolve(dirname(file), stage.config), set, runs);
    checked.push({
      stage,
      estimate: definition.estimate(loaded.config),
      missing: await missingFiles(definition, loaded.config, folder),
    });
    outputs[name] = standIns(definition.plannedOutputs(loaded.config, own), own, folder);
  }
  return checked;
}
