// The contract of a stage: one definition a stage, exported by the package that owns it or by a plugin. The command line runs what is
// defined here and asks nowhere which stage it is.
import { z } from "zod";
import { ExitCode, NsaError } from "./errors.ts";
import { Registry } from "./registry.ts";
import type { StageRunner } from "./stage.ts";

/** One figure of the screen. A metric that ends in `*` means all that begin so and that no other figure names. */
export interface StageFigure {
  metric: string;
  /** Shown before the value; for a pattern, the rest of the metric's name follows. */
  label: string;
  format: "figure" | "count" | "percent";
  /** Metric shown after a ± where it is there; in a pattern `*` stands for the same rest. */
  deviation?: string;
  /** Metrics that a pattern leaves out. */
  except?: readonly string[];
}

/** A curve of the screen; the first ones that have points are drawn. */
export interface StagePlot {
  metric: string;
  title: string;
}

/** A part of a report as plain data; the command line draws it. */
export interface ReportSection {
  title: string;
  /** table: any cells. curve: the first column is x, each other one a line. bars: label, value. heat: label, then values. text: lines. */
  kind: "table" | "curve" | "bars" | "heat" | "text";
  columns: readonly string[];
  rows: readonly (readonly (string | number)[])[];
}

/** What the page of a pipeline shows of a stage. */
export interface StageOverview {
  /** Heading of its part; a stage without one is in the table only. */
  title?: string;
  /** Titles of the report's charts that are drawn again. */
  charts?: readonly string[];
  /** Whether its last samples are shown. */
  texts?: boolean;
  /** What came of it: text with `{metric:format}`, `{a|b:format}` for the first that is there, `{*end:format}` for the first metric with that end. */
  result?: string;
}

/** Replaces the architecture that a recipe trains or runs by another one, for the costs of other sizes. */
export type Resize = <M extends object>(model: M) => M;

export const sameSize: Resize = (model) => model;

// biome-ignore lint/suspicious/noExplicitAny: each stage has its own config type, checked by its schema.
export interface StageDefinition<C = any> {
  readonly name: string;
  /** One line for help. */
  about: string;
  schema: z.ZodType<C>;
  run: StageRunner<C>;
  /**
   * What a run will cost: plain numbers by name, of which `flops` gives a time. Checks the whole config. `resize`: of another model in
   * place of the recipe's own; stages without a model leave it. `world`: ranks of the run, of which bytes are those of the one that needs most.
   */
  estimate(config: C, device?: string, resize?: Resize, world?: number): Record<string, number>;
  /** Names of the outputs, with stand-ins good enough for the estimates of later stages; `folder` may be filled. */
  plannedOutputs(config: C, folder: string): Record<string, string>;
  /** Files and patterns of files that a run reads; those that are not there are named before it begins. */
  inputFiles?(config: C): string[];
  /** An error for all else that a run needs and that is not there, such as a program; they are shown with the missing files. */
  missingInputs?(config: C): NsaError[];
  /** Figures of the screen, in order; a stage without them shows its last metrics as they are. */
  figures?: readonly StageFigure[];
  plots?: readonly StagePlot[];
  overview?: StageOverview;
  /** Parts of the report of a run folder that are the stage's own. */
  sections?(runDir: string): ReportSection[];
}

const plugins = z
  .array(z.string())
  .optional()
  .describe(
    "TypeScript files that add members (attention kinds, losses, stages …) by name, beside the recipe",
  );

/** A recipe's schema with the `plugins` that every recipe may name. */
export function withPlugins<S extends z.ZodObject>(schema: S) {
  return "plugins" in schema.shape ? schema : (schema.safeExtend({ plugins }) as unknown as S);
}

/** A stage whose recipes may name plugins. */
export function defineStage<S extends z.ZodObject>(
  stage: Omit<StageDefinition<z.output<S>>, "schema"> & { schema: S },
): StageDefinition<z.output<S>> {
  const schema = withPlugins(stage.schema) as unknown as z.ZodType<z.output<S>>;
  return { ...stage, schema };
}

/** `plannedOutputs` of a stage that writes these names into its folder. */
export const outputsNamed =
  (...names: string[]) =>
  (_config: unknown, folder: string): Record<string, string> =>
    Object.fromEntries(names.map((name) => [name, `${folder}/${name}`]));

const NAME = /^[a-z][a-z0-9_]*$/;

/** The stage of a plugin, which no type has checked. Throws NsaError `stage_invalid` (exit 2). */
function adoptStage(stage: StageDefinition): StageDefinition {
  const refuse = (why: string, fix: string) =>
    new NsaError({
      code: "stage_invalid",
      what: `stage "${stage.name}"`,
      why,
      fix,
      exitCode: ExitCode.usage,
    });
  if (!NAME.test(stage.name))
    throw refuse("run folders begin with its name", "use small letters, digits and _, a letter first");
  if (!(stage.schema instanceof z.ZodObject))
    throw refuse("its schema is not an object", "write `schema: z.strictObject({…})`");
  // Methods of a class stay what they are.
  return Object.create(stage, { schema: { value: withPlugins(stage.schema), enumerable: true } });
}

/** Stages by name; those that come with the project are loaded by the command that runs them. */
export const stageKinds = new Registry<StageDefinition>("stage", {
  needs: {
    about: "string",
    schema: "object",
    run: "function",
    estimate: "function",
    plannedOutputs: "function",
  },
  adopt: adoptStage,
});
