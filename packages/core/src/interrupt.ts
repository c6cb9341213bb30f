// Ctrl-C once asks the work to save and stop; twice ends the process.
import { ExitCode } from "./errors.ts";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** A SIGTERM so soon behind another signal is the same request: schedulers send it to a script, which passes it on, and to its children. */
const SAME_MS = 5000;

/** Lets signals and messages that wait be heard: work that never waits for anything hears none. */
export const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

/** Thrown by work that an interruption cut short and that leaves nothing behind: it is done again when the run is resumed. */
export class WorkInterrupted extends Error {
  override readonly name = "WorkInterrupted";
}

/** What the work comes to; undefined where an interruption cut it short. */
export async function unlessInterrupted<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof WorkInterrupted) return undefined;
    throw error;
  }
}

export interface Interruption extends Disposable {
  /** True after the first SIGINT or SIGTERM. */
  interrupted(): boolean;
  /** Aborts at the first signal. */
  signal: AbortSignal;
}

/**
 * Listens to SIGINT, SIGTERM and SIGHUP (a closed terminal). The first sets the flag and aborts `signal`; a second one calls `onSecond`
 * (the CLI passes `process.exit`).
 */
export function watchInterruption(onSecond: (exitCode: number) => void): Interruption {
  const controller = new AbortController();
  let first = 0;
  const onSignal = (name: NodeJS.Signals) => {
    if (!controller.signal.aborted) {
      first = performance.now();
      controller.abort();
    } else if (name !== "SIGTERM" || performance.now() - first > SAME_MS) onSecond(ExitCode.interrupted);
  };
  for (const name of SIGNALS) process.on(name, onSignal);
  return {
    interrupted: () => controller.signal.aborted,
    signal: controller.signal,
    [Symbol.dispose]() {
      for (const name of SIGNALS) process.off(name, onSignal);
    },
  };
}
