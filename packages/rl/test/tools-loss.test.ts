// The loss on outputs with tools: what a tool wrote is read, is no target, has no gradient, and counts nowhere.
import { Rng } from "@nsa/core";
import { Device, Tape } from "@nsa/kernels";
import { resolveModelConfig, Transformer } from "@nsa/model";
import { type LossFunction, Trainer } from "@nsa/train";
import { afterAll, expect, test } from "vitest";
import { grpoSchema } from "../src/index.ts";
import { pairBatch } from "../src/stages/dpo/pair.ts";
import {
  outputsOf,
  type PolicySample,
  policyBatch,
  policyStep,
  splitByTokens,
} from "../src/stages/grpo/batch.ts";
import { grpoLoss } from "../src/stages/grpo/loss.ts";
import { rewardsByToken } from "../src/stages/grpo/rollout.ts";

const reference = Device.open("reference");
afterAll(() => reference.close());

const sample = (prompt: number[], ids: number[], inserts: PolicySample["inserts"], id = 0): PolicySample => ({
  ...{ prompt, ids, id, weight: 0.5 },
  ...(inserts ? { inserts } : {}),
  advantage: Float32Array.from(ids, (_, i) => 1 + i),
  oldLogp: ids.map((_, i) => -0.25 * (i + 1)),
  samplerLogp: ids.map((_, i) => -0.5 * (i + 1)),
});

test("tokens_of_tools_stand_in_the_document_and_are_no_targets", () => {
  const batch = policyBatch([sample([7, 8], [1, 2, 3], [{ at: 2, ids: [9, 9, 6] }])]);
  expect([...batch.tokens]).toEqual([7, 8, 1, 2, 9, 9, 6]);
  expect([...batch.targets]).toEqual([-1, 1, 2, -1, -1, -1, 3]);
  expect([...batch.lossWeight]).toEqual([0, 0.5, 0.5, 0, 0, 0, 0.5]);
  expect([...batch.columns!.advantage!]).toEqual([0, 1, 2, 0, 0, 0, 3]);
  expect([...batch.columns!.old_logp!]).toEqual([0, -0.25, -0.5, 0, 0, 0, -0.75]);
  expect([...batch.columns!.sampler_logp!]).toEqual([0, -0.5, -1, 0, 0, 0, -1.5]);
  expect(outputsOf(batch, [10, 11, 12, 13, 14, 15, 16])).toEqual([[11, 12, 16]]);
  // Their room counts.
  const two = [sample([7], [1, 2], [{ at: 1, ids: [5, 5, 5] }]), sample([7], [1], undefined)];
  expect(splitByTokens(two, 6).map((g) => g.length)).toEqual([2]);
  expect(splitByTokens(two, 5).map((g) => g.length)).toEqual([1, 1]);
});

test("ids_learned_are_ids_sampled_in_10000_random_trajectories", () => {
  const rng = new Rng(11, 3);
  for (let i = 0; i < 10_000; i++) {
    let draws = 0;
    const int = (n: number) => Math.floor(rng.uniform(i, draws++) * n);
    const list = (n: number) => Array.from({ length: n }, () => int(50));
    const [prompt, ids] = [list(1 + int(4)), list(1 + int(12))];
    const inserts: { at: number; ids: number[] }[] = [];
    for (let at = 1; at <= ids.length; at++) if (int(3) === 0) inserts.push({ at, ids: list(1 + int(5)) });
    const batch = policyBatch([sample(prompt, ids, inserts)]);
    const learned = [...batch.targets].filter((id) => id >= 0);
    const all = [...prompt];
    ids.forEach((id, at) => {
      for (const insert of inserts) if (insert.at === at) all.push(...insert.ids);
      all.push(id);
    });
    for (const insert of inserts) if (insert.at === ids.length) all.push(...insert.ids);
    if (learned.join() !== ids.join() || [...batch.tokens].join() !== all.slice(0, -1).join())
      expect([i, learned, [...batch.tokens]]).toEqual([i, ids, all.slice(0, -1)]);
  }
});

const shape = { vocabSize: 13, dModel: 16, numLayers: 2, numHeads: 2, numKvHeads: 1, dFf: 24, maxSeqLen: 32 };
function makeModel(): Transformer {
  const model = new Transformer(reference, resolveModelConfig({ attention: "full", ...shape }), "f64");
  model.parameters.init(4);
  return model;
}

/** The loss of a step and the gradient of all parameters. */
function lossAndGradient(samples: readonly PolicySample[], budget: number) {
  const { algorithm } = grpoSchema.parse({
    init: { checkpoint: "" },
    algorithm: { innerEpochs: 2, klCoef: 0.05, clipEpsLow: 0.3, clipEpsHigh: 0.3 },
  });
  const model = makeModel();
  const trainer = new Trainer(model, 1, { optimizer: { lr: 0 } });
  model.parameters.zeroGradients();
  const totalTokens = samples.reduce((n, s) => n + s.ids.length, 0);
  const loss = grpoLoss(algorithm, { onPolicy: false, totalTokens }) as LossFunction;
  const { microBatches, weightSum } = policyStep(samples, budget, 3);
  const metrics = trainer.step({ microBatches, weightSum }, loss, { temperature: 1 });
  return { loss: metrics["train/loss"]!, metrics, gradient: model.parameters.gradients!.read() };
}

