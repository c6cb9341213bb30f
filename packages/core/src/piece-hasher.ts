// SHA-256 of pieces of files in worker threads, so that hashing runs beside reading and writing and on several cores.
import { createHash } from "node:crypto";
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";

/** More threads hash faster than disks write. */
const MAX_THREADS = 4;

/** A pair of threads costs more to start than this many bytes cost to hash here. */
const INLINE_BYTES = 4 << 20;

const THREAD = `
const { parentPort } = require("node:worker_threads");
const { createHash } = require("node:crypto");
parentPort.on("message", ({ id, bytes }) =>
  parentPort.postMessage({ id, hash: createHash("sha256").update(bytes).digest("hex") }));
`;

interface Waiting {
  resolve(hash: string): void;
  reject(error: Error): void;
}

/** Threads start with the first large piece. Close it to end them. */
export class PieceHasher {
  private readonly threads: { worker: Worker; load: number }[] = [];
  private readonly waiting = new Map<number, Waiting>();
  private next = 0;
  private failure: Error | undefined;

  /**
   * Resolves with the hexadecimal SHA-256. Memory that is shared (SharedArrayBuffer) is not copied, and must not change until
   * then.
   */
  digest(bytes: Uint8Array): Promise<string> {
    if (bytes.length <= INLINE_BYTES || this.failure)
      return Promise.resolve(createHash("sha256").update(bytes).digest("hex"));
    const thread = this.idle();
    const id = this.next++;
    thread.load++;
    return new Promise<string>((resolve, reject) => {
      this.waiting.set(id, { resolve, reject });
      thread.worker.postMessage({ id, bytes });
    }).finally(() => thread.load--);
  }

  async close(): Promise<void> {
    await Promise.all(this.threads.map(({ worker }) => worker.terminate()));
  }

  /** The least loaded thread; a new one while all are busy. */
  private idle(): { worker: Worker; load: number } {
    const least = this.threads.toSorted((a, b) => a.load - b.load)[0];
    if (least && (least.load === 0 || this.threads.length >= Math.min(MAX_THREADS, availableParallelism())))
      return least;
    // Without the loaders of the main thread: the thread's code is plain JavaScript.
    const worker = new Worker(THREAD, { eval: true, execArgv: [] });
    worker.on("message", ({ id, hash }: { id: number; hash: string }) => {
      this.waiting.get(id)?.resolve(hash);
      this.waiting.delete(id);
    });
    worker.on("error", (error) => {
      this.failure = error;
      for (const { reject } of this.waiting.values()) reject(error);
      this.waiting.clear();
    });
    const thread = { worker, load: 0 };
    this.threads.push(thread);
    return thread;
  }
}
