// Row groups of a Parquet file, decoded in a thread of their own under a budget of time and memory: the decoder has loops that a
// damaged page never ends, and a thread can be ended from outside, so that Ctrl-C and the rest of the work go on.
import type { Worker } from "node:worker_threads";
import { ExitCode, NsaError } from "@nsa/core";
import { nodeEntry, startThread } from "../jobs/process.ts";

export interface GroupRequest {
  first: number;
  end: number;
  columns: string[] | null;
  utf8: boolean;
}

export type GroupReply =
  | { schema: { columns: string[]; groups: number[] } }
  | { rows: Record<string, unknown>[] }
  | { failure: string };

/** A file that cannot be decoded, or not within its budget; no rows behind the fault are known. */
export class ParquetFault extends Error {
  constructor(
    readonly reason: "stream_broken" | "budget_spent",
    message: string,
  ) {
    super(message);
  }
}

/** Seconds for a piece of work on a file, beside one for each MiB of it; a busy machine takes many times what is usual. */
const SECONDS = 20;
/** MiB of JavaScript objects that one row group may become. */
const HEAP_MB = 4096;

export interface GroupOptions {
  seconds?: number;
}

/** The decoder of one file. Dispose of it to end its thread. */
export class RowGroups implements Disposable {
  private readonly worker: Worker;

  constructor(
    private readonly path: string,
    private readonly bytes: number,
    private readonly options: GroupOptions = {},
  ) {
    this.worker = startThread(
      nodeEntry(import.meta.url, "parquet-main"),
      { path },
      { maxOldGenerationSizeMb: HEAP_MB },
    );
    this.worker.unref();
  }

  /** Names of the columns and numbers of rows by group. Throws ParquetFault. */
  async schema(): Promise<{ columns: string[]; groups: number[] }> {
    const reply = await this.reply();
    if ("schema" in reply) return reply.schema;
    throw new ParquetFault("stream_broken", "failure" in reply ? reply.failure : "it has no schema");
  }

  /** Rows of one group. Throws ParquetFault. */
  async rows(request: GroupRequest): Promise<Record<string, unknown>[]> {
    const reply = this.reply();
    this.worker.postMessage(request);
    const got = await reply;
    if ("rows" in got) return got.rows;
    throw new ParquetFault("stream_broken", "failure" in got ? got.failure : "it has no rows");
  }

  [Symbol.dispose](): void {
    void this.worker.terminate();
  }

  /** The next message of the thread, within the budget. */
  private reply(): Promise<GroupReply> {
    const { worker } = this;
    const seconds = (this.options.seconds ?? SECONDS) + this.bytes / 2 ** 20;
    return new Promise((resolve, reject) => {
      worker.ref();
      const timer = setTimeout(
        () => fail(new ParquetFault("budget_spent", `it was not decoded within ${seconds.toFixed(0)} s`)),
        1000 * seconds,
      );
      const done = () => {
        clearTimeout(timer);
        worker.off("message", onMessage).off("error", onError).off("exit", onExit);
        worker.unref();
      };
      const fail = (error: Error) => {
        done();
        reject(error);
      };
      const onMessage = (message: GroupReply) => {
        done();
        resolve(message);
      };
      const onError = (error: NodeJS.ErrnoException) =>
        fail(
          error.code === "ERR_WORKER_OUT_OF_MEMORY"
            ? new ParquetFault("budget_spent", `a row group takes more than ${HEAP_MB} MiB`)
            : new ParquetFault("stream_broken", error.message),
        );
      const onExit = () => fail(new ParquetFault("stream_broken", "its decoder ended"));
      worker.on("message", onMessage).on("error", onError).on("exit", onExit);
    });
  }
}

/** What readers that need every row throw. */
export function parquetError(path: string, fault: ParquetFault): NsaError {
  return new NsaError({
    code: fault.reason === "budget_spent" ? "parquet_budget" : "parquet_broken",
    what: `${path} cannot be read`,
    why: fault.message,
    fix: "fetch or write the file again",
    exitCode: ExitCode.data,
    cause: fault,
  });
}
