// Estimators against brute force, and families whose splits are disjoint.
import { expect, test } from "vitest";
import { bootstrapInterval, grade, majAtK, makeFamily, passAtK } from "../src/index.ts";

function* subsets(n: number, k: number, from = 0): Generator<number[]> {
  if (k === 0) yield [];
  else for (let i = from; i <= n - k; i++) for (const rest of subsets(n, k - 1, i + 1)) yield [i, ...rest];
}

const cases = [[3, 2, 1], [4], [0, 3, 3], [2, 2, 2, 1], [1, 1, 1, 1, 1], [5, 4]];

test("pass_at_k_and_maj_at_k_equal_the_mean_over_all_subsets", () => {
  for (const counts of cases) {
    const labels = counts.flatMap((c, i) => Array(c).fill(i) as number[]);
    const n = labels.length;
    for (let k = 1; k <= n; k++) {
      let [pass, maj, total] = [0, 0, 0];
      for (const pick of subsets(n, k)) {
        const drawn = counts.map((_, i) => pick.filter((s) => labels[s] === i).length);
        const top = Math.max(...drawn);
        total++;
        if (drawn[0]! > 0) pass++;
        if (drawn[0] === top) maj += 1 / drawn.filter((d) => d === top).length;
      }
      expect(passAtK(n, counts[0]!, k)).toBeCloseTo(pass / total, 10);
      expect(majAtK(counts, 0, k)).toBeCloseTo(maj / total, 10);
    }
  }
});

test("maj_at_k_without_the_right_answer_is_zero", () => {
  expect(majAtK([3, 2], -1, 4)).toBe(0);
  expect(() => passAtK(3, 1, 4)).toThrow(/4 samples/);
});

test("bootstrap_intervals_hold_the_mean_and_repeat", () => {
  const values = Array.from({ length: 50 }, (_, i) => (i % 3 === 0 ? 1 : 0));
  const a = bootstrapInterval(values, { seed: 3 });
  expect(a).toEqual(bootstrapInterval(values, { seed: 3 }));
  expect(a.low).toBeLessThan(a.mean);
  expect(a.high).toBeGreaterThan(a.mean);
});

for (const name of ["addition", "modular", "word_problems"]) {
  test(`splits_of_${name}_are_disjoint_deterministic_and_right`, () => {
    const make = (split: "train" | "heldout") => makeFamily(name, { difficulty: 2, seed: 1, split });
    const [train, held] = [make("train"), make("heldout")];
    for (let i = 0; i < 300; i++) {
      expect(train.isHeldOut(train.problem(i).question)).toBe(false);
      expect(train.isHeldOut(held.problem(i).question)).toBe(true);
      expect(make("train").problem(i)).toEqual(train.problem(i));
      const { answer } = train.problem(i);
      expect(grade(`<answer>${answer}</answer>`, answer).verdict).toBe("correct");
    }
  });
}

test("commuted_sums_are_the_same_problem", () => {
  const f = makeFamily("addition", { difficulty: 2, seed: 1, split: "train" });
  for (let a = 0; a < 30; a++)
    for (let b = 0; b < a; b++) {
      expect(f.isHeldOut(`${a}+${b}`)).toBe(f.isHeldOut(`${b}+${a}`));
    }
});
