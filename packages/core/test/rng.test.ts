// Philox against the Random123 known answers, and the draws made from it.
import { expect, test } from "vitest";
import { normalOf, philox4x32, Rng, uniformOf } from "../src/rng.ts";

const hex = (words: Uint32Array) => Array.from(words, (w) => w.toString(16).padStart(8, "0")).join(" ");

test("philox_gives_the_random123_known_answers", () => {
  const f = 0xffffffff;
  expect(hex(philox4x32(0n, [0, 0, 0, 0]))).toBe("6627e8d5 e169c58d bc57ac4c 9b00dbd8");
  expect(hex(philox4x32(0xffffffffffffffffn, [f, f, f, f]))).toBe("408f276d 41c83b0e a20bc7c6 6d5451fd");
  const counter = [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344] as const;
  expect(hex(philox4x32(0x299f31d0a4093822n, counter))).toBe("d16cfe09 94fdcceb 5001e420 24126ea1");
});

test("uniform_stays_inside_the_open_interval", () => {
  expect(uniformOf(0)).toBe(2 ** -33);
  expect(uniformOf(0xffffffff)).toBeLessThan(1);
});

test("coordinates_are_the_counter_words", () => {
  const rng = new Rng(7, 3);
  const words = philox4x32(7, [3, 11, 5, 2]);
  expect(rng.uniform(11, 5, 2)).toBe(uniformOf(words[0]!));
  expect(rng.normal(11, 5, 2)).toBe(normalOf(words[0]!, words[1]!));
});

test("normal_has_mean_0_and_variance_1", () => {
  const rng = new Rng(1, 0);
  let sum = 0;
  let squares = 0;
  for (let i = 0; i < 20_000; i++) {
    const x = rng.normal(0, i);
    sum += x;
    squares += x * x;
  }
  expect(Math.abs(sum / 20_000)).toBeLessThan(0.03);
  expect(Math.abs(squares / 20_000 - 1)).toBeLessThan(0.04);
});

test("int_covers_its_range_evenly_and_continues_from_the_cursor", () => {
  const rng = new Rng(5, 1);
  const counts = new Array(7).fill(0);
  for (let i = 0; i < 7_000; i++) counts[rng.int(7)]++;
  for (const count of counts) expect(Math.abs(count - 1000)).toBeLessThan(150);
  const resumed = new Rng(5, 1);
  resumed.cursor = rng.cursor;
  expect(resumed.int(1000)).toBe(rng.int(1000));
});

test("permutation_is_a_bijection_and_depends_on_seed_and_epoch", () => {
  const a = new Rng(9, 0).permutation(100);
  expect([...a].sort((x, y) => x - y)).toEqual(Array.from({ length: 100 }, (_, i) => i));
  expect(new Rng(9, 0).permutation(100)).toEqual(a);
  expect(new Rng(10, 0).permutation(100)).not.toEqual(a);
  expect(new Rng(9, 0).permutation(100, 1)).not.toEqual(a);
});
