// Files and programs that a recipe names and that are not there, found before the work begins.
import { NsaError, type StageDefinition } from "@nsa/core";

/** One error for every pattern without a file and every missing program; what lies below `folder` stands in for something that is not made yet. */
export async function missingFiles(
  stage: StageDefinition,
  config: unknown,
  folder?: string,
): Promise<NsaError[]> {
  const { expandInputs } = await import("@nsa/data");
  const missing: NsaError[] = [...(stage.missingInputs?.(config) ?? [])];
  for (const pattern of stage.inputFiles?.(config) ?? []) {
    if (folder && pattern.startsWith(folder)) continue;
    try {
      expandInputs([pattern]);
    } catch (error) {
      if (!(error instanceof NsaError)) throw error;
      missing.push(error);
    }
  }
  return missing;
}

export function warnOfMissing(missing: readonly NsaError[], stage = ""): void {
  for (const { what, why } of missing)
    console.error(`warning: ${stage}${what}: ${why}; a run would end there`);
}
