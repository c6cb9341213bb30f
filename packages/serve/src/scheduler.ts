// The engine among requests that come at any time: one decode step, then a turn of the event loop, and so on.
import { turn } from "@nsa/core";
import { Engine, type GeneratedSample, type GenerateRequest, type LiveGeneration } from "@nsa/model";
import type { ServingSession } from "./session.ts";

export interface Listener {
  onToken?(sample: number, id: number, output: GeneratedSample): void;
  onEnd(sample: number, output: GeneratedSample): void;
  /** The engine failed; nothing more comes. */
  onError(error: unknown): void;
}

export interface SchedulerOptions {
  maxSequences: number;
  cacheTokens: number;
  prefillTokens: number;
}

export class Scheduler implements Disposable {
  private readonly live: LiveGeneration;
  private readonly listeners = new Map<number, { listener: Listener; left: number }>();
  private pumping = false;

  constructor(session: ServingSession, options: SchedulerOptions) {
    const engine = new Engine(session.model, {
      ...options,
      decode: (ids) => session.tokenizer.decode(ids),
      onToken: (request, sample, id, output) =>
        this.listeners.get(request)?.listener.onToken?.(sample, id, output),
    });
    this.live = engine.open();
  }

  get running(): number {
    return this.live.running;
  }

  get waiting(): number {
    return this.live.waiting;
  }

  /** Starts a request and returns how to cancel it. Throws what the engine refuses with. */
  start(request: GenerateRequest, listener: Listener): () => void {
    const number = this.live.add(request);
    this.listeners.set(number, { listener, left: request.n });
    void this.pump();
    return () => {
      if (this.listeners.delete(number)) this.live.cancel(number);
    };
  }

  /** All outputs of a request. Rejects with `signal.reason` once it aborts. */
  complete(request: GenerateRequest, signal: AbortSignal): Promise<GeneratedSample[]> {
    return new Promise((resolve, reject) => {
      const outputs: GeneratedSample[] = new Array(request.n);
      let left = request.n;
      const cancel = this.start(request, {
        onEnd(sample, output) {
          outputs[sample] = output;
          if (--left === 0) resolve(outputs);
        },
        onError: reject,
      });
      const abort = () => {
        cancel();
        reject(signal.reason);
      };
      if (signal.aborted) abort();
      else signal.addEventListener("abort", abort, { once: true });
    });
  }

  [Symbol.dispose](): void {
    this.live.close();
  }

  private async pump(): Promise<void> {
    if (this.pumping) return;
    this.pumping = true;
    try {
      while (!this.live.idle) {
        // Requests that arrived together start together.
        await turn();
        for (const { request, sample, output } of this.live.step()) {
          const entry = this.listeners.get(request);
          if (!entry) continue;
          if (--entry.left === 0) this.listeners.delete(request);
          entry.listener.onEnd(sample, output);
        }
      }
    } catch (error) {
      const all = [...this.listeners];
      this.listeners.clear();
      for (const [request, { listener }] of all) {
        this.live.cancel(request);
        listener.onError(error);
      }
    } finally {
      this.pumping = false;
    }
  }
}
