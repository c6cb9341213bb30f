// Attention on a fused projection has the bits of its parts: split, turned, attended.
import { afterAll, expect, test } from "vitest";
import { flashAttention, fusedAttention, packDocuments, ropeTables, splitHeads, Tape } from "../src/index.ts";
import { openBackend } from "./backend.ts";
import { noise } from "./nsa-fixture.ts";

const device = openBackend();
afterAll(() => device.close());

/** ‖a − b‖ / ‖b‖ of the gradients. */
function distance(a: { gradient: number[] }, b: { gradient: number[] }): number {
  const norm = (x: number[]) => Math.sqrt(x.reduce((sum, v) => sum + v * v, 0));
  return norm(a.gradient.map((x, i) => x - b.gradient[i]!)) / norm(b.gradient);
}

for (const dtype of ["f32", "bf16"] as const) {
  for (const [dimK, dimV, windowSize] of [
    [64, 64, 0],
    [16, 24, 40],
  ] as const) {
    test(`fused_attention_has_the_bits_of_its_parts ${dtype} ${dimK}/${dimV}`, () => {
      using scope = device.scope();
      void scope;
      const config = { heads: 4, kvHeads: 2, dimK, dimV, windowSize };
      const borders = [0, 1, 70, 193];
      const docs = packDocuments(device, borders);
      const tables = ropeTables(device, { rotDim: dimK, positions: 200, theta: 1e4 });
      const width = 4 * dimK + 2 * (dimK + dimV);
      const [rows, next] = [193, noise(5)];
      const values = Array.from({ length: rows * width }, next);
      const seed = device.from(Array.from({ length: rows * 4 * dimV }, next), [rows, 4 * dimV], dtype);
      const run = (fusedOp: boolean) => {
        const tape = new Tape();
        const fused = device.from(values, [rows, width], dtype);
        fused.requiresGrad = true;
        let o: ReturnType<typeof flashAttention>;
        if (fusedOp) o = fusedAttention(tape, fused, tables, docs, config);
        else {
          const columns = [
            { offset: 0, heads: 4, headDim: dimK, rotate: true },
            { offset: 4 * dimK, heads: 2, headDim: dimK, rotate: true },
            { offset: 6 * dimK, heads: 2, headDim: dimV, rotate: false },
          ];
          const [q, k, v] = splitHeads(tape, fused, columns, tables, docs.positions);
          o = flashAttention(tape, { q: q!, k: k!, v: v! }, docs, config);
        }
        tape.backward([[o, seed]]);
        return { o: [...o.read()], gradient: [...fused.grad!.read()] };
      };
      const [fused, parts] = [run(true), run(false)];
      expect(fused.o).toEqual(parts.o);
      // A GPU turns gradients before it rounds them to bf16, the parts after.
      if (device.name === "cuda" && dtype === "bf16") expect(distance(fused, parts)).toBeLessThan(5e-3);
      else expect(fused.gradient).toEqual(parts.gradient);
    });
  }
}
