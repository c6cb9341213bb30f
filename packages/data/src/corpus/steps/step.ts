// A corpus step: one kind of task with its settings, how it is planned over a run's files, and what it does.
//
// The planning process makes tasks from `plan`; a worker process or a Slurm array element checks the task's settings
// against `spec` and calls `run`. A task is plain JSON: its settings and its inputs' contents decide its outputs.
import { ExitCode, NsaError } from "@nsa/core";
import type { z } from "zod";
import type { Manifest } from "../jobs/manifest.ts";
import { type JobContext, runStage } from "../jobs/stage.ts";
import type { Task, TaskFunction, TaskIo } from "../jobs/task.ts";

/** A task's statistics, as its manifest records them. */
export type Stats = Record<string, unknown>;

export interface StepIo<S> extends TaskIo {
  spec: S & Record<string, unknown>;
}

export interface Step<S, P> {
  /** Name in the table of tasks; a part of every fingerprint. */
  kind: string;
  /** Settings of a task. Strict: one that is not named here would change outputs without being checked. */
  spec: z.ZodType<S>;
  /** The tasks over a run's files; they do not depend on each other. */
  plan(given: P): (Omit<Task, "kind" | "spec"> & { spec: S })[];
  /** Reads `io.inputs`, writes `io.outputs`, returns what the manifest records. */
  run(io: StepIo<S>): Promise<Stats>;
}

/** Types a step; returns it. */
export const defineStep = <S, P>(step: Step<S, P>): Step<S, P> => step;

/** Runs the missing tasks of a step under the name `stage`; all manifests in the plan's order. */
export function runStep<S, P>(
  job: JobContext,
  stage: string,
  step: Step<S, P>,
  given: P,
): Promise<Manifest[]> {
  const tasks = step.plan(given).map((task) => ({ ...task, kind: step.kind, spec: task.spec as Stats }));
  return runStage(job, stage, tasks);
}

/** What a task process calls. Throws NsaError `task_spec_invalid` (exit 1) for settings that the step does not have. */
export function taskOf<S>(step: Pick<Step<S, never>, "kind" | "spec" | "run">): TaskFunction {
  return async (io) => {
    const checked = step.spec.safeParse(io.spec);
    if (!checked.success) {
      throw new NsaError({
        code: "task_spec_invalid",
        what: `a task of kind ${step.kind} has settings that the step cannot run with`,
        why: checked.error.issues.map(({ path, message }) => `${path.join(".")}: ${message}`).join("; "),
        fix: "run planning and workers from the same version of nsa",
        exitCode: ExitCode.bug,
      });
    }
    return step.run({ ...io, spec: checked.data as S & Stats });
  };
}
