// Runs one stage in this process: recording files, resume, events.
import { latestCheckpoint, openStageContext, type StageEvent, type StageResult } from "@nsa/core";
import { loadStage } from "../commands/stages.ts";
import type { Job } from "./messages.ts";

/** Runs the stage to its end, or to the checkpoint after `signal` aborts. */
export async function runJob(
  job: Job,
  signal: AbortSignal,
  onEvent: (event: StageEvent) => void,
): Promise<StageResult> {
  const stage = await loadStage(job.stage);
  const context = openStageContext({
    runDir: job.runDir,
    resumeFrom: (job.resume && latestCheckpoint(job.runDir)) || undefined,
    device: job.device,
    signal,
    onEvent,
  });
  try {
    if (job.resume && !context.resumeFrom) context.rewind(0);
    return await stage.run(job.config, context);
  } finally {
    await context.close();
  }
}
