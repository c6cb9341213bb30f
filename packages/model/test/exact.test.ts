// Exact generation: the sampler's log-probabilities are the trainer's bit for bit, however texts are packed; and kept ids of truncated sampling.
import { packBatch, Rng } from "@nsa/core";
import { Device, Tape, type Tensor } from "@nsa/kernels";
import { afterAll, expect, test } from "vitest";
import { keptOf } from "../src/generate/kept-ids.ts";
import {
  Engine,
  type GenerateRequest,
  logprobs,
  resolveModelConfig,
  supportLogp,
  Transformer,
} from "../src/index.ts";
import { bigramModel } from "./bigram-model.ts";

const cpu = Device.open("cpu", { threads: 2 });
afterAll(() => cpu.close());

const V = 61;
function build(attention: "nsa" | "full" | "window", dtype: "fp32" | "bf16" = "fp32"): Transformer {
  const sizes = { dModel: 32, numLayers: 2, numHeads: 4, numKvHeads: 2, dFf: 48 };
  const nsa = { blockSize: 8, stride: 4, selectionBlockSize: 8, numSelectedBlocks: 4, windowSize: 12 };
  const config = resolveModelConfig({
    ...{ vocabSize: V, attention, maxSeqLen: 160, initStd: 0.2, dtype },
    ...sizes,
    ...nsa,
  });
  const model = new Transformer(cpu, config);
  model.parameters.init(7);
  model.parameters.refreshLow();
  return model;
}
const requests = (n: number): GenerateRequest[] =>
  Array.from({ length: n }, (_, i) => ({
    prompt: Array.from({ length: 3 + i * 11 }, (_, t) => (t * 7 + i * 13) % V),
    n: 3,
    maxTokens: 14,
    sampling: { temperature: 0.7, topP: 0.95, minP: 0, topK: 0 },
    seed: 5,
    id: i * 100,
    stopIds: [3],
  }));
const options = { maxSequences: 8, cacheTokens: 4096 };

for (const [attention, dtype] of [
  ["nsa", "fp32"],
  ["full", "fp32"],
  ["window", "fp32"],
  ["nsa", "bf16"],
] as const)
  test(`sampler_and_trainer_agree_in_every_bit_for_any_packing_${attention}_${dtype}`, () => {
    const model = build(attention, dtype);
    const asked = requests(4);
    const outputs = [16, 96, 4096].map((prefillTokens) =>
      new Engine(model, { ...options, prefillTokens, exact: true }).generate(asked),
    );
    // Chunks of other sizes draw the same.
    expect(outputs[1]).toEqual(outputs[0]);
    expect(outputs[2]).toEqual(outputs[0]);
    const flat = outputs[0]!.flatMap((group, r) => group.map((out) => ({ prompt: asked[r]!.prompt, out })));
    expect(new Set(flat.map(({ out }) => out.ids.length)).size).toBeGreaterThan(1);
    const rng = new Rng(3, 1);
    for (let packing = 0; packing < 4; packing++) {
      const order = rng.shuffle(flat, packing);
      const size = [1, 3, 5, flat.length][packing]!;
      for (let from = 0; from < order.length; from += size) {
        const part = order.slice(from, from + size);
        const batch = packBatch(
          part.map(({ prompt, out }) => ({
            ids: Int32Array.from([...Array.from(prompt), ...out.ids]),
            isTarget: (index: number) => index >= prompt.length,
          })),
        );
        const { logp } = logprobs(model, batch, { temperature: 0.7 });
        for (const [i, { prompt, out }] of part.entries()) {
          const start = batch.cuSeqlens[i]! + prompt.length - 1;
          expect(Array.from(logp.subarray(start, start + out.ids.length))).toEqual(out.logp);
        }
      }
    }
    // It is the distribution that the cached sampler has, to rounding.
    const [cached] = new Engine(model, { ...options, prefillTokens: 512 }).generate([asked[0]!]);
    const [exact] = outputs[0]!;
    expect(Math.abs(cached![0]!.logp[0]! - exact![0]!.logp[0]!)).toBeLessThan(dtype === "fp32" ? 1e-4 : 0.1);
  });

