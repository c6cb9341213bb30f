// Taking a stopped run up again.
import { isDeepStrictEqual } from "node:util";
import { ExitCode, NsaError, type StageContext } from "@nsa/core";
import type { ModelConfig } from "../config/schema.ts";
import { type CheckpointParts, loadCheckpoint, machineOf } from "./checkpoint.ts";
import { badCheckpoint, type CheckpointState } from "./state.ts";

/** What may change between the lives of a run: how values are stored, and the longest document. */
const MAY_CHANGE: readonly string[] = ["dtype", "maxSeqLen"];

/** The settings in which two architectures differ, as text, `free` ones left out; "" where there are none. */
export function differencesOf(held: ModelConfig, wanted: ModelConfig, free = MAY_CHANGE): string {
  const [saved, own] = [held, wanted] as Record<string, unknown>[] as [
    Record<string, unknown>,
    Record<string, unknown>,
  ];
  const other = Object.keys({ ...saved, ...own }).filter(
    (key) => !free.includes(key) && !isDeepStrictEqual(saved[key], own[key]),
  );
  return other
    .map((key) => `${key} is ${JSON.stringify(own[key])}, there ${JSON.stringify(saved[key])}`)
    .join("; ");
}

/** Throws NsaError `checkpoint_mismatch` (exit 3) where the recipe describes another model than the checkpoint holds. */
function refuseOtherModel(dir: string, held: ModelConfig, wanted: ModelConfig): void {
  const why = differencesOf(held, wanted);
  if (why === "") return;
  throw new NsaError({
    code: "checkpoint_mismatch",
    what: `the recipe describes another model than checkpoint ${dir}`,
    why,
    fix: "resume with the recipe of the run, or begin a new run from the checkpoint",
    exitCode: ExitCode.data,
  });
}

/** Every owner that counts steps must have counted as many as the checkpoint; for stages whose owners count the same. */
export function refuseOtherStep(dir: string, { step, stateful }: CheckpointState): void {
  for (const [owner, state] of Object.entries(stateful)) {
    const own = (state as { step?: unknown } | null)?.step;
    if (own !== undefined && own !== step)
      throw badCheckpoint(
        dir,
        `it was saved at step ${step}, and its ${owner} at step ${JSON.stringify(own)}`,
      );
  }
}

/**
 * Restores `parts` from the checkpoint `dir` of the run of `context`, and the run's files as they were then. Warns where
 * the machine is another than before: the run goes on, with other bits than an uninterrupted one. Throws as
 * {@link loadCheckpoint}.
 */
export async function resumeCheckpoint(
  dir: string,
  parts: Pick<CheckpointParts, "model" | "optimizer" | "stateful">,
  context: Pick<StageContext, "log" | "rewind">,
): Promise<CheckpointState> {
  const state = await loadCheckpoint(dir, parts);
  refuseOtherModel(dir, state.model, parts.model.config);
  context.rewind(state.step);
  if (state.format === 1) {
    context.log(
      "the checkpoint has the older format 1: its weights were checked, but nothing can show whether its state.json was changed",
      "warn",
    );
  }
  const { device } = parts.model;
  const here = machineOf(device);
  if (state.machine !== undefined && state.machine !== here) {
    const isa = /^cpu, (\S+)$/.exec(state.machine)?.[1];
    const remedy =
      isa && device.name === "cpu"
        ? `; NSA_CPU_ISA=${isa} takes its kernels where this machine can run them`
        : "";
    context.log(
      `the checkpoint was computed on ${state.machine}, and this is ${here}: the last bits will differ from an uninterrupted run's${remedy}`,
      "warn",
    );
  }
  return state;
}
