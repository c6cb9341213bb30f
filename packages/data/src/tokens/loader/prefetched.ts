// A batch source whose steps are made in a thread of its own, a few ahead of their use.
//
// `save` gives the state after the last step that was taken, never that of steps made ahead: a resume makes those again.
import type { Worker } from "node:worker_threads";
import { type BatchSource, NsaError, type StepBatch } from "@nsa/core";
import { nodeEntry, startThread } from "../../corpus/jobs/process.ts";
import { type FromLoader, type LoaderJob, openLoader } from "./job.ts";

export class PrefetchedSource implements BatchSource {
  readonly name = "data";
  readonly prefetch = 2;
  private state: unknown;
  private worker: Worker | undefined;
  private ready: Extract<FromLoader, { type: "step" }>[] = [];
  private failure: Error | undefined;
  private wake: () => void = () => {};

  constructor(private readonly job: LoaderJob) {}

  save(): unknown {
    this.state ??= openLoader(this.job).save();
    return this.state;
  }

  /** Takes up a saved state; what was made ahead of it is dropped. */
  async load(state: unknown): Promise<void> {
    await this.close();
    this.state = state;
  }

  /** The next step, made by now or waited for. Throws what the thread met. */
  async next(): Promise<StepBatch> {
    if (!this.worker) this.start();
    while (this.ready.length === 0) {
      if (this.failure) throw this.failure;
      this.worker!.ref();
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
      this.worker!.unref();
    }
    const { step, state } = this.ready.shift()!;
    this.state = state;
    this.worker!.postMessage({ credits: 1 });
    return step;
  }

  async *[Symbol.asyncIterator](): AsyncIterator<StepBatch> {
    for (;;) yield await this.next();
  }

  /** Ends the thread. */
  async close(): Promise<void> {
    const { worker } = this;
    this.worker = undefined;
    this.ready = [];
    this.failure = undefined;
    await worker?.terminate();
  }

  private start(): void {
    const worker = startThread(nodeEntry(import.meta.url, "loader-main"), {
      job: this.job,
      state: this.state,
    });
    const fail = (error: Error) => {
      if (this.worker !== worker) return;
      this.failure = error;
      this.wake();
    };
    worker.on("message", (message: FromLoader) => {
      if (this.worker !== worker) return;
      if (message.type === "failed") {
        fail(message.fields ? new NsaError(message.fields) : new Error(message.message));
        return;
      }
      this.ready.push(message);
      this.wake();
    });
    worker.on("error", fail);
    worker.on("exit", (code) => fail(new Error(`the loader thread ended with code ${code}`)));
    // A run that ends in an error does not wait for its loader.
    worker.unref();
    worker.postMessage({ credits: this.prefetch });
    this.worker = worker;
  }
}
