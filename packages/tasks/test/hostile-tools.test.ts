// The sandbox's list of hostile programs as calls of the tool python: each ends its own call at most, in both back ends.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { inParallel } from "@nsa/core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { needs } from "../../core/test/needs.ts";
import { descendants } from "../bench/support/descendants.ts";
import { bubblewrapState } from "../src/index.ts";
import { cgroupState } from "../src/sandbox/cgroup.ts";
import { Interpreters, type PieceResult } from "../src/sandbox/interpreters.ts";
import { type Pieces, piecesByProgram } from "../src/sandbox/pieces.ts";
import { pyodideState } from "../src/sandbox/pyodide.ts";

interface Program {
  name: string;
  code: string;
  kind: "memory" | "time" | "refused" | "secret" | "output" | "processes" | "honest";
  backends?: string[];
  stdout?: string;
  ends?: boolean;
}
const programs = JSON.parse(
  readFileSync(join(import.meta.dirname, "fixtures/hostile-programs.json"), "utf8"),
) as Program[];
const of = (backend: string) => programs.filter(({ backends }) => backends?.includes(backend) ?? true);

const SECRET = "planted-5c1e";
beforeAll(() => {
  process.env.NSA_PLANTED = SECRET;
});
afterAll(() => {
  delete process.env.NSA_PLANTED;
});

const MEMORY_MB = 320;
const OUTPUT_BYTES = 30_000;
const limits = { timeoutMs: 3000, memoryMb: MEMORY_MB, outputBytes: OUTPUT_BYTES };

const largest = (output: string) =>
  Math.max(
    10 * (output.match(/^10$/gm)?.length ?? 0),
    ...[...output.matchAll(/^MB (\d+)$/gm)].map(([, n]) => Number(n)),
  );

/** Interpreters are ended by force, without their exit handlers. */
const NEVER_RUN = "exit handlers that never end";

/** What is wrong about the result; null where nothing is. A piece that ended or raised has met a wall. */
const verdicts: Record<Program["kind"], (r: PieceResult, program: Program) => string | null> = {
  memory: ({ output }) => (largest(output) > 1.2 * MEMORY_MB ? `got ${largest(output)} MB` : null),
  // Raising, too, has ended it: threads and processes cannot be started by a piece.
  time: ({ status }, { ends, name }) =>
    status !== "ok" || ends || name === NEVER_RUN ? null : "it ended well",
  refused: ({ status, output }) => (/^(no .*\n)+$/.test(output) || status !== "ok" ? null : "not refused"),
  secret: ({ output, why }) => (`${output}${why}`.includes(SECRET) ? "read the environment" : null),
  output: ({ status, output }) => (status !== "ok" && output.length <= OUTPUT_BYTES ? null : "not stopped"),
  processes: ({ output }) => (/STARTED [1-9]/.test(output) ? "started some" : null),
  honest: ({ status, output }, { stdout }) => (status === "ok" && output === stdout ? null : "refused"),
};

const KEPT = "kept = 41";

/** Runs each as a call behind one that left a name, beside an innocent call; then the name is asked for. */
async function faults(pieces: Pieces, list: readonly Program[], width: number): Promise<string[]> {
  const out: string[] = [];
  await inParallel(list, width, async (program) => {
    const [result, beside] = await Promise.all([
      pieces.run([KEPT], `print("BEGAN", flush=True)\n${program.code}`, 1),
      pieces.run([], "print(6 * 7)", 1),
    ]);
    const after = await pieces.run([KEPT], "print(kept + 1)", 1);
    const began = result.output.startsWith("BEGAN\n");
    const why = began
      ? verdicts[program.kind]({ ...result, output: result.output.slice(6) }, program)
      : result.status === "died"
        ? null
        : "did not begin";
    const others = [beside, after].map(({ output }) => output.trim());
    if (why)
      out.push(`${program.name}: ${why} (${result.status}, ${result.why}) ${result.output.slice(-200)}`);
    if (others.join() !== "42,42") out.push(`${program.name}: calls beside and after it gave ${others}`);
  });
  return out;
}

/** Honest programs that a piece may not run: they start processes or threads, write files, or take more memory than is given here. */
const beyondPieces = [
  "a pool of processes",
  "threads",
  "temporary files",
  "a subprocess",
  "400 MB of the 512",
];
const TIME = 900_000;

needs(bubblewrapState().usable && cgroupState().usable, `${bubblewrapState().why}${cgroupState().why}`)(
  "no_call_of_an_interpreter_exceeds_what_it_was_given_or_harms_another",
  async () => {
    const list = of("bubblewrap").filter(({ name }) => !beyondPieces.includes(name));
    expect(list.length).toBeGreaterThan(70);
    const python = new Interpreters(limits, 4);
    try {
      expect(await faults(python, list, 2)).toEqual([]);
    } finally {
      python.close();
    }
    await new Promise((done) => setTimeout(done, 500));
    expect(descendants()).toEqual([]);
  },
  TIME,
);

/** Pyodide takes seconds to load: of each kind some, all of them by NSA_ALL_PROGRAMS. */
const some = [
  "buffers of JavaScript",
  "an endless loop",
  "a flood",
  "its own environment",
  "JavaScript",
  "fractions",
];

needs(pyodideState().usable, pyodideState().why)(
  "no_call_in_pyodide_exceeds_what_it_was_given_or_harms_another",
  async () => {
    const all = of("pyodide");
    const list = process.env.NSA_ALL_PROGRAMS ? all : all.filter(({ name }) => some.includes(name));
    expect(list.length).toBeGreaterThanOrEqual(some.length);
    const pieces = piecesByProgram({ ...limits, timeoutMs: 20_000 }, { backend: "pyodide" });
    expect(await faults(pieces, list, 1)).toEqual([]);
  },
  TIME,
);

test("the_list_holds_every_kind", () => {
  expect(new Set(programs.map(({ kind }) => kind)).size).toBe(Object.keys(verdicts).length);
});
