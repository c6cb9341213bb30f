// The one interface behind which metrics go: JSONL always, TensorBoard and MLflow when asked for.
import { JsonlFile } from "../jsonl.ts";

export type Metrics = Record<string, number>;

export interface MetricSink {
  /** Records metrics of a step; `time` in seconds since the epoch. Non-finite values are kept as they are. */
  write(step: number, metrics: Metrics, time: number): void;
  /** Forgets rows above `step`: called once when a run resumes. */
  rewind(step: number): void;
  /** Makes the rows so far outlive a power cut. */
  sync?(): void;
  /** Waits until everything is delivered. */
  close(): void | Promise<void>;
}

/** One row `{step, time, ...metrics}` per write. */
export class JsonlSink implements MetricSink {
  readonly #file: JsonlFile;

  constructor(path: string) {
    this.#file = new JsonlFile(path);
  }

  write(step: number, metrics: Metrics, time: number): void {
    const row: Record<string, number | string> = { step, time };
    // JSON has no NaN: a diverged run must still show where it diverged.
    for (const [key, value] of Object.entries(metrics))
      row[key] = Number.isFinite(value) ? value : String(value);
    this.#file.append(row);
  }

  rewind(step: number): void {
    this.#file.truncateToStep(step);
  }

  sync(): void {
    this.#file.sync();
  }

  close(): void {
    this.#file.close();
  }
}

/** Writes to several sinks. */
export class MultiSink implements MetricSink {
  readonly #sinks: readonly MetricSink[];

  constructor(sinks: readonly MetricSink[]) {
    this.#sinks = sinks;
  }

  write(step: number, metrics: Metrics, time: number): void {
    for (const sink of this.#sinks) sink.write(step, metrics, time);
  }

  rewind(step: number): void {
    for (const sink of this.#sinks) sink.rewind(step);
  }

  sync(): void {
    for (const sink of this.#sinks) sink.sync?.();
  }

  async close(): Promise<void> {
    for (const sink of this.#sinks) await sink.close();
  }
}