test("kept_ids_are_those_of_top_k_min_p_and_top_p_in_that_order", () => {
  // Probabilities 0.4, 0.3, 0.2, 0.1 at ids 2, 0, 3, 1.
  const logits = [Math.log(0.3), Math.log(0.1), Math.log(0.4), Math.log(0.2)];
  const kept = (over: object) => keptOf(logits, { temperature: 1, topP: 1, minP: 0, topK: 0, ...over });
  expect(kept({})).toEqual([2, 0, 3, 1]);
  expect(kept({ topK: 2 })).toEqual([2, 0]);
  expect(kept({ minP: 0.6 })).toEqual([2, 0]);
  expect(kept({ topP: 0.65 })).toEqual([2, 0]);
  expect(kept({ topP: 0.75 })).toEqual([2, 0, 3]);
  // The mass is that of the whole vocabulary, so two of three cut ids do not reach 0.85.
  expect(kept({ topK: 3, topP: 0.85 })).toEqual([2, 0, 3]);
  expect(kept({ temperature: 0 })).toEqual([2]);
  // At temperature ½ the probabilities are 16, 9, 4 and 1 of 30.
  expect(kept({ temperature: 0.5, topP: 0.8 })).toEqual([2, 0]);
});

test("kept_ids_of_the_engine_have_the_mass_that_the_device_kept", () => {
  const model = build("full");
  const [asked] = requests(1);
  for (const over of [
    { topP: 0.8 },
    { topP: 1, topK: 5 },
    { topP: 1, minP: 0.2 },
    { topP: 0.9, topK: 7, minP: 0.01 },
  ]) {
    const request = { ...asked!, keptIds: true, stopIds: [], sampling: { ...asked!.sampling, ...over } };
    const [outputs] = new Engine(model, { ...options, prefillTokens: 512 }).generate([request]);
    for (const { ids, kept, keptLogmass } of outputs!) {
      const all = [...Array.from(request.prompt), ...ids];
      for (const [t, set] of kept!.entries()) {
        expect(set[0]).toBe(ids[t]);
        expect(new Set(set).size).toBe(set.length);
        // One text a kept id, whose last target it is.
        const batch = packBatch(
          set.map((id) => {
            const text = Int32Array.from([...all.slice(0, request.prompt.length + t), id]);
            return { ids: text, isTarget: (index: number) => index === text.length - 1 };
          }),
        );
        const { logp } = logprobs(model, batch, { temperature: 0.7 });
        const mass = set.reduce((sum, _, i) => sum + Math.exp(logp[batch.cuSeqlens[i + 1]! - 1]!), 0);
        expect(Math.log(mass)).toBeCloseTo(keptLogmass[t]!, 4);
      }
    }
  }
});

test("log_probabilities_over_kept_ids_and_their_gradient_by_hand", () => {
  // p(next | 0) is 1/2, 1/4, 1/8, 1/8; p(next | 2) is 1/16, 1/16, 1/8, 3/4.
  const model = bigramModel(cpu);
  model.parameters.enableGradients();
  model.parameters.zeroGradients();
  using _ = cpu.scope();
  const tape = new Tape();
  const hidden = model.forward(
    tape,
    model.upload({ tokens: Int32Array.of(0, 2), cuSeqlens: Int32Array.of(0, 2) }),
  );
  const positions = [
    { row: 0, kept: [1, 0] },
    { row: 1, kept: [3, 2, 0] },
    { row: 0, kept: [2] },
  ];
  const logp = supportLogp(model, tape, hidden, positions);
  const close = (values: number[]) => values.map((x) => expect.closeTo(x, 5));
  // 1/4 of 3/4, 3/4 of 15/16, and the only one.
  expect(Array.from(logp.read())).toEqual(close([Math.log(1 / 3), Math.log(12 / 15), 0]));
  tape.backward([[logp, cpu.from(Float32Array.of(1, 2, 5), [3], "f32")]]);
  const { offset } = model.parameters.range("lm_head.weight");
  const gradient = model.parameters.gradients!.view(offset, [4, 4]).read();
  // d ln p(first)/d logit: 1 − p of the first, −p of the others, by the one-hot state of tokens 0 and 2.
  const of = (id: number, token: number) => gradient[id * 4 + token]!;
  expect([0, 1, 2, 3].map((id) => of(id, 0))).toEqual(close([-2 / 3, 2 / 3, 0, 0]));
  expect([0, 1, 2, 3].map((id) => of(id, 2))).toEqual(close([(-2 * 1) / 15, 0, (-2 * 2) / 15, (2 * 3) / 15]));
  // At temperature ½ the shares are squared: 1/16 of 1/16 + 1/4.
  const sharp: Tensor = supportLogp(model, new Tape(false), hidden, positions.slice(0, 1), 0.5);
  expect(sharp.read()[0]).toBeCloseTo(Math.log(1 / 5), 5);
});
