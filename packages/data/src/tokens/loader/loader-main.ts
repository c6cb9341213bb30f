// A thread that prepares steps ahead: takes credits, sends steps with the state of the source after each.
import { parentPort, workerData } from "node:worker_threads";
import { NsaError, type StepBatch } from "@nsa/core";
import { type FromLoader, type LoaderJob, openLoader, type ToLoader } from "./job.ts";

function buffersOf({ microBatches }: StepBatch): ArrayBuffer[] {
  return microBatches.flatMap((b) =>
    [b.tokens, b.targets, b.lossWeight, b.positions, b.cuSeqlens, b.sampleIds].map(
      (values) => values.buffer as ArrayBuffer,
    ),
  );
}

function errorOf(error: unknown): FromLoader {
  const { message } = error as Error;
  if (!(error instanceof NsaError)) return { type: "failed", message };
  const { code, what, why, fix, exitCode } = error;
  return { type: "failed", message, fields: { code, what, why, fix, exitCode } };
}

const { job, state } = workerData as { job: LoaderJob; state: unknown };
const port = parentPort!;
try {
  const source = openLoader(job);
  if (state !== undefined) source.load(state);
  port.on("message", ({ credits }: ToLoader) => {
    try {
      for (let i = 0; i < credits; i++) {
        const step = source.next();
        port.postMessage({ type: "step", step, state: source.save() } satisfies FromLoader, buffersOf(step));
      }
    } catch (error) {
      port.postMessage(errorOf(error));
    }
  });
} catch (error) {
  port.postMessage(errorOf(error));
}
