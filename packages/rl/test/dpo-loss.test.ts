// DPO's loss, gradient and figures by hand, and through a model in doubles by differences.
import { Device, Tape, TensorMath } from "@nsa/kernels";
import { logprobs, resolveModelConfig, Transformer, wholeReference } from "@nsa/model";
import { type LossContext, Trainer } from "@nsa/train";
import { afterAll, expect, test } from "vitest";
import { bigramModel } from "../../model/test/bigram-model.ts";
import { preferenceLosses } from "../src/algorithm/preference-losses.ts";
import { heldOutMetrics } from "../src/stages/dpo/held-out.ts";
import { dpoLoss, lossesOf } from "../src/stages/dpo/loss.ts";
import { pairStep } from "../src/stages/dpo/offline.ts";
import { type Pair, pairBatch, pairSums, splitPairs } from "../src/stages/dpo/pair.ts";
import { fillReference } from "../src/stages/dpo/reference.ts";

const reference = Device.open("reference");
afterAll(() => reference.close());

const { exp, log, LN2 } = Math;
const sigma = (x: number) => 1 / (1 + exp(-x));
const near = (x: number, digits = 12) => expect.closeTo(x, digits);
const pair = (prompt: number[], chosen: number[], rejected: number[], learned?: number[]): Pair => ({
  place: "test",
  question: prompt.join(),
  prompt,
  chosen: { ids: chosen, ...(learned ? { learned } : {}) },
  rejected: { ids: rejected },
});

/** Two pairs of unequal lengths; log π and log π_ref of their tokens in the order chosen, rejected. */
const pairs = [pair([9], [1, 2], [3]), pair([8, 9], [4], [5, 6, 7])];
const policyLogp = [
  [[-1, -2], [-3]],
  [[-4], [-0.5, -0.25, -0.25]],
];
const referenceLogp = [
  [[-1.5, -2.5], [-1]],
  [[-1], [-1, -1, -1]],
];

/** Loss, gradient by token of the outputs, and metrics, of given log-probabilities. */
function lossOf(kind: string, beta: number, own: number[][][], ref: number[][][]) {
  using _ = reference.scope();
  const batch = pairBatch(pairs);
  const spread = (values: number[][][]) => {
    const flat = values.flat(2);
    let next = 0;
    return Float32Array.from(batch.targets, (target) => (target < 0 ? 0 : flat[next++]!));
  };
  batch.columns!.ref_logp!.set(spread(ref));
  const tape = new Tape();
  const T = batch.tokens.length;
  const logp = reference.from(Float64Array.from(spread(own)), [T], "f64");
  logp.requiresGrad = true;
  const column = (name: string) => reference.from(batch.columns![name]!, [T], "f64");
  const context = { math: new TensorMath(tape), logp, column, weightSum: pairs.length };
  const { loss, metrics } = dpoLoss({ loss: kind, beta })(batch, context as unknown as LossContext);
  tape.backward([[loss, reference.full([1], "f64", 1)]]);
  const slope = logp.grad!.read();
  const gradient = [...slope].filter((_, t) => batch.targets[t]! >= 0);
  expect([...slope].filter((_, t) => batch.targets[t]! < 0).every((g) => g === 0)).toBe(true);
  const { "dpo/loss": told, ...figures } = metrics as Record<string, number>;
  expect((told as unknown as typeof loss).read()[0]).toBe(loss.read()[0]);
  return { loss: loss.read()[0]!, gradient, figures };
}

test("loss_gradient_and_figures_of_two_pairs_are_those_computed_by_hand", () => {
  const { loss, gradient, figures } = lossOf("sigmoid", 0.5, policyLogp, referenceLogp);
  // Ratios (−3+4) − (−3+1) = 3 and (−4+1) − (−1+3) = −5: z = 1.5 and −2.5.
  expect(loss).toEqual(near((log(1 + exp(-1.5)) + log(1 + exp(2.5))) / 2));
  // −β·σ(−z)/P for each token of the chosen output, the opposite for the rejected one.
  const [a, b] = [(0.5 * sigma(-1.5)) / 2, (0.5 * sigma(2.5)) / 2];
  expect(gradient).toEqual([-a, -a, a, -b, b, b, b].map((x) => near(x)));
  expect(figures).toEqual({
    "rewards/chosen": near((0.5 * 1 + 0.5 * -3) / 2),
    "rewards/rejected": near((0.5 * -2 + 0.5 * 2) / 2),
    "dpo/accuracy": 0.5,
    "dpo/margin": near((1.5 - 2.5) / 2),
    "logps/chosen": near((-3 - 4) / 2),
    "logps/rejected": near((-3 - 1) / 2),
  });
});

