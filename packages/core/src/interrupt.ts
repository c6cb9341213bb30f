// Ctrl-C once asks the work to save and stop; twice ends the process.
import { ExitCode } from "./errors.ts";

export interface Interruption extends Disposable {
  /** True after the first SIGINT or SIGTERM. */
  interrupted(): boolean;
  /** Aborts at the first signal. */
  signal: AbortSignal;
}

/**
 * Listens to SIGINT and SIGTERM. The first sets the flag and aborts `signal`; the second calls `onSecond`
 * (the CLI passes `process.exit`).
 */
export function watchInterruption(onSecond: (exitCode: number) => void): Interruption {
  const controller = new AbortController();
  const onSignal = () => {
    if (controller.signal.aborted) onSecond(ExitCode.interrupted);
    else controller.abort();
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  return {
    interrupted: () => controller.signal.aborted,
    signal: controller.signal,
    [Symbol.dispose]() {
      process.off("SIGINT", onSignal);
      process.off("SIGTERM", onSignal);
    },
  };
}
