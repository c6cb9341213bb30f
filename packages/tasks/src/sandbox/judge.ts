// Judges a program by tests that it has no access to: the program runs in one process, the tests in another, and this one
// carries the calls and answers between them, with limits on both.
import { ExitCode, lineSplitter, NsaError } from "@nsa/core";
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

/** The two sides, and the files of their scripts. */
const SCRIPTS = {
  "judge.py": ["tagged.py", "names.py", "objects.py", "judge.py"],
  "candidate.py": ["tagged.py", "candidate.py"],
};
type Side = keyof typeof SCRIPTS;

const source = (name: Side) => SCRIPTS[name].map(script).join("\n");

const RUN_COMPILED = `import binascii, marshal
exec(marshal.loads(binascii.a2b_base64(open("/program/main.code").read())))`;

const COMPILE = `import binascii, marshal
for name in ("judge.py", "candidate.py"):
    code = compile(open("/program/" + name).read(), name, "exec")
    print(binascii.b2a_base64(marshal.dumps(code), newline=False).decode())`;

type Bytecode = Partial<Record<Side, string>>;
let compilation: Promise<Bytecode> | undefined;

async function compileScripts(): Promise<Bytecode> {
  const files = { "judge.py": source("judge.py"), "candidate.py": source("candidate.py") };
  const limits = { outputBytes: 2 ** 22, timeoutMs: 60_000 };
  const { status, stdout } = await runProgram(COMPILE, { backend: "bubblewrap", files, limits });
  const [judge, candidate] = stdout.trim().split("\n");
  return status === "ok" ? { "judge.py": judge, "candidate.py": candidate } : {};
}

/** Both scripts as this machine's Python compiles them, in base64: reading their source takes as long as starting Python. */
function bytecode(): Promise<Bytecode> {
  compilation ??= compileScripts().catch((error: unknown) => {
    // The next program tries again.
    compilation = undefined;
    throw error;
  });
  return compilation;
}

/** Carries messages until the judge has ended, after its last test or not (then false); fills `failures`. */
function carry(program: Running, judge: Running, failures: string[], callMs: number, bytes: number) {
  let [gone, received, unfinished] = [false, 0, false];
  let call: NodeJS.Timeout | undefined;
  program.channel!.on("data", (chunk: Buffer) => {
    received += chunk.length;
    if (received > bytes) {
      program.stop("answers");
      return;
    }
    if (chunk.includes(10)) clearTimeout(call);
    unfinished = chunk.at(-1) !== 10;
    judge.channel!.write(chunk);
  });
  program.channel!.on("close", () => {
    gone = true;
    clearTimeout(call);
    judge.channel!.write(unfinished ? `\n${GONE}` : GONE);
  });
  return new Promise<boolean>((resolve) => {
    const onLine = (line: string) => {
      if (line.startsWith(">")) {
        if (gone) judge.channel!.write(GONE);
        else program.channel!.write(`${line.slice(1)}\n`);
        clearTimeout(call);
        call = setTimeout(() => program.stop("call"), callMs);
        return;
      }
      const result = JSON.parse(line.slice(1)) as [number, string] | "end";
      if (result === "end") resolve(true);
      else failures[result[0]] = result[1];
    };
    judge.channel!.setEncoding("latin1").on("data", lineSplitter(onLine));
    void judge.result.then(() => resolve(false));
  }).finally(() => clearTimeout(call));
}

/**
 * Runs the code in a process of its own and the tests (Python statements) in another, where every name that a test leaves
 * open is requested from the program. Throws NsaError as {@link runProgram}, and `judge_failed` (exit 4) where the process of
 * the tests fails by itself: that is no verdict on the program.
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
    files: code64("judge.py"),
    main: main("judge.py", ""),
    graceMs: GRACE_MS,
  });
  // Through the channel, so that they lie in no file.
  judge.channel?.write(`${asciiJson(tests)}\n`);
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
  const complete = await carried;
  judge.stop("done");
  const ended = await judge.result;
  if (ended.status === "timeout") program.stop("timeout");
  program.stop("done");
  if (!complete && ended.status !== "timeout") {
    await program.result;
    throw new NsaError({
      code: "judge_failed",
      what: "a program could not be judged: the process of its tests ended before the last test",
      why: ended.why,
      fix: "look for a test that ends its process, and for memory and processes left on this machine",
      exitCode: ExitCode.unavailable,
    });
  }
  return { failures, program: await program.result };
}

/** JSON without letters beyond ASCII, so that lone surrogates come through. */
function asciiJson(value: unknown): string {
  const escaped = (c: string) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`;
  return JSON.stringify(value).replace(/[\u007f-\uffff]/g, escaped);
}
