// Losses of reward models on the device against hand-computed values and gradients, and held-out figures by hand.
import { Device } from "@nsa/kernels";
import { Trainer } from "@nsa/train";
import { afterAll, expect, test } from "vitest";
import { lengthAndFormBaseline } from "../src/stages/reward/baseline.ts";
import { packTexts, type RewardExample, weightOfExample } from "../src/stages/reward/examples.ts";
import { rewardLosses } from "../src/stages/reward/loss.ts";
import { measureHeldOut } from "../src/stages/reward/measure.ts";
import type { LabelledText } from "../src/stages/reward/records.ts";
import { scoreTable } from "./score-table.ts";

const device = Device.open("reference");
afterAll(() => device.close());

/** Numbers that the model gives for texts that end in ids 1 … 5. */
const NUMBERS = [0, 0.5, -1.25, 2, 0.75, -0.5];
const table = () => scoreTable(device, NUMBERS);

const text = (ids: number[], ends: [number, number][], more: Partial<LabelledText> = {}): LabelledText => ({
  ids: Int32Array.from(ids),
  promptLength: 1,
  ends: ends.map(([at, label]) => ({ at, label })),
  question: "q",
  ended: true,
  ...more,
});
const ln = Math.log;
const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));

/** Loss of a step and d loss / d number, read off the score weight's gradient: its second channel is the sum of slope · √(4 − x²). */
function stepOf(examples: RewardExample[], loss: string) {
  const model = table();
  const trainer = new Trainer(model, 1, { optimizer: { lr: 0 } });
  const weightSum = examples.reduce((n, e) => n + weightOfExample(e), 0);
  const batch = packTexts(examples, loss);
  const metrics = trainer.step({ microBatches: [batch], weightSum }, rewardLosses.get(loss).loss);
  const { offset } = model.parameters.range("score.weight");
  const gradient = [...model.parameters.gradients!.read().slice(offset, offset + 4)];
  trainer.free();
  model.free();
  return { loss: metrics["train/loss"]!, gradient };
}

/** Σ slope · hidden over the numbers of the ids. */
const gradientOf = (slopes: [id: number, slope: number][]) =>
  [
    slopes.reduce((sum, [id, s]) => sum + s * (NUMBERS[id]! / 2), 0),
    slopes.reduce((sum, [id, s]) => sum + s * Math.sqrt(4 - (NUMBERS[id]! / 2) ** 2), 0),
    0,
    0,
  ].map((x) => expect.closeTo(x, 7));

test("bradley_terry_is_minus_log_sigmoid_of_the_difference_averaged_over_pairs", () => {
  // Numbers 0.5 over −1.25, and −0.5 over 2.
  const pairs: RewardExample[] = [
    [text([3, 1], [[1, 1]]), text([3, 4, 2], [[2, 0]])],
    [text([2, 2, 5], [[2, 1]]), text([3], [[0, 0]])],
  ];
  const { loss, gradient } = stepOf(pairs, "bradley_terry");
  expect(loss).toBeCloseTo((ln(1 + Math.exp(-1.75)) + ln(1 + Math.exp(2.5))) / 2, 9);
  const [a, b] = [sigmoid(-1.75) / 2, sigmoid(2.5) / 2];
  expect(gradient).toEqual(
    gradientOf([
      [1, -a],
      [2, a],
      [5, -b],
      [3, b],
    ]),
  );
});

test("pointwise_is_the_cross_entropy_of_each_number_averaged_over_numbers_soft_labels_included", () => {
  // Numbers 2 and 0.75 with labels 1 and 0.25, −0.5 with label 0.
  const texts: RewardExample[] = [
    [
      text(
        [1, 3, 4],
        [
          [1, 1],
          [2, 0.25],
        ],
      ),
    ],
    [text([5], [[0, 0]])],
  ];
  const { loss, gradient } = stepOf(texts, "pointwise");
  const of = (v: number, y: number) => -y * ln(sigmoid(v)) - (1 - y) * ln(sigmoid(-v));
  // The trainer divides by the step's sum in fp32.
  expect(loss).toBeCloseTo((of(2, 1) + of(0.75, 0.25) + of(-0.5, 0)) / 3, 7);
  expect(gradient).toEqual(
    gradientOf([
      [3, (sigmoid(2) - 1) / 3],
      [4, (sigmoid(0.75) - 0.25) / 3],
      [5, sigmoid(-0.5) / 3],
    ]),
  );
  for (const [v, y] of [
    [2, 1],
    [0.75, 0.25],
    [-40, 0.5],
  ] as const)
    expect(rewardLosses.get("pointwise").value([v], [y])).toBeCloseTo(of(v, y), 9);
});

