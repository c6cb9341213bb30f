// Models of each family that transformers makes are computed as it computes them, and it computes what is exported.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { linear, Tape } from "@nsa/kernels";
import { afterAll, expect } from "vitest";
import { needs } from "../../core/test/needs.ts";
import { openBackend } from "../../kernels/test/backend.ts";
import {
  Engine,
  exportHuggingFace,
  importHuggingFace,
  plainSampling,
  type Transformer,
} from "../src/index.ts";

const cpu = openBackend({ threads: 1 });
const root = mkdtempSync(join(tmpdir(), "nsa-families-"));
afterAll(() => {
  cpu.close();
  rmSync(root, { recursive: true, force: true });
});

const has = (python: string, module: string) => spawnSync(python, ["-c", `import ${module}`]).status === 0;
const python = [process.env.NSA_PYTHON, "python3", "/usr/bin/python3"].find(
  (p) => p !== undefined && ["torch", "transformers"].every((module) => has(p, module)),
);
const script = join(import.meta.dirname, "hf-families.py");

function runPython(...args: string[]): string {
  const run = spawnSync(python!, [script, ...args], { encoding: "utf8", maxBuffer: 2 ** 28 });
  expect(run.status, run.stderr).toBe(0);
  return run.stdout;
}

interface Expected {
  tokens: number[];
  logits: number[][];
  prompt: number[];
  /** 64 greedy tokens, and those up to the first of `end`. */
  greedy: number[];
  end: number[];
  ended: number[];
}

/** Logits [T, V]. */
function logitsOf(model: Transformer, ids: readonly number[]): number[] {
  using _ = cpu.scope();
  const tape = new Tape(false);
  const batch = { tokens: Int32Array.from(ids), cuSeqlens: Int32Array.of(0, ids.length) };
  return [...linear(tape, model.forward(tape, model.upload(batch)), model.headWeight).read()];
}

function greedy(model: Transformer, prompt: number[], stopIds: number[]): number[] {
  const engine = new Engine(model, { maxSequences: 4, cacheTokens: 512, prefillTokens: 128 });
  const sampling = { ...plainSampling, temperature: 0 };
  const [outputs] = engine.generate([{ prompt, n: 1, maxTokens: 64, sampling, seed: 1, id: 0, stopIds }]);
  return outputs![0]!.ids;
}

const distance = (a: readonly number[], b: readonly number[]) =>
  Math.max(...a.map((x, i) => Math.abs(x - b[i]!)), a.length === b.length ? 0 : Number.POSITIVE_INFINITY);

needs(python !== undefined, "no Python with torch and transformers")(
  "logits_greedy_tokens_and_ends_equal_those_of_transformers_in_every_family_and_exports_are_read_back",
  async () => {
    const [made, exported] = [join(root, "made"), join(root, "exported")];
    runPython("make", made);
    const names = readdirSync(made);
    expect(names.length).toBeGreaterThan(15);
    const expectedOf = (name: string) =>
      JSON.parse(readFileSync(join(made, name, "expected.json"), "utf8")) as Expected;
    for (const name of names) {
      const expected = expectedOf(name);
      const theirs = expected.logits.flat();
      expect.soft(Math.max(...theirs), name).toBeGreaterThan(1);
      // The file as version 4 has it, and as the version that ran saves it.
      for (const version of ["4", "5"]) {
        const model = importHuggingFace(cpu, join(made, name, version));
        expect
          .soft(distance(logitsOf(model, expected.tokens), theirs), `${name} ${version}`)
          .toBeLessThan(1e-4);
        if (version === "5") continue;
        expect.soft(greedy(model, expected.prompt, []), name).toEqual(expected.greedy);
        expect.soft(greedy(model, expected.prompt, expected.end), name).toEqual(expected.ended);
        expect.soft(expected.ended.length, name).toBeLessThan(65);
        // No family that is exported turns a part of a head.
        if (model.config.rotaryDim === undefined) await exportHuggingFace(model, join(exported, name));
      }
    }
    const { tokens } = expectedOf(names[0]!);
    const read = JSON.parse(
      runPython("logits", exported, ...tokens.map(String))
        .trim()
        .split("\n")
        .at(-1)!,
    );
    const written = names.filter((name) => name !== "phi-partial");
    expect(Object.keys(read).sort()).toEqual([...written].sort());
    for (const name of written)
      expect.soft(distance(read[name].flat(), expectedOf(name).logits.flat()), name).toBeLessThan(1e-4);
  },
  600_000,
);
