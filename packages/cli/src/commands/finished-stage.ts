// result.json of a pipeline's stage: that it is finished, and what later stages take from it.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { atomicWriteFile, ExitCode, NsaError, readSealed, sealJson, sealSchema } from "@nsa/core";
import { z } from "zod";

const FILE = "result.json";

// Those of before they were sealed have no seal.
const schema = z.strictObject({
  step: z.number().int().min(0),
  outputs: z.record(z.string(), z.string()),
  seal: sealSchema.optional(),
});

/** What is kept of a finished stage; its figures are in metrics.jsonl. */
export interface FinishedStage {
  step: number;
  outputs: Record<string, string>;
}

export function writeFinished(folder: string, { step, outputs }: FinishedStage): void {
  atomicWriteFile(join(folder, FILE), sealJson({ step, outputs }));
}

/** Undefined where the stage is not finished. Throws NsaError `stage_result_corrupt` (exit 3). */
export function readFinished(folder: string): FinishedStage | undefined {
  const path = join(folder, FILE);
  if (!existsSync(path)) return undefined;
  const { value, fault } = readSealed(path, schema);
  if (fault === undefined) return { step: value.step, outputs: value.outputs };
  throw new NsaError({
    code: "stage_result_corrupt",
    what: `${path} cannot be used`,
    why: fault,
    fix: "remove the file: the stage then continues from its last checkpoint",
    exitCode: ExitCode.data,
  });
}