test("a_policy_that_equals_its_reference_has_loss_ln_2_and_ties_count_half", () => {
  const { loss, gradient, figures } = lossOf("sigmoid", 0.3, policyLogp, policyLogp);
  expect(loss).toEqual(near(LN2));
  // β·σ(0)/P.
  const g = (0.3 * 0.5) / 2;
  expect(gradient).toEqual([-g, -g, g, -g, g, g, g].map((x) => near(x)));
  expect([figures["dpo/accuracy"], figures["dpo/margin"], figures["rewards/chosen"]]).toEqual([0.5, 0, 0]);
});

test("hinge_and_ipo_are_their_definitions", () => {
  // Margins d = 3 and −5 at β = 0.5.
  const hinge = lossOf("hinge", 0.5, policyLogp, referenceLogp);
  expect(hinge.loss).toEqual(near((0 + 3.5) / 2));
  const h = 0.5 / 2;
  expect(hinge.gradient.map((x) => x + 0)).toEqual([0, 0, 0, -h, h, h, h].map((x) => near(x)));
  const ipo = lossOf("ipo", 0.5, policyLogp, referenceLogp);
  expect(ipo.loss).toEqual(near(((3 - 1) ** 2 + (-5 - 1) ** 2) / 2));
  expect(ipo.gradient).toEqual([2, 2, -2, -6, 6, 6, 6].map((x) => near(x)));
  expect(preferenceLosses.names).toEqual(["sigmoid", "hinge", "ipo"]);
  expect([...lossesOf(reference, [3, -5], { loss: "ipo", beta: 0.25 })]).toEqual([1, 49]);
});

const modelConfig = resolveModelConfig({
  attention: "full",
  vocabSize: 11,
  dModel: 8,
  numLayers: 2,
  numHeads: 2,
  numKvHeads: 1,
  dFf: 12,
  maxSeqLen: 64,
  initStd: 0.4,
});

function model(seed: number): Transformer {
  const made = new Transformer(reference, modelConfig, "f64");
  made.parameters.init(seed);
  return made;
}

/** The third pair's chosen output has a token that another wrote. */
const real = [
  pair([1, 2], [5, 2, 7], [4, 3]),
  pair([6, 4, 2], [8], [8, 1, 9, 3]),
  pair([3], [10, 2, 6, 3], [7, 5], [1, 0, 1, 1]),
];

function gradientOf(budget: number, loss = "sigmoid", beta = 0.4) {
  const ref = model(2);
  const trainer = new Trainer(model(1), 1, { optimizer: { lr: 0, clip: 0 } });
  const step = pairStep(real, wholeReference(ref), budget);
  const metrics = trainer.step(step, dpoLoss({ loss, beta }));
  const gradient = trainer.model.parameters.gradients!.read();
  trainer.free();
  trainer.model.free();
  ref.free();
  return { gradient, metrics, microBatches: step.microBatches.length };
}

test.each(["sigmoid", "ipo"])("the_gradient_of_%s_through_a_model_is_that_of_differences", (loss) => {
  const { gradient, metrics } = gradientOf(1000, loss);
  const [policy, ref] = [model(1), model(2)];
  const batch = fillReference(wholeReference(ref), pairBatch(real));
  const refSums = pairSums(batch, batch.columns!.ref_logp!);
  const objective = () => {
    const own = pairSums(batch, logprobs(policy, batch).logp);
    const of = own.map((s, i) => {
      const d = s.chosen - s.rejected - (refSums[i]!.chosen - refSums[i]!.rejected);
      return loss === "ipo" ? (d - 1 / 0.8) ** 2 : log(1 + exp(-0.4 * d));
    });
    return of.reduce((a, b) => a + b, 0) / of.length;
  };
  expect(metrics["train/loss"]).toBeCloseTo(objective(), 6);
  const { flat } = policy.parameters;
  const values = flat.read();
  for (const phase of [0, 1, 2]) {
    const direction = Float64Array.from(values, (_, i) => Math.sin(phase + i * 1.7));
    const h = 1e-6;
    const at = (sign: number) => {
      flat.write(values.map((v, i) => v + sign * h * direction[i]!));
      const y = objective();
      flat.write(values);
      return y;
    };
    const numeric = (at(1) - at(-1)) / (2 * h);
    const analytic = gradient.reduce((s, g, i) => s + g * direction[i]!, 0);
    expect(Math.abs(analytic - numeric)).toBeLessThan(1e-6 * Math.max(1, Math.abs(numeric)));
  }
  policy.free();
  ref.free();
});

