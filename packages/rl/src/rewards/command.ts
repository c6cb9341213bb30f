// A reward by any program: it gets a step's outputs as JSON lines on its standard input and answers each with a line.
//
// One process serves the whole run; one that ends between batches is started again. A batch is a line for each output, {id, step, group,
// prompt, question, answer, completion, tokens, max_tokens}, then an empty line. The program answers each id once, in any order: {id, reward}, {id, steps: [{end, reward}]} with ends
// that count characters of the completion, or {id, error}. A batch is over with its last answer: what is written after it, and before the
// next batch, is a fault of that one. What it writes to its standard error is shown when it fails.
import { type ChildProcessWithoutNullStreams, spawn } from "node:child_process";
import { ExitCode, isProgram, NsaError, tiedCommand, wasNotRun, withoutMark } from "@nsa/core";
import type { RewardConfig } from "./config.ts";
import {
  type BatchReward,
  type RewardContext,
  type RewardKind,
  type Scored,
  untilInterrupted,
  type Verdict,
  VerifierError,
} from "./kind.ts";

/** Characters that a program may write for one output, and those of its standard error that are kept for error messages. */
const MAX_ANSWER = 1 << 20;
const ERROR_TAIL = 2000;

/** Milliseconds to wait for output that is still in the pipe when a program exits, and for its exit once it is killed. */
const GRACE_MS = 200;
const END_MS = 2000;

/** Process groups of programs that are running: they end with this process, by their watcher where it is killed. */
const groups = new Set<number>();
process.on("exit", () => {
  for (const group of groups) killGroup(group);
});

/** Kills what is left of a group; a helper with a session of its own is not in it. */
function killGroup(group: number): void {
  try {
    process.kill(-group, "SIGKILL");
  } catch {
    // Nothing is left of it.
  }
}

interface Pending {
  verdicts: Map<number, Verdict>;
  wanted: Set<number>;
  /** Characters received for this batch. */
  received: number;
  resolve: () => void;
  reject: (why: Error) => void;
}

/** The line of a program's standard error that is shown: the last that names an error, else the last one. */
function errorLine(text: string): string {
  const lines = text.split("\n").filter((line) => line.trim() !== "");
  return (
    lines.findLast((line) => /error|exception/i.test(line) && !/^\s+at /.test(line)) ??
    lines.at(-1) ??
    ""
  ).trim();
}

const shortened = (line: string) => (line.length > 120 ? `${line.slice(0, 120)}…` : line);

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** The fault of an output for which the program answered an error. */
function errorOf(error: unknown): string {
  if (error === "") return "answered an error without a text";
  return `answered: ${(typeof error === "string" ? error : JSON.stringify(error)).slice(0, 200)}`;
}

/** The program ended after it had answered a batch and before it answered anything of the next. */
class EndedBetweenBatches extends VerifierError {}

class CommandProcess {
  private child: ChildProcessWithoutNullStreams | undefined;
  private pending: Pending | undefined;
  private rest = "";
  private errors = "";
  private next = 0;
  /** What the program did while no answer was awaited: the fault of the next batch, even where it has ended since. */
  private late: string | undefined;
  /** Batches that the running program has answered. */
  private served = 0;

  constructor(
    private readonly command: readonly string[],
    private readonly deadlineMs: number,
    private readonly interrupted?: () => boolean,
  ) {}

  /** Scores a batch; a program that had ended after an earlier batch, which shows only now, is started again once. */
  async score(outputs: readonly Scored[], context: RewardContext): Promise<Verdict[]> {
    try {
      return await this.ask(outputs, context);
    } catch (error) {
      if (!(error instanceof EndedBetweenBatches)) throw error;
      return await this.ask(outputs, context);
    }
  }

