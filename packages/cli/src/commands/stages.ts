// Stages by name: those of the table, and those that plugins have registered.
import { didYouMean, NsaError, type StageDefinition, stageKinds } from "@nsa/core";
import { STAGE_TABLE } from "./stage-table.ts";

/** Built-in stages, in the order of a pipeline. */
export const STAGES = Object.keys(STAGE_TABLE);

/** Built-in stages, and those that plugins have registered by now. */
export const stageNames = (): string[] => [
  ...STAGES,
  ...stageKinds.names.filter((name) => !Object.hasOwn(STAGE_TABLE, name)),
];

/** Loads a stage. Throws NsaError `stage_unknown` (exit 2). */
export async function loadStage(name: string): Promise<StageDefinition> {
  if (Object.hasOwn(STAGE_TABLE, name)) return STAGE_TABLE[name]!.load();
  if (stageKinds.has(name)) return stageKinds.get(name);
  const near = didYouMean(name, stageNames());
  throw new NsaError({
    code: "stage_unknown",
    what: `no stage "${name}"`,
    why: `there are ${stageNames().join(", ")}`,
    fix: near
      ? `did you mean ${near}?`
      : "choose one of them, or load the plugin that defines it with `plugins: [file.ts]`",
    exitCode: 2,
  });
}
