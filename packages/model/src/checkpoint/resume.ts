// Taking a stopped run up again.
import type { StageContext } from "@nsa/core";
import { type CheckpointParts, loadCheckpoint, machineOf } from "./checkpoint.ts";
import type { CheckpointState } from "./state.ts";

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
