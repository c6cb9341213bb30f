// Judges a program by tests that it never meets: the program runs in one process, the tests in another, and this one carries
// the calls and answers between them, with limits on both.
import { defaultLimits, type ProgramOptions, type ProgramResult } from "./limits.ts";
import { type Running, script, startProcess } from "./process.ts";
import { requireSandbox, runProgram, timeOf } from "./run-program.ts";

/** What the judge may take longer than the program: it reads the last answers when that has been stopped. */
const GRACE_MS = 1000;

const GONE = "!\n";

export interface Judgement {
  /** Why each test failed; empty for one that passed. */
  failures: string[];
  program: ProgramResult;
}

type Side = "judge.py" | "candidate.py";

const source = (name: Side) => `${script("tagged.py")}\n${script(name)}`;

const RUN_COMPILED = `import binascii, marshal
exec(marshal.loads(binascii.a2b_base64(open("/program/main.code").read())))`;

const COMPILE = `import binascii, marshal
for name in ("judge.py", "candidate.py"):
    code = compile(open("/program/" + name).read(), name, "exec")
    print(binascii.b2a_base64(marshal.dumps(code), newline=False).decode())`;

let kept: Promise<Partial<Record<Side, string>>> | undefined;

/** Both scripts as this machine's Python compiles them, in base64: reading their source takes as long as starting Python. */
function bytecode(): Promise<Partial<Record<Side, string>>> {
  const files = { "judge.py": source("judge.py"), "candidate.py": source("candidate.py") };
  const limits = { outputBytes: 2 ** 22, timeoutMs: 60_000 };
  kept ??= runProgram(COMPILE, { backend: "bubblewrap", files, limits }).then(({ status, stdout }) => {
    const [judge, candidate] = stdout.trim().split("\n");
    return status === "ok" ? { "judge.py": judge, "candidate.py": candidate } : {};
  });
  return kept;
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
  const compiled = way === "bubblewrap" ? await bytecode() : {};
  const main = (name: Side, own: string) => (place: string, folder: string) => {
    const head = `CHANNEL = ${place}\n${own.replace("@", folder)}\n`;
    return head + (compiled[name] ? RUN_COMPILED : source(name));
  };
  const code64 = (name: Side): Record<string, string> =>
    compiled[name] ? { "main.code": compiled[name] } : {};
  // The judge first: it has more to load.
  const judge = startProcess(way, limits, {
    files: { "tests.json": asciiJson(tests), ...code64("judge.py") },
    main: main("judge.py", 'TESTS = "@tests.json"'),
  });
  const program = startProcess(way, limits, {
    files: { ...options.files, "solution.py": code, ...code64("candidate.py") },
    main: main("candidate.py", 'SOLUTION = "@solution.py"'),
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
