// Programs that take what they were not given: each of a list, as data, meets its limit in each back end and leaves nothing.
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { inParallel } from "@nsa/core";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { needs } from "../../core/test/needs.ts";
import { descendants } from "../bench/support/descendants.ts";
import { bubblewrapState, type ProgramResult, runProgram } from "../src/index.ts";
import { cgroupState } from "../src/sandbox/cgroup.ts";
import { canTie } from "../src/sandbox/launch.ts";
import { pyodideState } from "../src/sandbox/pyodide.ts";
import { refusedCalls, systemCallFilter } from "../src/sandbox/system-calls.ts";

interface Program {
  name: string;
  code: string;
  kind: "memory" | "time" | "refused" | "secret" | "output" | "processes" | "honest";
  /** Both where it is absent. */
  backends?: string[];
  stdout?: string;
  /** It ends by itself: its children end with it. */
  ends?: boolean;
}
const programs = JSON.parse(
  readFileSync(join(import.meta.dirname, "fixtures/hostile-programs.json"), "utf8"),
) as Program[];

const SECRET = "planted-5c1e";
beforeAll(() => {
  process.env.NSA_PLANTED = SECRET;
});
afterAll(() => {
  delete process.env.NSA_PLANTED;
});

const LIMITS = { memoryMb: 320, processes: 8, outputBytes: 30_000 };
const megabytes = ({ stdout }: ProgramResult) =>
  Math.max(0, ...[...stdout.matchAll(/^MB (\d+)$/gm)].map(([, n]) => Number(n)));
const tens = ({ stdout }: ProgramResult) => 10 * (stdout.match(/^10$/gm)?.length ?? 0);

/** What is wrong about the result; null where nothing is. */
const verdicts: Record<Program["kind"], (r: ProgramResult, program: Program) => string | null> = {
  memory: (r) => {
    const got = Math.max(megabytes(r), tens(r));
    return got > 1.2 * LIMITS.memoryMb ? `got ${got} MB` : null;
  },
  // What has ended by itself has left nothing that runs, which is looked at after all.
  time: (r, { ends }) =>
    r.status === "timeout" || r.status === "memory" || (ends && r.status === "ok") ? null : "no timeout",
  refused: (r) => (/^(no .*\n)+$/.test(r.stdout) ? null : "not refused"),
  secret: (r) => (r.stdout.includes(SECRET) || r.stderr.includes(SECRET) ? "read the environment" : null),
  output: (r) => (r.status === "output" && r.stdout.length <= 30_000 ? null : "not stopped"),
  processes: (r) => {
    const started = Number(/STARTED (\d+)/.exec(r.stdout)?.[1] ?? 0);
    return started < LIMITS.processes ? null : `started ${started}`;
  },
  honest: (r, { stdout }) => (r.status === "ok" && r.stdout === stdout ? null : "refused"),
};

async function faults(backend: "bubblewrap" | "pyodide", list: readonly Program[], width: number) {
  const limits = { ...LIMITS, timeoutMs: 4000, cpuSeconds: 4 };
  const out: string[] = [];
  await inParallel(list, width, async (program) => {
    const patient = program.kind === "honest" || program.kind === "refused";
    const ran = await runProgram(`print("BEGAN", flush=True)\n${program.code}`, {
      backend,
      limits: patient ? { ...limits, timeoutMs: 20_000, cpuSeconds: 20 } : limits,
    });
    // A program that never ran has exceeded nothing.
    const began = ran.stdout.startsWith("BEGAN\n");
    const r = { ...ran, stdout: ran.stdout.slice("BEGAN\n".length) };
    const why = began ? verdicts[program.kind](r, program) : "did not begin";
    if (why)
      out.push(
        `${program.name}: ${why} (${r.status}, ${r.why}) ${r.stdout.slice(-200)} ${r.stderr.slice(-200)}`,
      );
  });
  return out;
}

const of = (backend: string) => programs.filter(({ backends }) => backends?.includes(backend) ?? true);

const locked = needs(
  bubblewrapState().usable && cgroupState().usable,
  `${bubblewrapState().why}${cgroupState().why}`,
);
const TIME = 600_000;

locked(
  "no_program_in_bubblewrap_exceeds_what_it_was_given",
  async () => {
    const list = of("bubblewrap");
    expect(list.length).toBeGreaterThan(70);
    expect(await faults("bubblewrap", list, 2)).toEqual([]);
    await new Promise((done) => setTimeout(done, 500));
    expect(descendants()).toEqual([]);
  },
  TIME,
);

/** Pyodide takes seconds to load: of each kind some, all of them by NSA_ALL_PROGRAMS. */
const some = [
  "buffers of JavaScript",
  "files in /dev",
  "an endless loop",
  "sleep",
  "a flood",
  "its own environment",
  "JavaScript",
  "fractions",
  "the host's files",
];

