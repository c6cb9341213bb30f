// The trainer process: takes one job over IPC, tells its events, and ends. Signals come from the parent as `stop`.
import { explainWriteError, NsaError } from "@nsa/core";
import type { FromChild, ToChild } from "./messages.ts";
import { runJob } from "./run-job.ts";

const stop = new AbortController();
// A terminal sends Ctrl-C to parent and child alike; the parent alone decides, so that one press counts once.
process.on("SIGINT", () => undefined);
for (const signal of ["SIGTERM", "SIGHUP"] as const) process.on(signal, () => stop.abort());
process.on("disconnect", () => stop.abort());

function tell(message: FromChild): Promise<void> {
  return new Promise((resolve) => {
    // A parent that is gone must not keep the last checkpoint from being written.
    if (process.connected) process.send!(message, undefined, undefined, () => resolve());
    else resolve();
  });
}

function describe(thrown: unknown): FromChild {
  const error = explainWriteError((thrown as NodeJS.ErrnoException | null)?.path ?? "the run folder", thrown);
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  if (!(error instanceof NsaError)) return { type: "failed", message, stack };
  const { code, what, why, fix, exitCode } = error;
  return { type: "failed", message, stack, fields: { code, what, why, fix, exitCode } };
}

process.on("message", async (message: ToChild) => {
  if (message.type === "stop") {
    stop.abort();
    return;
  }
  try {
    const result = await runJob(message.job, stop.signal, (event) => void tell({ type: "event", event }));
    await tell({ type: "result", result });
  } catch (error) {
    await tell(describe(error));
  }
  process.exit(0);
});
void tell({ type: "ready" });
