// Makes the context of a stage: recorded metrics and samples, log file, forwarded events.
import { appendFileSync } from "node:fs";
import { join } from "node:path";
import { clearTemporaries, withWriteErrors } from "./atomic.ts";
import { JsonlFile } from "./jsonl.ts";
import { JsonlSink, type MetricSink, MultiSink } from "./metrics/sink.ts";
import {
  type PlanChoice,
  parallelPlace,
  type RankPlace,
  type StageContext,
  type StageEvent,
} from "./stage.ts";

export interface StageContextOptions {
  runDir: string;
  resumeFrom?: string;
  device?: string;
  ranks?: RankPlace;
  profile?: boolean;
  plans?: PlanChoice;
  signal?: AbortSignal;
  /** Sinks besides metrics.jsonl. */
  sinks?: readonly MetricSink[];
  /** Sees every event after it was recorded. */
  onEvent?: (event: StageEvent) => void;
  /** Seconds since the epoch. */
  now?: () => number;
}

export interface OpenStageContext extends StageContext {
  /** Delivers what sinks still hold and closes the files. */
  close(): Promise<void>;
}

/** Opens the recording files of `runDir` and returns the context to hand to a {@link StageRunner}. */
export function openStageContext(options: StageContextOptions): OpenStageContext {
  const now = options.now ?? (() => Date.now() / 1000);
  const signal = options.signal ?? new AbortController().signal;
  const sink = new MultiSink([
    new JsonlSink(join(options.runDir, "metrics.jsonl")),
    ...(options.sinks ?? []),
  ]);
  clearTemporaries(options.runDir, { shared: true });
  const samples = new JsonlFile(join(options.runDir, "samples.jsonl"));

  function emit(event: StageEvent): void {
    if (event.type === "step" || event.type === "eval") sink.write(event.step, event.metrics, now());
    if (event.type === "sample" && !event.recorded) {
      const { type: _, recorded: __, ...row } = event;
      samples.append(row);
    }
    if (event.type === "log") {
      const stamp = new Date(now() * 1000).toISOString();
      const path = join(options.runDir, "log.txt");
      withWriteErrors(path, () => appendFileSync(path, `${stamp} ${event.level} ${event.text}\n`));
    }
    options.onEvent?.(event);
  }

  return {
    runDir: options.runDir,
    resumeFrom: options.resumeFrom,
    device: options.device ?? "auto",
    ranks: options.ranks,
    parallel: parallelPlace(options.ranks),
    profile: options.profile,
    plans: options.plans,
    emit,
    samples,
    signal,
    interrupted: () => signal.aborted,
    log: (text, level = "info") => emit({ type: "log", level, text }),
    rewind(step) {
      sink.rewind(step);
      samples.truncateToStep(step);
    },
    sync() {
      samples.sync();
      sink.sync?.();
    },
    async close() {
      samples.close();
      await sink.close();
    },
  };
}
