// The k-th largest number of a row against sorting, and what top_k of a distillation keeps by it.
import { afterAll, expect, test } from "vitest";
import { distillHead } from "../src/ops/distill-head.ts";
import { kthLargest, kthLargestOfRows } from "../src/ops/kth-largest.ts";
import { Tape } from "../src/tape.ts";
import { openBackend } from "./backend.ts";

const cpu = openBackend({ threads: 1 });
afterAll(() => cpu.close());

/** Numbers without an order, some of them equal, both infinities among them. */
function numbers(n: number, seed: number): Float32Array {
  let state = seed;
  return Float32Array.from({ length: n }, (_, i) => {
    state = (state * 1103515245 + 12345) % 2147483648;
    if (i % 17 === 5) return i % 2 ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY;
    return i % 3 === 0 ? (state % 7) - 3 : state / 2147483648 - 0.5;
  });
}

test("every_rank_of_rows_of_all_sizes_is_the_one_of_sorting", () => {
  for (const [n, seed] of [
    [1, 1],
    [2, 2],
    [3, 3],
    [20, 4],
    [57, 5],
  ] as const) {
    const rows = [
      numbers(n, seed),
      numbers(n, seed).sort(),
      numbers(n, seed).sort().reverse(),
      new Float32Array(n),
    ];
    for (const row of rows) {
      const sorted = [...row].sort((a, b) => b - a);
      for (let k = 1; k <= n; k++) expect(kthLargest(row, k), `${k} of ${n}`).toBe(sorted[k - 1]);
    }
  }
});

test("rows_are_found_each_by_itself_in_both_dtypes", () => {
  for (const dtype of ["f32", "f64"] as const) {
    const x = cpu.from([5, 1, 9, 7, -4, -2, -8, -6, 0.5, 3, 3, 2], [12], dtype);
    expect([...kthLargestOfRows(x, 3, 2)]).toEqual([7, -4, 3]);
  }
});

test("top_k_scales_the_teachers_likeliest_tokens_to_one_and_leaves_out_the_rest", () => {
  // Hidden states pick a row of the table, so a row's logits are ln of these weights.
  const weights = [
    [1, 6, 3, 2, 4],
    [8, 1, 1, 5, 2],
  ];
  const table = cpu.from(
    weights[0]!.flatMap((_, v) => weights.map((row) => Math.log(row[v]!))),
    [5, 2],
    "f32",
  );
  const h = () => cpu.from([1, 0, 0, 1], [2, 2], "f32");
  const seen: number[][] = [];
  for (const chunk of [5, 10]) {
    seen.length = 0;
    const out = distillHead(
      new Tape(false),
      { h: h(), w: table },
      { h: h(), w: table },
      cpu.from([1, 1], [2], "f32"),
      ({ math, sum }, _student, teacher) => {
        seen.push([...teacher.read()]);
        return { loss: sum(math.exp(teacher)), slope: teacher };
      },
      { topK: 2, chunk },
    );
    for (const mass of out.read()) expect(mass).toBeCloseTo(1, 5);
    const probabilities = seen.flat().map(Math.exp);
    // 6 and 4 of 10; 8 and 5 of 13.
    const wanted = [0, 0.6, 0, 0, 0.4, 8 / 13, 0, 0, 5 / 13, 0];
    wanted.forEach((p, i) => {
      expect(probabilities[i], `${i}`).toBeCloseTo(p, 5);
    });
  }
});
