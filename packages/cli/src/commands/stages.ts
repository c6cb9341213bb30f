// The stages that recipes describe: their schemas and runners.
import { NsaError, type StageRunner } from "@nsa/core";
import type { z } from "zod";

export interface Stage {
  // biome-ignore lint/suspicious/noExplicitAny: each stage has its own config type, checked by its schema.
  schema: z.ZodType<any>;
  // biome-ignore lint/suspicious/noExplicitAny: as above.
  run: StageRunner<any>;
  // biome-ignore lint/suspicious/noExplicitAny: as above.
  estimate: (config: any) => Record<string, number>;
}

/** Names for {@link loadStage}, in the order of a pipeline. */
export const STAGES = ["pretrain", "sft", "grpo", "eval"] as const;

/** Loads a stage. Throws NsaError `stage_unknown` (exit 2). */
export async function loadStage(name: string): Promise<Stage> {
  if (name === "pretrain") {
    const { estimatePretrain, pretrainSchema, runPretrain } = await import("@nsa/eval");
    return { schema: pretrainSchema, run: runPretrain, estimate: estimatePretrain };
  }
  if (name === "sft") {
    const { estimateSft, runSft, sftSchema } = await import("@nsa/eval");
    return { schema: sftSchema, run: runSft, estimate: estimateSft };
  }
  if (name === "grpo") {
    const { estimateGrpo, grpoSchema, runGrpo } = await import("@nsa/rl");
    return { schema: grpoSchema, run: runGrpo, estimate: estimateGrpo };
  }
  if (name === "eval") {
    const { estimateEval, evalSchema, runEval } = await import("@nsa/eval");
    return { schema: evalSchema, run: runEval, estimate: estimateEval };
  }
  throw new NsaError({
    code: "stage_unknown",
    what: `no stage "${name}"`,
    why: `there are ${STAGES.join(", ")}`,
    fix: "choose one of them",
    exitCode: 2,
  });
}
