// Judges a program by tests that it never meets: the program runs in one process, the tests in another, and this one carries
// the calls and answers between them, with limits on both.
import { defaultLimits, type ProgramOptions, type ProgramResult } from "./limits.ts";
import { type Running, script, startProcess } from "./process.ts";
import { requireSandbox, timeOf } from "./run-program.ts";

/** What the judge may take longer than the program: it reads the last answers when that has been stopped. */
const GRACE_MS = 1000;

const GONE = "!\n";

export interface Judgement {
  /** Why each test failed; empty for one that passed. */
  failures: string[];
  program: ProgramResult;
}

/** One line after another; what follows the last line end is held back. */
function onLines(running: Running, line: (text: string) => void): void {
  let rest = "";
  running.channel!.setEncoding("latin1").on("data", (chunk: string) => {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop()!;
    for (const text of lines) line(text);
  });
}

/** Carries messages until the judge has come to its end; fills `failures`. */
function carry(program: Running, judge: Running, failures: string[], callMs: number, bytes: number) {
  let [gone, received] = [false, 0];
  let call: NodeJS.Timeout | undefined;
  program.channel!.on("data", (chunk: Buffer) => {
    received += chunk.length;
    if (received > bytes) {
      program.stop("answers");
      return;
    }
    if (chunk.includes(10)) clearTimeout(call);
    judge.channel!.write(chunk);
  });
  program.channel!.on("close", () => {
    gone = true;
    clearTimeout(call);
    // An unfinished answer is ended, then the judge is told.
    judge.channel!.write(`\n${GONE}`);
  });
  return new Promise<void>((resolve) => {
    onLines(judge, (line) => {
      if (line.startsWith(">")) {
        if (gone) judge.channel!.write(GONE);
        else program.channel!.write(`${line.slice(1)}\n`);
        clearTimeout(call);
        call = setTimeout(() => program.stop("timeout"), callMs);
        return;
      }
      const result = JSON.parse(line.slice(1)) as [number, string] | "end";
      if (result === "end") resolve();
      else failures[result[0]] = result[1];
    });
    void judge.result.then(() => resolve());
  }).finally(() => clearTimeout(call));
}

/**
 * Runs the code in a process of its own and the tests (Python statements) in another, where every name that a test leaves
 * open asks the program. Throws as {@link runProgram}.
 */
export async function judgeProgram(
  code: string,
  tests: readonly string[],
  options: ProgramOptions = {},
): Promise<Judgement> {
  const way = requireSandbox(options);
  const limits = { ...defaultLimits, ...options.limits };
  const main = (name: string, own: string) => (place: string, folder: string) =>
    `${script("tagged.py")}\nCHANNEL = ${place}\n${own.replace("@", folder)}\n${script(name)}`;
  const program = startProcess(way, limits, {
    files: { ...options.files, "solution.py": code },
    main: main("candidate.py", 'SOLUTION = "@solution.py"'),
  });
  const judge = startProcess(way, limits, {
    files: { "tests.json": asciiJson(tests) },
    main: main("judge.py", 'TESTS = "@tests.json"'),
  });
  const failures = tests.map(() => "not reached");
  const time = timeOf(way, limits);
  const carried = carry(program, judge, failures, Math.min(limits.callMs, time), limits.answerBytes);
  void Promise.all([program.begun, judge.begun]).then(() => {
    program.limit(time);
    judge.limit(time + GRACE_MS);
  });
  await carried;
  judge.stop("done");
  if ((await judge.result).status === "timeout") program.stop("timeout");
  program.stop("done");
  return { failures, program: await program.result };
}

/** JSON without letters beyond ASCII, so that lone surrogates come through. */
function asciiJson(value: unknown): string {
  const escaped = (c: string) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`;
  return JSON.stringify(value).replace(/[\u007f-\uffff]/g, escaped);
}