needs(pyodideState().usable, pyodideState().why)(
  "no_program_in_pyodide_exceeds_what_it_was_given",
  async () => {
    const all = of("pyodide");
    const list = process.env.NSA_ALL_PROGRAMS ? all : all.filter(({ name }) => some.includes(name));
    expect(list.length).toBeGreaterThanOrEqual(some.length);
    expect(await faults("pyodide", list, 2)).toEqual([]);
  },
  TIME,
);

const alive = (pid: number) => existsSync(`/proc/${pid}`) && !/^State:\s+Z/m.test(status(pid));
const status = (pid: number) => {
  try {
    return readFileSync(`/proc/${pid}/status`, "utf8");
  } catch {
    return "State: Z";
  }
};

const tied = needs(
  canTie() && bubblewrapState().usable && pyodideState().usable,
  "needs setpriv and both back ends",
);
tied.each([["bubblewrap"], ["pyodide"]])(
  "programs_in_%s_end_with_the_process_that_started_them_when_it_is_killed",
  async (backend) => {
    const words = ["--conditions=nsa-source", "--import", import.meta.resolve("tsx")];
    const caller: ChildProcess = spawn(
      process.execPath,
      [...words, join(import.meta.dirname, "endless-child.ts"), backend],
      {
        stdio: "ignore",
      },
    );
    // Four processes of Python or Node that have begun to work, with what launches them.
    const wanted = backend === "bubblewrap" ? "python3" : "node";
    const workers = () =>
      descendants(caller.pid!).filter((pid) => status(pid).startsWith(`Name:\t${wanted}`));
    await vi.waitUntil(() => workers().length >= 4, { timeout: 60_000, interval: 50 });
    const all = descendants(caller.pid!);
    caller.kill("SIGKILL");
    await vi.waitUntil(() => !all.some(alive), { timeout: 10_000, interval: 20 });
  },
  TIME,
);

/** Runs the filter as the kernel does. */
function run(filter: Buffer, data: { nr: number; arch: number; argument?: number }): number {
  let value = 0;
  for (let at = 0; ; at++) {
    const code = filter.readUInt16LE(8 * at);
    const [ifTrue, ifFalse] = [filter.readUInt8(8 * at + 2), filter.readUInt8(8 * at + 3)];
    const k = filter.readUInt32LE(8 * at + 4);
    if (code === 0x06) return k;
    if (code === 0x20) value = k === 0 ? data.nr : k === 4 ? data.arch : (data.argument ?? 0);
    else {
      const holds = code === 0x15 ? value === k : code === 0x35 ? value >= k : (value & k) !== 0;
      at += holds ? ifTrue : ifFalse;
    }
  }
}

test("the_filter_of_system_calls_refuses_what_it_lists_on_both_architectures", () => {
  const [ALLOW, EPERM, ENOSYS, EAFNOSUPPORT] = [0x7fff0000, 0x50001, 0x50026, 0x50061];
  const x64 = systemCallFilter("x64")!;
  const on = (nr: number, argument = 0) => run(x64, { nr, arch: 0xc000003e, argument });
  // read, openat, mmap; memfd_create, ptrace, mount; above the last; x32's getpid.
  expect([0, 257, 9].map((nr) => on(nr))).toEqual([ALLOW, ALLOW, ALLOW]);
  expect([319, 101, 165].map((nr) => on(nr))).toEqual([EPERM, EPERM, EPERM]);
  expect([467, 0x40000000 + 39, 435].map((nr) => on(nr))).toEqual([ENOSYS, ENOSYS, ENOSYS]);
  // A thread; a process in a user namespace; sockets of the families 2 and 40.
  expect([on(56, 0x3d0f00), on(56, 0x10000011), on(41, 2), on(41, 40), on(53, 1), on(53, 38)]).toEqual([
    ALLOW,
    EPERM,
    ALLOW,
    EAFNOSUPPORT,
    ALLOW,
    EAFNOSUPPORT,
  ]);
  // Calls of 32 bits.
  expect(run(x64, { nr: 11, arch: 0x40000003 })).toBe(0x80000000);
  const arm = systemCallFilter("arm64")!;
  const onArm = (nr: number, argument = 0) => run(arm, { nr, arch: 0xc00000b7, argument });
  expect([63, 279, 117, 467].map((nr) => onArm(nr))).toEqual([ALLOW, EPERM, EPERM, ENOSYS]);
  expect([onArm(220, 17), onArm(220, 0x20000000), onArm(198, 17)]).toEqual([ALLOW, EPERM, EAFNOSUPPORT]);
  expect(systemCallFilter("ia32")).toBeUndefined();
  expect(refusedCalls.length).toBeGreaterThan(50);
});
