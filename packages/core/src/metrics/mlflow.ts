// Metrics to an MLflow server over its REST interface. A server that is away never stops a training run.
import type { MetricSink, Metrics } from "./sink.ts";

export interface MlflowOptions {
  /** Base address of the tracking server. */
  uri: string;
  experiment: string;
  runName: string;
  /** Continue this MLflow run instead of starting one. */
  runId?: string;
  /** Called once with the run's id, so that a resume can continue it. */
  onRun?: (runId: string) => void;
  /** Called with the reason when rows could not be delivered. */
  onError: (reason: string) => void;
}

interface Row {
  key: string;
  value: number;
  timestamp: number;
  step: number;
}

/** The fields used of the server's answers. */
interface Answer {
  experiment_id?: string;
  experiment?: { experiment_id: string };
  run?: { info: { run_id: string } };
}

/** Batches rows and sends them in order in the background; `close` waits for the last batch. */
export class MlflowSink implements MetricSink {
  readonly #options: MlflowOptions;
  #rows: Row[] = [];
  #tail: Promise<void>;
  #runId: string | undefined;
  #failed = false;

  constructor(options: MlflowOptions) {
    this.#options = options;
    this.#runId = options.runId;
    this.#tail = this.#guard(async () => {
      if (this.#runId === undefined) await this.#createRun();
    });
  }

  async #guard(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!this.#failed) this.#options.onError(`MLflow: ${(error as Error).message}`);
      this.#failed = true;
    }
  }

  async #call(path: string, body?: object): Promise<Answer> {
    const response = await fetch(new URL(`/api/2.0/mlflow/${path}`, this.#options.uri), {
      method: body ? "POST" : "GET",
      headers: { "content-type": "application/json" },
      body: body ? JSON.stringify(body) : undefined,
      signal: AbortSignal.timeout(10_000),
    });
    if (!response.ok) throw new Error(`${path} answered ${response.status}`);
    return (await response.json()) as Answer;
  }

  async #createRun(): Promise<void> {
    const { experiment, runName } = this.#options;
    const query = `experiments/get-by-name?experiment_name=${encodeURIComponent(experiment)}`;
    const found = await this.#call(query).catch(() => null);
    const experimentId =
      found?.experiment?.experiment_id ??
      (await this.#call("experiments/create", { name: experiment })).experiment_id;
    const made = await this.#call("runs/create", {
      experiment_id: experimentId,
      run_name: runName,
      start_time: Date.now(),
    });
    this.#runId = made.run?.info.run_id;
    if (this.#runId !== undefined) this.#options.onRun?.(this.#runId);
  }

  #flush(): void {
    const metrics = this.#rows;
    this.#rows = [];
    if (metrics.length === 0) return;
    this.#tail = this.#tail.then(() =>
      this.#guard(async () => {
        if (this.#runId !== undefined) await this.#call("runs/log-batch", { run_id: this.#runId, metrics });
      }),
    );
  }

  write(step: number, metrics: Metrics, time: number): void {
    for (const [key, value] of Object.entries(metrics))
      if (Number.isFinite(value)) this.#rows.push({ key, value, step, timestamp: Math.round(time * 1000) });
    if (this.#rows.length >= 200) this.#flush();
  }

  /** MLflow keeps the last value of a (key, step), so repeated steps overwrite themselves. */
  rewind(step: number): void {
    this.#rows = this.#rows.filter((row) => row.step <= step);
  }

  async close(): Promise<void> {
    this.#flush();
    await this.#tail;
    if (this.#runId === undefined) return;
    await this.#guard(async () => {
      const end = { run_id: this.#runId, status: "FINISHED", end_time: Date.now() };
      await this.#call("runs/update", end);
    });
  }
}
