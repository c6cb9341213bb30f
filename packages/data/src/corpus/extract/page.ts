// Pages extracted in a thread of their own, each under a budget of time and memory: what one page makes of the parser's or
// Readability's loops, no other page and no Ctrl-C waits for.
import { once } from "node:events";
import type { Worker } from "node:worker_threads";
import { nodeEntry, startThread } from "../jobs/process.ts";
import type { Extracted } from "./html.ts";

export type PageOutcome = Extracted | { reason: "nested_too_deep" | "bad_html" | "budget_spent" };

export interface PageBudget {
  /** For one page; a busy machine takes many times what is usual, which is milliseconds. */
  seconds: number;
  /** MiB of JavaScript objects. */
  heapMb: number;
}

const BUDGET: PageBudget = { seconds: 60, heapMb: 2048 };

/** Extracts one page after another. The thread starts with the first page, and again behind one that spent its budget. */
export class PageExtractor implements Disposable {
  private thread: Worker | undefined;
  private last: Promise<unknown> = Promise.resolve();

  constructor(private readonly budget: PageBudget = BUDGET) {}

  /** The page's title and text, or why there are none. Pages wait for those before them, whose time is not counted as theirs. */
  extract(html: string): Promise<PageOutcome> {
    const outcome = this.last.then(() => this.run(html));
    this.last = outcome;
    return outcome;
  }

  [Symbol.dispose](): void {
    void this.thread?.terminate();
    this.thread = undefined;
  }

  private async run(html: string): Promise<PageOutcome> {
    this.thread ??= await this.start();
    const { thread } = this;
    thread.ref();
    return new Promise((resolve) => {
      const end = (outcome: PageOutcome) => {
        clearTimeout(timer);
        thread.off("message", end).off("error", giveUp).off("exit", giveUp);
        // A process with nothing else to do ends.
        thread.unref();
        resolve(outcome);
      };
      const giveUp = () => {
        thread.on("error", () => undefined);
        this[Symbol.dispose]();
        end({ reason: "budget_spent" });
      };
      const timer = setTimeout(giveUp, 1000 * this.budget.seconds);
      thread.on("message", end).on("error", giveUp).on("exit", giveUp);
      thread.postMessage(html);
    });
  }

  /** A thread that is loaded, which is no page's time. Throws what loading it throws. */
  private async start(): Promise<Worker> {
    const thread = startThread(nodeEntry(import.meta.url, "page-main"), undefined, {
      maxOldGenerationSizeMb: this.budget.heapMb,
    });
    await once(thread, "message");
    return thread;
  }
}

const shared = new PageExtractor();

/** {@link PageExtractor.extract} by the process's own thread. */
export const extractWithin = (html: string): Promise<PageOutcome> => shared.extract(html);
