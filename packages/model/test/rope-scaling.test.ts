// Rotary frequencies of every kind of scaling, channel by channel.
import { Device, ropeFrequencies } from "@nsa/kernels";
import { afterAll, expect, test } from "vitest";
import { resolveModelConfig, Transformer } from "../src/index.ts";

const cpu = Device.open("cpu", { threads: 1 });
afterAll(() => cpu.close());

const near = (...xs: number[]) => xs.map((x) => expect.closeTo(x, 12));
const frequencies = (...args: Parameters<typeof ropeFrequencies>) => [
  ...ropeFrequencies(...args).frequencies,
];

test("plain_and_linear_frequencies_fall_by_powers_of_theta", () => {
  expect(frequencies(8, 10_000)).toEqual(near(1, 0.1, 0.01, 0.001));
  expect(frequencies(8, 10_000, { type: "linear", factor: 4 })).toEqual(near(0.25, 0.025, 0.0025, 0.00025));
  expect(ropeFrequencies(8, 10_000, { type: "linear", factor: 4 }).attentionFactor).toBe(1);
});

test("llama3_blends_between_its_two_bands_by_turns_in_the_original_context", () => {
  // Turns of 1, 0.1, 0.01 and 0.001 over 400·π tokens: 200, 20, 2 and 0.2.
  const scaling = {
    factor: 8,
    lowFreqFactor: 1,
    highFreqFactor: 4,
    originalMaxPositionEmbeddings: 400 * Math.PI,
  };
  // 2 turns lie a third of the way from 1 to 4: (2/3)/8 + 1/3 = 5/12.
  expect(frequencies(8, 10_000, { type: "llama3", ...scaling })).toEqual(
    near(1, 0.1, (0.01 * 5) / 12, 0.001 / 8),
  );
  // Between 1 and 40 turns, 20 are 19/39 of the way.
  const wide = { ...scaling, highFreqFactor: 40 };
  expect(frequencies(8, 10_000, { type: "llama3", ...wide })[1]).toBeCloseTo(
    0.1 * (20 / 39 / 8 + 19 / 39),
    12,
  );
});

test("yarn_ramps_between_the_channels_of_its_two_turn_counts", () => {
  const yarn = {
    type: "yarn",
    factor: 4,
    originalMaxPositionEmbeddings: 2048,
    betaFast: 32,
    betaSlow: 1,
  } as const;
  // Of 8 channels, 32 turns are at 16·ln(2048/(32·2π))/(2·ln 10⁴) = 2.016, down to 2; 1 turn at 5.026, up to 6.
  // The ramp is 0 until 2, then 1/4, 1/2, 3/4, and 1 from 6 on, where frequencies are divided by 4.
  const plain = Array.from({ length: 8 }, (_, j) => 10 ** (-j / 2));
  const share = [1, 1, 1, 3 / 4 + 1 / 16, 1 / 2 + 1 / 8, 1 / 4 + 3 / 16, 1 / 4, 1 / 4];
  expect(frequencies(16, 10_000, yarn)).toEqual(near(...plain.map((f, j) => f * share[j]!)));
  expect(ropeFrequencies(16, 10_000, yarn).attentionFactor).toBeCloseTo(1 + 0.1 * Math.log(4), 12);
  expect(ropeFrequencies(16, 10_000, { ...yarn, attentionFactor: 0.7 }).attentionFactor).toBe(0.7);
});

test("a_model_s_tables_hold_cosines_and_sines_of_its_scaling_times_yarn_s_factor", () => {
  const sizes = { vocabSize: 5, dModel: 8, numLayers: 1, numHeads: 2, dFf: 4, attention: "full" } as const;
  const scaling = {
    type: "yarn",
    factor: 2,
    originalMaxPositionEmbeddings: 64,
    attentionFactor: 0.5,
  } as const;
  const model = new Transformer(
    cpu,
    resolveModelConfig({ ...sizes, maxSeqLen: 6, ropeTheta: 100, ropeScaling: scaling }),
  );
  const { cos, sin, rotDim } = model.rope(4);
  // Heads of 4 channels: angles of 1 and 1/10 a position. 32 turns in 64 tokens lie before channel 0, 1 turn at
  // 4·ln(64/2π)/(2·ln 100) = 1.008, up to 2: the ramp is 0 and 1/2.
  const slow = 0.1 * (1 / 2 + 1 / 4);
  expect([rotDim, cos.shape, sin.shape]).toEqual([4, [6, 2], [6, 2]]);
  const rows = (t: typeof cos) => [0, 3, 5].map((p) => [...t.read().subarray(2 * p, 2 * p + 2)]);
  const table = (f: (x: number) => number) =>
    [0, 3, 5].map((p) => [1, slow].map((angle) => expect.closeTo(0.5 * f(p * angle), 6)));
  expect(rows(cos)).toEqual(table(Math.cos));
  expect(rows(sin)).toEqual(table(Math.sin));
});
