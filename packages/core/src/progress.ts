// Progress of a stage whose work is a list of steps: a checkpoint folder that counts those done, sealed.
import { mkdirSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { atomicWriteFile } from "./atomic.ts";
import { ExitCode, NsaError } from "./errors.ts";
import { readSealed, sealJson, sealSchema } from "./sealed-json.ts";
import type { StageContext } from "./stage.ts";

/** Fields of every progress; `seal` is absent in files written before there were seals. */
export const progressFields = { step: z.number().int().min(0), seal: sealSchema.optional() };

/** Marks steps as done: after all of their rows, since a resume cuts off those of steps without a mark. */
export function markProgress(
  context: Pick<StageContext, "runDir" | "sync">,
  state: { step: number } & Record<string, unknown>,
): void {
  context.sync();
  const dir = join(context.runDir, "checkpoints");
  const name = `step-${String(state.step).padStart(6, "0")}`;
  mkdirSync(join(dir, name), { recursive: true });
  atomicWriteFile(join(dir, name, "state.json"), sealJson(state));
  for (const old of readdirSync(dir))
    if (old !== name) rmSync(join(dir, old), { recursive: true, force: true });
}

/** The progress that a checkpoint holds. Throws NsaError `checkpoint_corrupt` (exit 3). */
export function readProgress<T extends { step: number }>(checkpoint: string, schema: z.ZodType<T>): T {
  const { value, fault } = readSealed(join(checkpoint, "state.json"), schema);
  const named = Number(/step-(\d+)\/?$/.exec(checkpoint)?.[1] ?? value?.step);
  if (value && named === value.step) return value;
  throw new NsaError({
    code: "checkpoint_corrupt",
    what: `${checkpoint} cannot be used`,
    why: fault ?? `it counts ${value!.step} steps, and its name ${named}`,
    fix: "start a new run",
    exitCode: ExitCode.data,
  });
}
