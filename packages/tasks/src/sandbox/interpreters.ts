// Python interpreters for programs that come in pieces, as tools run them: names that one piece defines are there for the next.
//
// A process in bubblewrap (interpreters.py) has its packages loaded and forks an interpreter for each history of pieces, in
// milliseconds. What an interpreter is depends on its seed and the pieces that it has run: one that is idle is taken for any history equal
// to its own, and one that is gone is made again by running the history once more. A piece that hangs, writes too much or dies ends its
// interpreter alone. One that takes the forking process with it ends all calls there: each of them is then made again in a process of
// its own, so that the innocent ones get what they would have got and the guilty one ends by itself.
import { lineSplitter } from "@nsa/core";
import { defaultLimits } from "./limits.ts";
import { type Running, script, startProcess } from "./process.ts";

/** Interpreters of one process, besides one in reserve: each holds three of its 64 file descriptors. */
const WIDTH = 14;
/** A process that answers this much later than a piece's time is taken for dead: one that others share, and one of a call alone. */
const SILENCE_MS = { shared: 5000, alone: 20_000 };
const DAY_MS = 86_400_000;

export interface PieceLimits {
  /** Wall-clock time of one piece, milliseconds. */
  timeoutMs: number;
  /** Address space of each interpreter, MiB. */
  memoryMb: number;
  /** Bytes that one piece may write. */
  outputBytes: number;
}

export type PieceStatus = "ok" | "error" | "timeout" | "output" | "died";

export interface PieceResult {
  /** `error`: it raised, and its names stay. After timeout, output and died the interpreter is gone. */
  status: PieceStatus;
  /** What it wrote to stdout. */
  output: string;
  /** One line on how it ended; empty where it ended well. */
  why: string;
}

interface Call {
  history: readonly string[];
  code: string;
  seed: number;
}

interface Answer {
  id: number;
  status: PieceStatus;
  output: string;
  why: string;
}

/** The process that forks interpreters is gone. */
class ServerEnded extends Error {}

const keyOf = (seed: number, history: readonly string[]) => JSON.stringify([seed, ...history]);

class Server {
  /** Idle interpreters, the one that waits longest first. */
  private readonly idle = new Map<number, string>();
  private readonly waiting = new Map<number, (answer: Answer | undefined) => void>();
  private readonly running: Running;
  private calls = 0;
  private made = 0;
  /** Interpreters that run a piece. */
  busy = 0;
  alive = true;
  packages: string[] = [];
  readonly ready: Promise<void>;

  constructor(
    private readonly limits: PieceLimits,
    private readonly width: number,
  ) {
    const own = {
      ...defaultLimits,
      memoryMb: limits.memoryMb,
      timeoutMs: 7 * DAY_MS,
      cpuSeconds: 7 * 86_400,
      processes: width + 8,
    };
    this.running = startProcess("bubblewrap", own, {
      files: {},
      main: (place) => `CHANNEL = ${place}\n${script("interpreters.py")}`,
      interpreters: width + 1,
    });
    this.ready = new Promise((resolve) => {
      const onLine = (line: string) => {
        const message = JSON.parse(line) as Answer & { ready?: string[] };
        if (message.ready) {
          this.packages = message.ready;
          resolve();
        } else this.waiting.get(message.id)?.(message);
      };
      this.running.channel!.setEncoding("utf8").on("data", lineSplitter(onLine));
      void this.running.result.then(() => {
        this.end();
        resolve();
      });
    });
  }

  private end(): void {
    this.alive = false;
    for (const settle of this.waiting.values()) settle(undefined);
  }

  private send(message: object): void {
    this.running.channel!.write(`${JSON.stringify(message)}\n`);
  }

  private request(key: number, code: string, seed: number, fresh: boolean): Promise<Answer> {
    if (!this.alive) return Promise.reject(new ServerEnded());
    const id = this.calls++;
    const { timeoutMs: timeout, outputBytes: bytes } = this.limits;
    return new Promise<Answer>((resolve, reject) => {
      const silence = setTimeout(
        () => this.close(),
        timeout + SILENCE_MS[this.width > 1 ? "shared" : "alone"],
      );
      this.waiting.set(id, (answer) => {
        clearTimeout(silence);
        this.waiting.delete(id);
        if (answer) resolve(answer);
        else reject(new ServerEnded());
      });
      this.send({ id, key, code, seed, timeout, bytes, fresh });
    });
  }

