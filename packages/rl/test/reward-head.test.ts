// A reward model fits the trainer as it is: a `linear` head on the hidden states at each text's end, and a loss of pairs.
import { Device, gatherRows, linear, type Tensor } from "@nsa/kernels";
import { resolveModelConfig, Transformer } from "@nsa/model";
import { type LossFunction, Trainer } from "@nsa/train";
import { afterAll, expect, test } from "vitest";
import { policyBatch } from "../src/stages/grpo/batch.ts";

const device = Device.open("reference");
afterAll(() => device.close());

const D = 8;
const config = resolveModelConfig({
  attention: "full",
  vocabSize: 11,
  dModel: D,
  numLayers: 1,
  numHeads: 2,
  numKvHeads: 1,
  dFf: 12,
  maxSeqLen: 32,
  initStd: 0.4,
});

/** Texts in pairs, the better one first. */
const texts = [
  [1, 2, 5, 7],
  [1, 2, 6],
  [3, 5, 9],
  [3, 8, 4, 4],
];
const batch = policyBatch(
  texts.map((ids, id) => ({
    prompt: ids.slice(0, 1),
    ids: ids.slice(1),
    weight: 1,
    advantage: new Float32Array(ids.length - 1),
    samplerLogp: ids.slice(1).map(() => 0),
    id,
  })),
);
// The last position has no target: the head's own cross-entropy is not wanted here.
batch.targets.fill(-1);
const last = Array.from(batch.cuSeqlens.slice(1), (end) => end - 1);

/** −log σ(r(better) − r(worse)), summed over pairs (Bradley and Terry). */
const pairs =
  (head: Tensor): LossFunction =>
  (_, { tape, math: m, hidden }) => {
    const index = (rows: number[]) => device.from(Int32Array.from(rows), [rows.length], "i32");
    const ends = gatherRows(tape, hidden, index(last));
    const rewards = linear(tape, ends, head);
    const of = (rows: number[]) => gatherRows(tape, rewards, index(rows));
    const margin = m.sub(of([0, 2]), of([1, 3]));
    return { loss: m.sum(m.log(m.add(m.exp(m.neg(margin)), 1))) };
  };

test("a_linear_reward_head_learns_pairs_and_its_gradient_reaches_the_policys_weights", () => {
  const model = new Transformer(device, config, "f64");
  model.parameters.init(3);
  const head = device.from(
    Float64Array.from({ length: D }, (_, i) => Math.sin(i + 1)),
    [1, D],
    "f64",
  );
  head.requiresGrad = true;
  head.grad = device.zeros([1, D], "f64");
  const trainer = new Trainer(model, 40, { optimizer: { lr: 0 } });
  const loss = () => trainer.step({ microBatches: [batch], weightSum: 1 }, pairs(head))["train/loss"]!;
  const before = loss();
  const gradient = model.parameters.gradients!.read();
  const ofHead = head.grad.read();
  const { flat } = model.parameters;
  const values = flat.read();
  const direction = values.map((_, i) => Math.sin(1.3 * i));
  const nudged = (h: number) => {
    flat.write(values.map((v, i) => v + h * direction[i]!));
    const y = loss();
    flat.write(values);
    return y;
  };
  const numeric = (nudged(1e-6) - nudged(-1e-6)) / 2e-6;
  expect(gradient.reduce((a, g, i) => a + g * direction[i]!, 0)).toBeCloseTo(numeric, 6);
  // A step down the head's own gradient: better texts come out ahead.
  head.write(head.read().map((v, i) => v - 0.05 * ofHead[i]!));
  expect(loss()).toBeLessThan(before);
  trainer.free();
  model.free();
});