test("held_out_figures_count_numbers_on_the_side_of_their_labels_by_policy_step_too", () => {
  const model = table();
  const texts: RewardExample[] = [
    [text([1], [[0, 1]], { policyStep: 10 })],
    [text([2], [[0, 1]], { policyStep: 10 })],
    [text([3], [[0, 0]], { policyStep: 30 })],
    [text([0], [[0, 0]], { policyStep: 30 })],
    [text([4], [[0, 1]], { policyStep: 30 })],
  ];
  const { metrics, numbers } = measureHeldOut(model, texts, "pointwise");
  // Numbers 0.5, −1.25, 2, 0, 0.75 with labels 1, 1, 0, 0, 1: right, wrong, wrong, ½, right.
  expect(metrics["held_out/accuracy"]).toBeCloseTo(2.5 / 5, 12);
  // Right 0.5, −1.25, 0.75 against wrong 2, 0: 0.5 > 0 and 0.75 > 0 of six.
  expect(metrics["held_out/auc"]).toBeCloseTo(2 / 6, 12);
  expect(metrics["held_out/policy_step_30/accuracy"]).toBeCloseTo(1.5 / 3, 12);
  expect(metrics["held_out/policy_step_10/accuracy"]).toBe(0.5);
  expect(metrics).not.toHaveProperty("held_out/policy_step_10/auc");
  expect(numbers.map((n) => n.number)).toEqual([0.5, -1.25, 2, 0, 0.75].map((x) => expect.closeTo(x, 9)));
  // Probabilities 0.62 and 0.68 in one bin, both of right outputs, 0.22, 0.88 and 0.5 each in a bin of its own.
  const p = numbers.map(({ number }) => sigmoid(number)) as [number, number, number, number, number];
  const error = 2 - p[0] - p[4] + (1 - p[1]) + p[2] + p[3];
  expect(metrics["held_out/calibration_error"]).toBeCloseTo(error / 5, 9);
  // The mean over all numbers: a text of two numbers counts twice.
  const two = text(
    [1, 2],
    [
      [0, 1],
      [1, 0.25],
    ],
  );
  const steps = measureHeldOut(model, [[two], [text([3], [[0, 0]])]], "pointwise");
  const cross = (v: number, y: number) => -y * ln(sigmoid(v)) - (1 - y) * ln(sigmoid(-v));
  expect(steps.metrics["val/loss"]).toBeCloseTo((cross(0.5, 1) + cross(-1.25, 0.25) + cross(2, 0)) / 3, 9);
  expect(steps.numbers.map(({ index, of, label }) => [index, of, label])).toEqual([
    [0, 2, 1],
    [1, 2, 0.25],
    [0, 1, 0],
  ]);
  const pairs = measureHeldOut(
    model,
    [
      [texts[0]![0]!, texts[1]![0]!],
      [texts[4]![0]!, texts[2]![0]!],
    ],
    "bradley_terry",
  );
  expect(pairs.metrics["held_out/pair_accuracy"]).toBe(0.5);
  expect(pairs.metrics["val/loss"]).toBeCloseTo((ln(1 + Math.exp(-1.75)) + ln(1 + Math.exp(1.25))) / 2, 9);
  expect(pairs.metrics).not.toHaveProperty("held_out/calibration_error");
  model.free();
});

test("the_baseline_gives_the_log_odds_of_each_length_prompt_and_end", () => {
  /** `right` of `n` outputs of this length to a prompt of this length. */
  const outputs = (n: number, right: number, length: number, promptLength: number, ended = true) =>
    Array.from({ length: n }, (_, i) =>
      text(Array(promptLength + length).fill(1), [[promptLength + length - 1, i < right ? 1 : 0]], {
        promptLength,
        ended,
      }),
    );
  const at = (score: (t: LabelledText) => number, length: number, prompt: number, ended = true) =>
    score(outputs(1, 1, length, prompt, ended)[0]!);
  // Log-odds ln(1/3) at 1 token and ln 2 at 8; 2 tokens are a third of the way in logarithms. The ridge moves them by a few hundredths.
  const byLength = lengthAndFormBaseline([...outputs(8, 2, 1, 3), ...outputs(6, 4, 8, 3)]);
  const [low, high] = [ln(1 / 3), ln(2)];
  expect(Math.abs(at(byLength, 1, 3) - low)).toBeLessThan(0.03);
  expect(Math.abs(at(byLength, 8, 3) - high)).toBeLessThan(0.03);
  expect(Math.abs(at(byLength, 2, 3) - (low + (high - low) / 3))).toBeLessThan(0.03);
  const byPrompt = lengthAndFormBaseline([...outputs(8, 2, 5, 1), ...outputs(6, 4, 5, 8)]);
  expect(Math.abs(at(byPrompt, 5, 2) - (low + (high - low) / 3))).toBeLessThan(0.03);
  const byEnd = lengthAndFormBaseline([...outputs(8, 2, 1, 1, false), ...outputs(6, 4, 1, 1)]);
  expect(Math.abs(at(byEnd, 1, 1, false) - low)).toBeLessThan(0.03);
  expect(Math.abs(at(byEnd, 1, 1) - high)).toBeLessThan(0.03);
});

test("the_baseline_finds_what_length_tells_and_nothing_where_there_is_nothing", () => {
  const output = (length: number, label: number, ended = true) =>
    text(Array(length + 1).fill(1), [[length, label]], { ended });
  const score = lengthAndFormBaseline(
    [2, 3, 4, 9, 11, 14, 3, 12].map((n, i) => output(n, n < 5 === i < 7 ? 1 : 0)),
  );
  expect(score(output(2, 0))).toBeGreaterThan(score(output(12, 0)));
  const blind = lengthAndFormBaseline([output(5, 1), output(5, 0), output(5, 1), output(5, 0)]);
  expect(blind(output(5, 0))).toBeCloseTo(0, 9);
  const form = lengthAndFormBaseline([output(5, 1), output(5, 0, false), output(5, 1), output(5, 0, false)]);
  expect(form(output(5, 0))).toBeGreaterThan(form(output(5, 0, false)) + 2);
});
