// Starts the trainer process and follows it: a long native call or a crash there leaves this process and its screen alive.
import { type ChildProcess, fork } from "node:child_process";
import { createRequire } from "node:module";
import { constants } from "node:os";
import { fileURLToPath, pathToFileURL } from "node:url";
import { ExitCode, latestCheckpoint, NsaError, type StageEvent, type StageResult } from "@nsa/core";
import type { FromChild, Job, ToChild } from "./messages.ts";

/** From sources this module is child/run-in-child.ts; in the bundle it lies in dist/ beside trainer-main.mjs. */
function trainerEntry(): { path: string; flags: string[] } {
  const at = (name: string) => fileURLToPath(new URL(name, import.meta.url));
  if (!import.meta.url.endsWith(".ts")) return { path: at("./trainer-main.mjs"), flags: [] };
  const tsx = pathToFileURL(createRequire(import.meta.url).resolve("tsx")).href;
  return { path: at("./trainer-main.ts"), flags: ["--conditions=nsa-source", "--import", tsx] };
}

const STDERR_KEPT = 4000;
/** Signals by which a person or a scheduler asks for the end. */
const STOPS = ["SIGINT", "SIGTERM", "SIGHUP"];

/** The error that the trainer process threw, with its own stack. */
function revive(message: Extract<FromChild, { type: "failed" }>): Error {
  const error = message.fields ? new NsaError(message.fields) : new Error(message.message);
  if (message.stack) error.stack = message.stack;
  return error;
}

/** What a process that ended without a word most likely met. */
function crashed(job: Job, code: number | null, signal: string | null, stderr: string): NsaError {
  const killed = signal === "SIGKILL" || code === 128 + constants.signals.SIGKILL;
  const lastLine = stderr.trim().split("\n").at(-1);
  const outOfHeap = stderr.includes("heap out of memory");
  const memory = killed || outOfHeap;
  const checkpoint = latestCheckpoint(job.runDir);
  const again = checkpoint
    ? `it goes on from ${checkpoint} with --resume ${job.runDir}`
    : "there is no checkpoint yet: start it again";
  return new NsaError({
    code: memory ? "trainer_killed" : "trainer_crashed",
    what: `the trainer process ended ${signal ? `by ${signal}` : `with code ${code}`}`,
    why: outOfHeap
      ? "the JavaScript heap is full"
      : killed
        ? "something killed it, most often the system when memory ran out"
        : lastLine || "it left no message",
    fix: memory ? `use smaller micro-batches; ${again}` : again,
    exitCode: memory ? ExitCode.diverged : ExitCode.bug,
  });
}

/** The result of a run that was stopped before its trainer did anything. */
function stoppedBefore({ runDir }: Job): StageResult {
  const step = Number(/step-(\d+)$/.exec(latestCheckpoint(runDir) ?? "")?.[1] ?? 0);
  return { status: "interrupted", step, metrics: {}, outputs: {} };
}

export interface ChildOptions {
  /** Abort to ask for a checkpoint and the end; abort it before the start and nothing runs. */
  signal: AbortSignal;
  onEvent: (event: StageEvent) => void;
  /** Sees the process, to end it when the user will not wait. */
  onStart?: (child: ChildProcess) => void;
  /** The program to start instead of the trainer, for tests. */
  entry?: string;
}

/**
 * Runs a job in a process of its own.
 * Throws what the stage threw, or NsaError `trainer_crashed` (exit 1), `trainer_killed` (exit 5).
 */
export async function runInChild(job: Job, options: ChildOptions): Promise<StageResult> {
  const entry = options.entry ? { path: options.entry, flags: [] } : trainerEntry();
  const child = fork(entry.path, [], {
    execArgv: entry.flags,
    serialization: "advanced",
    stdio: ["ignore", "ignore", "pipe", "ipc"],
  });
  options.onStart?.(child);
  let stderr = "";
  child.stderr!.on("data", (chunk: Buffer) => {
    stderr = (stderr + chunk.toString()).slice(-STDERR_KEPT);
  });
  // A child that is gone cannot be told anything; its `close` says why.
  const tell = (message: ToChild) => void (child.connected && child.send(message, () => undefined));
  const stop = () => tell({ type: "stop" });
  options.signal.addEventListener("abort", stop);

  let outcome: StageResult | Error | undefined;
  child.on("message", (message: FromChild) => {
    if (message.type === "ready") {
      tell({ type: "run", job });
      if (options.signal.aborted) stop();
    } else if (message.type === "event") options.onEvent(message.event);
    else outcome = message.type === "result" ? message.result : revive(message);
  });
  try {
    const [code, signal] = await new Promise<[number | null, string | null]>((resolve, reject) => {
      child.on("error", reject);
      child.on("close", (...how) => resolve(how));
    });
    // A Ctrl-C in the terminal goes to both processes, and ends one that has not put up its handlers yet.
    const stopped = options.signal.aborted && signal !== null && STOPS.includes(signal);
    if (outcome === undefined && stopped) return stoppedBefore(job);
    if (outcome === undefined) throw crashed(job, code, signal, stderr);
    if (outcome instanceof Error) throw outcome;
    return outcome;
  } finally {
    options.signal.removeEventListener("abort", stop);
  }
}