test("the_loss_of_an_output_with_tools_equals_one_made_by_hand_from_full_log_probabilities", () => {
  const samples = [
    { ...sample([7, 8], [1, 2, 3], [{ at: 2, ids: [9, 9, 6] }]), refLogp: [-2, -1.5, -2.5] },
    {
      ...sample(
        [4],
        [5, 2, 2, 11],
        [
          { at: 1, ids: [3] },
          { at: 3, ids: [8, 1] },
        ],
        1,
      ),
      refLogp: [-1, -3, -2, -2],
    },
  ];
  for (const s of samples) s.oldLogp = s.ids.map((_, i) => -2.4 - 0.1 * i);
  const { loss, metrics, gradient } = lossAndGradient(samples, 64);
  // Independently: log-softmax of the logits at the places before sampled ids, in plain numbers.
  const model = makeModel();
  const texts = [
    { ids: [7, 8, 1, 2, 9, 9, 6, 3], at: [2, 3, 7] },
    { ids: [4, 5, 3, 2, 2, 8, 1, 11], at: [1, 3, 4, 7] },
  ];
  let sum = 0;
  let ratioSum = 0;
  for (const [n, { ids, at }] of texts.entries()) {
    const logp = logSoftmaxRows(model, ids);
    const s = samples[n]!;
    at.forEach((place, t) => {
      const x = logp[place - 1]![ids[place]!]!;
      const ratio = Math.exp(x - s.oldLogp![t]!);
      const a = s.advantage[t]!;
      const clipped = Math.min(1.3, Math.max(0.7, ratio));
      const kl = Math.exp(s.refLogp[t]! - x) - (s.refLogp[t]! - x) - 1;
      sum += 0.5 * (-Math.min(ratio * a, clipped * a) + 0.05 * kl);
      ratioSum += ratio;
    });
  }
  expect(Math.abs(loss - sum / 3)).toBeLessThan(1e-6);
  expect(Math.abs(metrics["policy/ratio_mean"]! - ratioSum / 7)).toBeLessThan(1e-6);
  // Micro-batches of one output each give the same gradient.
  const apart = lossAndGradient(samples, 1);
  expect(Math.abs(apart.loss - loss)).toBeLessThan(1e-9);
  const far = gradient.map((x, i) => Math.abs(x - apart.gradient[i]!)).reduce((a, b) => Math.max(a, b), 0);
  expect(far).toBeLessThan(1e-9);
});

/** The model's last states of a text, row by row. */
function hiddenOf(model: Transformer, ids: number[]): ArrayLike<number> {
  const tokens = Int32Array.from(ids);
  const cuSeqlens = Int32Array.from([0, ids.length]);
  return model.forward(new Tape(false), model.upload({ tokens, cuSeqlens })).read();
}

/** Rows of log-probabilities of a text, from the model's last states and its head. */
function logSoftmaxRows(model: Transformer, ids: number[]): number[][] {
  using _ = reference.scope();
  const rows: number[][] = [];
  const [v, d] = [model.config.vocabSize, model.config.dModel];
  const hidden = hiddenOf(model, ids);
  const head = model.headWeight.read();
  for (let t = 0; t < ids.length; t++) {
    const logits = Array.from({ length: v }, (_, i) => {
      let dot = 0;
      for (let j = 0; j < d; j++) dot += hidden[t * d + j]! * head[i * d + j]!;
      return dot;
    });
    const lse = Math.log(logits.reduce((s, x) => s + Math.exp(x), 0));
    rows.push(logits.map((x) => x - lse));
  }
  return rows;
}

test("a_gradient_by_a_token_of_a_tool_s_log_probability_is_zero", () => {
  // The last insert is read by nothing that is learned: changing its ids changes neither loss nor gradient.
  const of = (ids: number[]) =>
    lossAndGradient([sample([7], [1, 2, 3], [{ at: 3, ids }])].map(withReference), 64);
  const [a, b] = [of([9, 9]), of([4, 12])];
  expect(a.gradient.some((x) => x !== 0)).toBe(true);
  expect(a.loss).toBe(b.loss);
  expect([...a.gradient]).toEqual([...b.gradient]);
  // One that is read changes both.
  const read = (ids: number[]) =>
    lossAndGradient([sample([7], [1, 2, 3], [{ at: 2, ids }])].map(withReference), 64);
  expect(read([9, 9]).loss).not.toBe(read([4, 12]).loss);
});
const withReference = (s: PolicySample) => ({ ...s, refLogp: s.ids.map(() => -2) });

test("rewards_of_steps_stand_at_sampled_tokens", () => {
  const texts = ["ab", "cd", "RESULT", "ef"];
  const tokenizer = { stream: () => ({ push: (id: number) => texts[id]!, end: () => "" }) } as never;
  const output = { ids: [0, 1, 3], inserts: [{ at: 2, ids: [2] }] };
  const reward = {
    ...{ total: 1.75, parts: {}, outcome: 1 },
    // In "cd", inside the result, at the end.
    steps: [
      { end: 3, reward: 0.5, of: "x" },
      { end: 6, reward: 0.25, of: "x" },
      { end: 12, reward: 0, of: "x" },
    ],
  };
  expect(rewardsByToken(tokenizer, 4, output, reward)).toEqual({
    ...{ group: 4, length: 3 },
    steps: [
      { token: 1, reward: 0.5 },
      { token: 1, reward: 0.25 },
      { token: 2, reward: 0 },
      { token: 2, reward: 1 },
    ],
  });
});

test("dpo_learns_no_token_of_a_tool", () => {
  const pair = {
    ...{ place: "x", question: "q", prompt: [7] },
    chosen: { ids: [1, 9, 2], learned: [1, 0, 1] },
    rejected: { ids: [3] },
  };
  const batch = pairBatch([pair]);
  expect([...batch.targets]).toEqual([1, -1, 2, 3]);
  expect([...batch.lossWeight]).toEqual([
    expect.closeTo(1 / 3),
    0,
    expect.closeTo(1 / 3),
    expect.closeTo(1 / 3),
  ]);
});
