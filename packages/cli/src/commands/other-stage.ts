// A recipe that belongs to another stage than the command's: names the stages whose schemas take it, in place of its first unknown key.
import { ExitCode, loadConfig, NsaError, recipeFits, type StageDefinition } from "@nsa/core";
import { pipelineSchema } from "./pipeline-schema.ts";
import { loadStage, stageNames } from "./stages.ts";

/** What runs a recipe of this stage, behind `nsa`. */
const commandOf = (stage: string) => (stage === "pipeline" ? "pipeline run" : stage);

/** Stages whose recipes the file may be, `pipeline` among them; keys that are required and absent do not count. */
async function stagesOf(file: string): Promise<string[]> {
  const found = recipeFits(pipelineSchema(), file) ? ["pipeline"] : [];
  for (const name of stageNames()) if (recipeFits((await loadStage(name)).schema, file)) found.push(name);
  return found;
}

/**
 * Runs `load`, which reads the recipe of a stage. Throws NsaError `recipe_of_other_stage` (exit 2) where it fails on a file that only
 * other stages' schemas take, and otherwise what `load` throws.
 */
export async function ofStage<T>(
  stage: string,
  schema: StageDefinition["schema"],
  file: string,
  load: () => T,
): Promise<T> {
  try {
    return load();
  } catch (error) {
    const refused =
      error instanceof NsaError && /^config_(unknown_key|invalid|missing_key)$/.test(error.code);
    if (!refused || recipeFits(schema, file)) throw error;
    const others = (await stagesOf(file)).map(commandOf);
    if (others.length === 0) throw error;
    const named = others.map((name) => `\`nsa ${name}\``);
    throw new NsaError({
      code: "recipe_of_other_stage",
      what: `${file} is no recipe of \`nsa ${commandOf(stage)}\``,
      why: `this is a recipe of ${others.join(" or ")}`,
      fix: `run ${named.join(" or ")} with it, or name a recipe of \`nsa ${commandOf(stage)}\``,
      exitCode: ExitCode.usage,
      cause: error,
    });
  }
}

/** `loadConfig` for a stage's recipe, with {@link ofStage}. */
export const loadOfStage = (
  stage: string,
  schema: StageDefinition["schema"],
  file: string,
  set: readonly string[],
) => ofStage(stage, schema, file, () => loadConfig(schema as never, file, { set }));
