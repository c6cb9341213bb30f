// A reward by any program: it gets a step's outputs as JSON lines on its standard input and answers each with a line.
//
// One process serves the whole run. A batch is a line for each output, {id, step, group, prompt, question, answer, completion, tokens,
// max_tokens}, then an empty line. The program answers each id once, in any order: {id, reward}, {id, steps: [{end, reward}]} with ends
// that count characters of the completion, or {id, error}. What it writes to its standard error is shown when it fails.
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { ExitCode, NsaError } from "@nsa/core";
import type { RewardConfig } from "./config.ts";
import type { BatchReward, RewardContext, RewardKind, Scored, Verdict } from "./kind.ts";

/** Characters that a program may write for one output, and keeps for errors of its standard error. */
const MAX_ANSWER = 1 << 20;
const ERROR_TAIL = 2000;

interface Pending {
  verdicts: Map<number, Verdict>;
  wanted: Set<number>;
  /** Characters received for this batch. */
  received: number;
  resolve: () => void;
  reject: (why: Error) => void;
}

/** A failure of the program, as every output's fault. */
class CommandError extends Error {
  override readonly name = "command";
}

class CommandProcess {
  private child: ChildProcessWithoutNullStreams | undefined;
  private pending: Pending | undefined;
  private rest = "";
  private errors = "";
  private next = 0;

  constructor(
    private readonly command: readonly string[],
    private readonly deadlineMs: number,
  ) {}

  async score(outputs: readonly Scored[], { step, group }: RewardContext): Promise<Verdict[]> {
    const child = this.open();
    const first = this.next;
    this.next += outputs.length;
    const lines = outputs.map((o, i) =>
      JSON.stringify({
        id: first + i,
        step,
        group: group[i],
        prompt: o.prompt,
        question: o.question,
        answer: o.answer,
        completion: o.completion,
        tokens: o.tokens,
        max_tokens: o.maxTokens,
      }),
    );
    let timer: NodeJS.Timeout | undefined;
    const answered = new Promise<void>((resolve, reject) => {
      const wanted = new Set(outputs.map((_, i) => first + i));
      this.pending = { verdicts: new Map(), wanted, received: 0, resolve, reject };
      const late = () =>
        reject(
          new CommandError(
            `answered ${this.pending?.verdicts.size ?? 0} of ${outputs.length} within ${this.deadlineMs} ms`,
          ),
        );
      timer = setTimeout(late, this.deadlineMs);
    });
    child.stdin.write(`${lines.join("\n")}\n\n`);
    try {
      const { pending } = this;
      await answered;
      return outputs.map((_, i) => pending!.verdicts.get(first + i)!);
    } catch (error) {
      await this.close();
      throw error;
    } finally {
      clearTimeout(timer);
      this.pending = undefined;
    }
  }

  /** Ends the program and whatever it started. */
  async close(): Promise<void> {
    const { child } = this;
    this.child = undefined;
    this.rest = "";
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once("close", resolve));
    try {
      process.kill(-child.pid!, "SIGKILL");
    } catch {
      child.kill("SIGKILL");
    }
    await ended;
  }

  private open(): ChildProcessWithoutNullStreams {
    if (this.child) return this.child;
    const [program, ...args] = this.command;
    const child = spawn(program!, args, { detached: true, stdio: "pipe" });
    this.child = child;
    this.errors = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => this.read(text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.errors = (this.errors + text).slice(-ERROR_TAIL);
    });
    // Writing to a program that has ended is no news: its end is.
    child.stdin.on("error", () => {});
    child.on("error", (error) => this.fail(`cannot be run: ${error.message}`));
    child.on("close", (code, signal) => {
      if (this.child === child) this.child = undefined;
      this.fail(`ended with ${signal ?? `exit code ${code}`} before it had answered`);
    });
    return child;
  }

  private fail(why: string): void {
    const said = this.errors.trim().split("\n").at(-1) ?? "";
    this.pending?.reject(
      new CommandError(said === "" ? why : `${why}; its last error line: ${said.slice(0, 200)}`),
    );
  }

  private read(text: string): void {
    const { pending } = this;
    if (!pending) return;
    pending.received += text.length;
    if (pending.received > MAX_ANSWER * Math.max(1, pending.wanted.size)) {
      this.fail(`wrote more than ${MAX_ANSWER} characters for each output`);
      return;
    }
    const lines = (this.rest + text).split("\n");
    this.rest = lines.pop()!;
    for (const line of lines) if (line.trim() !== "") this.answer(line, pending);
    if (pending.verdicts.size === pending.wanted.size) pending.resolve();
  }

  private answer(line: string, { wanted, verdicts }: Pending): void {
    const shown = line.length > 120 ? `${line.slice(0, 120)}…` : line;
    let row: { id?: unknown; reward?: unknown; steps?: unknown; error?: unknown };
    try {
      row = JSON.parse(line);
    } catch {
      this.fail(`wrote a line that is not JSON: ${shown}`);
      return;
    }
    const id = row?.id;
    if (typeof id !== "number" || !wanted.has(id))
      this.fail(`answered an id that was not asked for: ${shown}`);
    else if (verdicts.has(id)) this.fail(`answered id ${id} twice`);
    else if (row.error !== undefined)
      verdicts.set(id, { fault: `command: ${String(row.error).slice(0, 200)}` });
    else if (row.steps !== undefined) verdicts.set(id, { steps: row.steps } as Verdict);
    // What is no number is found where all verdicts are checked.
    else verdicts.set(id, row.reward as Verdict);
  }
}

export const command: RewardKind = {
  name: "command",
  open({ command: words, deadlineMs }: RewardConfig): BatchReward {
    if (words.length === 0) {
      throw new NsaError({
        code: "reward_command_missing",
        what: "a reward of kind command",
        why: "`command` is not set",
        fix: "name a program and its arguments, e.g. command: [python3, verify.py]",
        exitCode: ExitCode.usage,
      });
    }
    const running = new CommandProcess(words, deadlineMs);
    return {
      scoreBatch: (outputs, context) => running.score(outputs, context),
      close: () => running.close(),
    };
  },
};
