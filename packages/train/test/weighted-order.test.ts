// Sources by their weights: exact shares over any long stretch, each example once before one comes twice, exact resume.
import { expect, test } from "vitest";
import { weightedOrder } from "../src/stages/sft/source.ts";

/** Numbers 0–5 of source 0, 6–8 of source 1, 9–18 of source 2. */
const sourceOf = (i: number) => (i < 6 ? 0 : i < 9 ? 1 : 2);
const order = (weights: number[], seed = 4) => weightedOrder(weights, 19, sourceOf, seed);

test("an_example_of_weight_3_comes_three_times_as_often_as_one_of_weight_1", () => {
  // 6·1, 3·3 and 10·0.5 of 20 draws.
  const o = order([1, 3, 0.5])!;
  const drawn = Array.from({ length: 200 }, () => o.take());
  const counts = [0, 1, 2].map((s) => drawn.filter((i) => sourceOf(i) === s).length);
  expect(counts).toEqual([60, 90, 50]);
  for (let from = 0; from < 180; from += 20)
    expect(drawn.slice(from, from + 20).filter((i) => sourceOf(i) === 1).length).toBeGreaterThanOrEqual(8);
  // Each source has epochs of its own.
  for (const [s, size] of [6, 3, 10].entries()) {
    const own = drawn.filter((i) => sourceOf(i) === s);
    for (let epoch = 0; (epoch + 1) * size <= own.length; epoch++)
      expect(new Set(own.slice(epoch * size, (epoch + 1) * size)).size).toBe(size);
  }
});

test("sources_of_weight_0_are_left_out_equal_weights_are_one_order_and_none_is_an_error", () => {
  const o = order([0, 1, 0])!;
  expect(new Set(Array.from({ length: 9 }, () => o.take()))).toEqual(new Set([6, 7, 8]));
  expect(order([1, 1, 1])).toBeUndefined();
  expect(() => order([0, 0, 0])).toThrow(expect.objectContaining({ code: "corpus_empty", exitCode: 3 }));
});

test("a_saved_order_goes_on_where_it_was_and_the_next_number_is_the_one_that_is_taken", () => {
  const whole = order([1, 3, 0.5])!;
  const drawn = Array.from({ length: 50 }, () => {
    const { next } = whole;
    expect(whole.next).toBe(next);
    expect(whole.take()).toBe(next);
    return next;
  });
  const first = order([1, 3, 0.5])!;
  for (let i = 0; i < 17; i++) first.take();
  const resumed = order([1, 3, 0.5])!;
  resumed.load(JSON.parse(JSON.stringify(first.save())));
  expect(Array.from({ length: 33 }, () => resumed.take())).toEqual(drawn.slice(17));
  expect(Array.from({ length: 50 }, order([1, 3, 0.5], 5)!.take.bind(order([1, 3, 0.5], 5)!))).not.toEqual(
    drawn,
  );
  const other = weightedOrder([1, 2], 19, (i) => (i < 6 ? 0 : 1), 4)!;
  expect(() => other.load(first.save())).toThrow(
    expect.objectContaining({ code: "data_changed", exitCode: 3 }),
  );
});