  private async ask(outputs: readonly Scored[], { step, group }: RewardContext): Promise<Verdict[]> {
    if (this.late !== undefined) {
      const why = this.late;
      await this.close();
      throw new VerifierError(why);
    }
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
          new VerifierError(
            `answered ${this.pending?.verdicts.size ?? 0} of ${outputs.length} within ${this.deadlineMs} ms${this.cutOff()}`,
          ),
        );
      timer = setTimeout(late, this.deadlineMs);
    });
    child.stdin.write(`${lines.join("\n")}\n\n`);
    try {
      const { pending } = this;
      await untilInterrupted(answered, this.interrupted);
      this.served++;
      return outputs.map((_, i) => pending!.verdicts.get(first + i)!);
    } catch (error) {
      await this.close();
      throw error;
    } finally {
      clearTimeout(timer);
      this.pending = undefined;
    }
  }

  /** Ends the program and its process group. Pipes that a helper holds open are left to it. */
  async close(): Promise<void> {
    const { child } = this;
    this.child = undefined;
    this.rest = "";
    this.late = undefined;
    if (!child?.pid) return;
    child.stdout.destroy();
    const ended = new Promise<void>((resolve) => {
      if (child.exitCode !== null || child.signalCode !== null) resolve();
      else child.once("exit", () => resolve());
      setTimeout(resolve, END_MS).unref();
    });
    killGroup(child.pid);
    groups.delete(child.pid);
    await ended;
    for (const stream of child.stdio) stream?.destroy();
    child.unref();
  }

  private open(): ChildProcessWithoutNullStreams {
    const running = this.child && this.child.exitCode === null && this.child.signalCode === null;
    if (running) return this.child!;
    this.rest = "";
    const { command, args } = tiedCommand(this.command);
    const child = spawn(command, args, {
      detached: true,
      // The watcher ends the group when the last pipe is closed: by this process, or by its end.
      stdio: ["pipe", "pipe", "pipe", "pipe"],
    }) as ChildProcessWithoutNullStreams;
    this.child = child;
    this.served = 0;
    this.errors = "";
    if (child.pid) groups.add(child.pid);
    child.stdout.setEncoding("utf8").on("data", (text: string) => this.read(text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      this.errors = (this.errors + text).slice(-ERROR_TAIL);
    });
    // Writing to a program that has ended fails; its exit is handled below.
    child.stdin.on("error", () => {});
    child.on("error", (error) => this.fail(`cannot be run: ${error.message}`));
    child.on("exit", (code, signal) => {
      const why = wasNotRun(code)
        ? "cannot be run"
        : `ended with ${signal ?? `exit code ${code}`} before it had answered`;
      // Its last lines may still be in the pipe, which a helper can hold open after the program's end.
      const timer = setTimeout(() => this.ended(child, why), GRACE_MS);
      child.once("close", () => {
        clearTimeout(timer);
        this.ended(child, why);
      });
    });
    return child;
  }

  private ended(child: ChildProcessWithoutNullStreams, why: string): void {
    if (child.pid) {
      killGroup(child.pid);
      groups.delete(child.pid);
    }
    if (this.child !== child) return;
    this.child = undefined;
    // The last line of a program that ended may do without its line break.
    if (isJson(this.rest)) this.read("\n");
    else why += this.cutOff();
    if (this.served > 0 && this.pending?.verdicts.size === 0)
      this.pending.reject(new EndedBetweenBatches(why));
    else this.fail(why);
  }

  /** What was written of a line whose end has not come; nothing where there is none. */
  private cutOff(): string {
    return this.rest.trim() === "" ? "" : `; its last line has no end: ${shortened(this.rest)}`;
  }

  private withErrors(why: string): string {
    const line = errorLine(this.errors);
    return line === "" ? why : `${why}; its error output: ${line.slice(0, 200)}`;
  }

  /** The batch has failed: nothing of what else is written matters. */
  private fail(why: string): void {
    this.child?.stdout.destroy();
    this.pending?.reject(new VerifierError(this.withErrors(why)));
  }

  /** The next batch has failed, as `fail`. */
  private failNext(why: string): void {
    this.child?.stdout.destroy();
    this.late ??= this.withErrors(why);
  }

  private read(text: string): void {
    const { pending } = this;
    const isAwaited = () => pending !== undefined && pending.verdicts.size < pending.wanted.size;
    if (pending) pending.received += text.length;
    const most = MAX_ANSWER * Math.max(1, pending?.wanted.size ?? 1);
    if ((pending?.received ?? 0) > most || this.rest.length > MAX_ANSWER) {
      if (isAwaited()) this.fail(`wrote more than ${MAX_ANSWER} characters for each output`);
      else this.failNext(`wrote more than ${MAX_ANSWER} characters after its last answer to a batch`);
      return;
    }
    const lines = (this.rest + text).split("\n");
    this.rest = lines.pop()!;
    for (const line of lines.map((l) => withoutMark(l)).filter((l) => l.trim() !== "")) {
      if (isAwaited()) this.answer(line, pending!);
      else this.failNext(`wrote a line after its last answer to a batch: ${shortened(line)}`);
    }
    if (pending && !isAwaited()) pending.resolve();
  }

  private answer(line: string, { wanted, verdicts }: Pending): void {
    const shown = shortened(line);
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
    else if (row.error != null) verdicts.set(id, { fault: errorOf(row.error) });
    else if (row.steps != null && row.reward != null)
      verdicts.set(id, { fault: `answered both a reward and steps, of which one counts: ${shown}` });
    else if (row.steps != null) verdicts.set(id, { steps: row.steps } as Verdict);
    // What is no number is found where all verdicts are checked.
    else if (typeof row.reward === "object") verdicts.set(id, { fault: `answered no number: ${shown}` });
    else verdicts.set(id, row.reward as Verdict);
  }
}

/** Programs of rewards that are not there or cannot be run, as errors `reward_command_missing` (exit 2). */
export const missingPrograms = (rewards: readonly Pick<RewardConfig, "command">[]): NsaError[] =>
  rewards.flatMap(({ command: [program] }) =>
    program === undefined || isProgram(program) ? [] : [missingProgram(program)],
  );

function missingProgram(program: string): NsaError {
  return new NsaError({
    code: "reward_command_missing",
    what: `a reward of kind command: ${program}`,
    why: program.includes("/")
      ? `there is no file of that path that can be run from ${process.cwd()}`
      : "no folder of PATH has a program of that name",
    fix: "correct `command`, or make the file executable (chmod +x)",
    exitCode: ExitCode.usage,
  });
}

export const command: RewardKind = {
  name: "command",
  check({ command: words }) {
    if (words.length === 0) {
      throw new NsaError({
        code: "reward_command_missing",
        what: "a reward of kind command",
        why: "`command` is not set",
        fix: "name a program and its arguments, e.g. command: [python3, verify.py]",
        exitCode: ExitCode.usage,
      });
    }
  },
  open({ command: words, deadlineMs }: RewardConfig, { interrupted }): BatchReward {
    for (const missing of missingPrograms([{ command: words }])) throw missing;
    const running = new CommandProcess(words, deadlineMs, interrupted);
    return {
      scoreBatch: (outputs, context) => running.score(outputs, context),
      close: () => running.close(),
    };
  },
};
