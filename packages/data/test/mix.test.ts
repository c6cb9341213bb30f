// Mixing corpora: shares hold at every step, stages change them, a resumed mix goes on exactly.
import { expect, test } from "vitest";
import { inMemory, MixedSource, type MixStage } from "../src/index.ts";

/** Documents of ids that tell their part apart. */
const documents = (id: number, count: number, length: number) =>
  inMemory(Array.from({ length: count }, (_, i) => new Int32Array(length + (i % 5)).fill(id)));
const paper = { math: 56, algebraic: 4, arxiv: 10, code: 20, text: 10 };
const parts = Object.keys(paper).map((name, p) => ({ name, documents: documents(p, 7 + p, 20 + 9 * p) }));
const options = { microBatchTokens: 256, microBatches: 2, maxLength: 64, seed: 3 };
const mixed = (stages: MixStage[]) => new MixedSource(parts, stages, options);

test("tokens_of_each_part_follow_its_weight_to_the_length_of_a_piece", () => {
  const source = mixed([{ until: 10, weights: paper }]);
  let tokens = 0;
  const seen = parts.map(() => 0);
  for (let step = 0; step < 40; step++) {
    for (const { tokens: ids } of source.next().microBatches) {
      tokens += ids.length;
      for (const id of ids) seen[id]!++;
    }
    Object.values(paper).forEach((weight, p) => {
      expect(Math.abs(seen[p]! - (weight / 100) * tokens)).toBeLessThanOrEqual(2 * 64);
    });
  }
  expect(tokens).toBe(40 * 512);
  expect(Object.values(source.tokensOfStage)).toEqual(seen);
});

test("stages_change_the_weights_at_their_step", () => {
  const source = mixed([
    { until: 3, weights: { code: 1 } },
    { until: 6, weights: { math: 3, text: 1 } },
  ]);
  const shares = Array.from({ length: 6 }, () => {
    const ids = source.next().microBatches.flatMap((b) => [...b.tokens]);
    return [0, 3, 4].map((p) => ids.filter((id) => id === p).length);
  });
  expect(shares.slice(0, 3)).toEqual([
    [0, 512, 0],
    [0, 512, 0],
    [0, 512, 0],
  ]);
  for (const [math, code, text] of shares.slice(3)) {
    expect(code).toBe(0);
    expect(Math.abs(math! - 3 * text!)).toBeLessThanOrEqual(4 * 64);
  }
});

test("a_resumed_mix_gives_the_steps_of_one_that_never_stopped", () => {
  const stages = [
    { until: 4, weights: paper },
    { until: 9, weights: { math: 1, code: 1 } },
  ];
  const whole = mixed(stages);
  for (let step = 0; step < 5; step++) whole.next();
  const resumed = mixed(stages);
  resumed.load(JSON.parse(JSON.stringify(whole.save())));
  for (let step = 0; step < 20; step++) expect(resumed.next()).toEqual(whole.next());
});

test("samples_of_different_parts_have_different_ids_and_unknown_parts_are_named", () => {
  const source = mixed([{ until: 1, weights: paper }]);
  const ids = new Set<number>();
  for (let step = 0; step < 30; step++)
    for (const { sampleIds } of source.next().microBatches) for (const id of sampleIds!) ids.add(id);
  expect(ids.size).toBe(parts.reduce((n, p) => n + p.documents.length, 0));
  expect(() => mixed([{ until: 1, weights: { law: 1 } }])).toThrow(/no part law/);
  expect(() => mixed([{ until: 1, weights: { math: 0 } }])).toThrow(/no weight/);
});