test("micro_batches_keep_pairs_whole_and_change_neither_gradient_nor_figures", () => {
  // Positions 4+3, 3+6 and 4+2.
  expect(splitPairs(real, 15).map((group) => group.length)).toEqual([1, 2]);
  expect(splitPairs(real, 5).map((group) => group.length)).toEqual([1, 1, 1]);
  const [whole, split] = [gradientOf(1000), gradientOf(5)];
  expect([whole.microBatches, split.microBatches]).toEqual([1, 3]);
  for (const [i, g] of whole.gradient.entries()) expect(split.gradient[i]).toEqual(near(g, 10));
  for (const name of [
    "train/loss",
    "dpo/loss",
    "dpo/accuracy",
    "dpo/margin",
    "rewards/chosen",
    "logps/rejected",
  ])
    expect(split.metrics[name], name).toEqual(near(whole.metrics[name]!, 10));
});

test("a_steps_weights_sum_to_its_pairs_and_masked_tokens_have_none", () => {
  const { microBatches, weightSum } = pairStep(real, wholeReference(model(1)), 1000);
  const weights = microBatches[0]!.lossWeight;
  expect(weightSum).toBe(3);
  expect(weights.reduce((a, b) => a + b, 0)).toBeCloseTo(3, 5);
  // Chosen 10 2 6 3 behind one prompt token: the second is not learned.
  const from = microBatches[0]!.cuSeqlens[4]!;
  expect([...microBatches[0]!.targets.subarray(from, from + 4)]).toEqual([10, -1, 6, 3]);
});

test("figures_under_tables_of_probabilities_are_those_computed_by_hand", () => {
  const cpu = Device.open("cpu", { threads: 1 });
  const flat = [0, 1, 2, 3].map(() => [1 / 4, 1 / 4, 1 / 4, 1 / 4]);
  const [policy, uniform] = [bigramModel(cpu), bigramModel(cpu, flat)];
  // In bits: 0→1 2, 1→1 1 | 0→3 3; then 2→3 log₂(4/3) | 2→0 4, 0→0 1. The reference has 2 for each token.
  const two = [pair([0], [1, 1], [3]), pair([1, 2], [3], [0, 0])];
  const batches = splitPairs(two, 6).map((group) => fillReference(wholeReference(uniform), pairBatch(group)));
  expect(batches).toHaveLength(2);
  const beta = 0.5 / LN2;
  const got = heldOutMetrics(policy, batches, { loss: "sigmoid", beta });
  // Bits gained on the reference: 4 − 3 = 1 against −1; 2 − log₂(4/3) against −1. Half of them, since β takes bits to 1/2.
  const b = 2 - Math.log2(4 / 3);
  const z = [0.5 * 2, 0.5 * (b + 1)];
  const together = [fillReference(wholeReference(uniform), pairBatch(two))];
  const whole = heldOutMetrics(policy, together, { loss: "sigmoid", beta });
  for (const [name, value] of Object.entries(got)) expect(whole[name], name).toEqual(near(value, 6));
  expect(got).toEqual({
    "val/loss": near((log(1 + exp(-z[0]!)) + log(1 + exp(-z[1]!))) / 2, 5),
    "val/rewards/chosen": near((0.5 + 0.5 * b) / 2, 5),
    "val/rewards/rejected": near(-0.5, 5),
    "val/dpo/accuracy": 1,
    "val/dpo/margin": near((z[0]! + z[1]!) / 2, 5),
    "val/logps/chosen": near((-3 * LN2 - Math.log2(4 / 3) * LN2) / 2, 5),
    "val/logps/rejected": near((-3 * LN2 - 5 * LN2) / 2, 5),
  });
  cpu.close();
});

test("a_reference_that_gives_no_number_ends_the_run", () => {
  const broken = model(3);
  broken.parameters.flat.write(broken.parameters.flat.read().fill(Number.NaN));
  expect(() => fillReference(wholeReference(broken), pairBatch(real))).toThrow(
    expect.objectContaining({ code: "diverged", exitCode: 5 }),
  );
  broken.free();
});
