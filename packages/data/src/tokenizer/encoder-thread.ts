// Long texts encoded beside the thread that asks: a server answers others in the meantime.
import type { Worker } from "node:worker_threads";
import { nodeEntry, startThread } from "../corpus/jobs/process.ts";

export interface ToEncoder {
  number: number;
  text: string;
}

export type FromEncoder = { number: number; ids: Uint32Array } | { number: number; failure: string };

interface Waiting {
  resolve(ids: number[]): void;
  reject(error: Error): void;
}

/** Encodes with the tokenizer of a folder. The thread starts with the first text, and again where it has ended. */
export class EncoderThread implements Disposable {
  private thread: Worker | undefined;
  private readonly waiting = new Map<number, Waiting>();
  private next = 0;

  constructor(private readonly folder: string) {}

  /** The ids that `Tokenizer.encode` gives. Rejects with what loading and encoding throw. */
  encode(text: string): Promise<number[]> {
    this.thread ??= this.start();
    const { thread } = this;
    const number = this.next++;
    return new Promise((resolve, reject) => {
      this.waiting.set(number, { resolve, reject });
      thread.postMessage({ number, text } satisfies ToEncoder);
    });
  }

  [Symbol.dispose](): void {
    const { thread } = this;
    this.end(new Error("the encoder was closed"));
    void thread?.terminate();
  }

  private start(): Worker {
    const thread = startThread(nodeEntry(import.meta.url, "encoder-main"), { folder: this.folder });
    thread.on("message", (message: FromEncoder) => {
      const waiting = this.waiting.get(message.number);
      this.waiting.delete(message.number);
      if ("ids" in message) waiting?.resolve(Array.from(message.ids));
      else waiting?.reject(new Error(message.failure));
    });
    thread.on("error", (error: Error) => this.end(error));
    thread.on("exit", () => thread === this.thread && this.end(new Error("the encoder ended")));
    thread.unref();
    return thread;
  }

  private end(error: Error): void {
    this.thread = undefined;
    const all = [...this.waiting.values()];
    this.waiting.clear();
    for (const { reject } of all) reject(error);
  }
}