  /** Whether an interpreter of this history is idle. */
  has(history: string): boolean {
    return [...this.idle.values()].includes(history);
  }

  /** An interpreter with this history: an idle one, or a new one that has run none of it. */
  private take(history: string): { key: number; fresh: boolean } {
    for (const [key, own] of this.idle)
      if (own === history) {
        this.idle.delete(key);
        return { key, fresh: false };
      }
    if (this.busy + this.idle.size >= this.width) {
      const [oldest] = this.idle.keys();
      this.idle.delete(oldest!);
      this.send({ end: oldest });
    }
    return { key: this.made++, fresh: true };
  }

  /** Runs a piece behind its history. Throws {@link ServerEnded}. */
  async run({ history, code, seed }: Call): Promise<Answer> {
    const { key, fresh } = this.take(keyOf(seed, history));
    this.busy++;
    try {
      await this.ready;
      let isNew = fresh;
      for (const piece of fresh ? history : []) {
        await this.request(key, piece, seed, isNew);
        isNew = false;
      }
      const answer = await this.request(key, code, seed, isNew);
      if (answer.status === "ok" || answer.status === "error")
        this.idle.set(key, keyOf(seed, [...history, code]));
      return answer;
    } finally {
      this.busy--;
    }
  }

  get full(): boolean {
    return this.busy >= this.width;
  }

  close(): void {
    this.running.stop("done");
    this.end();
  }
}

export class Interpreters {
  private servers: Server[] = [];
  private readonly queue: (() => void)[] = [];
  private busy = 0;

  /** @param parallel pieces that run at once. Bubblewrap must be usable. */
  constructor(
    private readonly limits: PieceLimits,
    private readonly parallel: number,
  ) {}

  /** Packages beside the standard library that the interpreters have loaded. */
  async packages(): Promise<string[]> {
    const server = this.place("");
    await server.ready;
    return server.packages;
  }

  /** Runs a piece in an interpreter that has run `history`; `seed` is that of its `random`. A piece never makes this throw. */
  async run(history: readonly string[], code: string, seed: number): Promise<PieceResult> {
    if (this.busy >= this.parallel) await new Promise<void>((resolve) => this.queue.push(resolve));
    this.busy++;
    try {
      return this.describe(await this.answer({ history, code, seed }));
    } finally {
      this.busy--;
      this.queue.shift()?.();
    }
  }

  close(): void {
    for (const server of this.servers) server.close();
    this.servers = [];
  }

  private async answer(call: Call): Promise<Pick<Answer, "status" | "output" | "why">> {
    try {
      return await this.place(keyOf(call.seed, call.history)).run(call);
    } catch (error) {
      if (!(error instanceof ServerEnded)) throw error;
    }
    const alone = new Server(this.limits, 1);
    this.servers.push(alone);
    try {
      return await alone.run(call);
    } catch (error) {
      if (!(error instanceof ServerEnded)) throw error;
      return { status: "died", output: "", why: "" };
    } finally {
      alone.close();
      this.servers = this.servers.filter((server) => server !== alone);
    }
  }

  /** A process that has an interpreter of this history, or room for one. */
  private place(history: string): Server {
    this.servers = this.servers.filter(({ alive }) => alive);
    const found =
      this.servers.find((server) => server.has(history)) ?? this.servers.find((server) => !server.full);
    if (found) return found;
    const server = new Server(this.limits, WIDTH);
    this.servers.push(server);
    return server;
  }

  private describe({ status, output, why }: Pick<Answer, "status" | "output" | "why">): PieceResult {
    const { timeoutMs, outputBytes } = this.limits;
    const reasons = {
      ok: "",
      error: why,
      timeout: `it took more than ${timeoutMs} ms`,
      output: `it wrote more than ${outputBytes} bytes`,
      died: "the interpreter ended",
    };
    return { status, output, why: reasons[status] };
  }
}
