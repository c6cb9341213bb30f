// Requests that come and go while others run, and log-probabilities of the likeliest tokens.
import { afterAll, expect, test } from "vitest";
import { needs } from "../../core/test/needs.ts";
import { isCpu, openBackend } from "../../kernels/test/backend.ts";
import {
  Engine,
  type GeneratedSample,
  type GenerateRequest,
  resolveModelConfig,
  scorePrompts,
  Transformer,
} from "../src/index.ts";

const device = openBackend({ threads: 1 });
const V = 61;
const model = new Transformer(
  device,
  resolveModelConfig({
    vocabSize: V,
    dModel: 32,
    numLayers: 2,
    numHeads: 4,
    numKvHeads: 2,
    dFf: 48,
    attention: "nsa",
    blockSize: 8,
    stride: 4,
    selectionBlockSize: 8,
    numSelectedBlocks: 4,
    windowSize: 12,
    maxSeqLen: 160,
    initStd: 0.2,
  }),
);
model.parameters.init(7);
afterAll(() => {
  model.free();
  device.close();
});

const options = { maxSequences: 4, cacheTokens: 640, prefillTokens: 512 };
const request = (i: number, over: Partial<GenerateRequest> = {}): GenerateRequest => ({
  prompt: Array.from({ length: 3 + i * 9 }, (_, t) => (t * 7 + i * 13) % V),
  n: 1,
  maxTokens: 30,
  sampling: { temperature: 0.7, topP: 0.9, minP: 0, topK: 0 },
  seed: 5,
  id: i * 100,
  stopIds: [],
  ...over,
});

needs(isCpu, "a promise of the CPU backend only")(
  "requests_that_arrive_late_or_outlive_a_cancelled_one_are_unchanged",
  () => {
    const alone = [0, 1, 2, 3].map((i) => new Engine(model, options).generate([request(i)])[0]![0]!);
    const live = new Engine(model, options).open();
    const outputs: GeneratedSample[] = [];
    const run = (steps: number) => {
      for (let k = 0; k < steps && !live.idle; k++)
        for (const { request: r, output } of live.step()) outputs[r] = output;
    };
    for (const i of [0, 1]) live.add(request(i));
    run(5);
    live.add(request(2));
    run(5);
    expect(live.running).toBe(3);
    live.cancel(1);
    expect(live.running).toBe(2);
    live.add(request(3));
    run(1000);
    live.cancel(3);
    live.close();
    expect([outputs[0], outputs[2], outputs[3]]).toEqual([alone[0], alone[2], alone[3]]);
    expect(outputs[1]).toBeUndefined();
  },
);

test("cancelled_requests_give_every_page_back", () => {
  // Rotary tables are the model's, made once by whoever needs them first.
  model.rope(model.config.maxSeqLen);
  const before = device.stats().liveBytes;
  const live = new Engine(model, options).open();
  for (let round = 0; round < 30; round++) {
    const ids = [0, 1, 2].map((i) => live.add(request(i, { n: 3, maxTokens: 100 })));
    for (let k = 0; k < 3; k++) live.step();
    for (const id of ids) live.cancel(id);
    expect([live.idle, live.running, live.waiting]).toEqual([true, 0, 0]);
  }
  expect(() => live.add(request(0, { maxTokens: 100 }))).not.toThrow();
  live.close();
  const small = new Engine(model, { ...options, cacheTokens: 32 }).open();
  expect(() => small.add(request(1, { maxTokens: 100 }))).toThrowError(/cache holds 32/);
  small.close();
  expect(device.stats().liveBytes).toBe(before);
});

test("a_request_cancelled_by_its_own_first_token_is_dropped", () => {
  const seen: number[] = [];
  const live = new Engine(model, {
    ...options,
    onToken: (r) => {
      seen.push(r);
      if (r === 1) live.cancel(1);
    },
  }).open();
  for (const i of [0, 1, 2]) live.add(request(i, { maxTokens: 4 }));
  const ended: number[] = [];
  while (!live.idle) for (const { request: r } of live.step()) ended.push(r);
  live.close();
  expect(ended.sort()).toEqual([0, 2]);
  expect(seen.filter((r) => r === 1)).toHaveLength(1);
});

test("likeliest_tokens_hold_the_sampled_one_and_sum_below_one", () => {
  const sampling = { temperature: 0, topP: 1, minP: 0, topK: 0 };
  const [out] = new Engine(model, options).generate([request(2, { sampling, topLogprobs: 5 })])[0]!;
  out!.ids.forEach((id, t) => {
    const top = out!.top![t]!;
    expect(top).toHaveLength(5);
    expect(top[0]!.id).toBe(id);
    expect(top[0]!.logp).toBeCloseTo(out!.logp[t]!, 5);
    expect(top.reduce((a, x) => a + Math.exp(x.logp), 0)).toBeLessThan(1);
  });
});

test("scored_prompts_agree_with_what_the_engine_sampled", () => {
  const sampling = { temperature: 1, topP: 1, minP: 0, topK: 0 };
  const requests = [request(1, { sampling }), request(2, { sampling })];
  const outputs = new Engine(model, options).generate(requests);
  const texts = requests.map((r, i) => [...Array.from(r.prompt), ...outputs[i]![0]!.ids]);
  const scored = scorePrompts(model, texts, V);
  scored.forEach(({ logp, top }, i) => {
    expect([logp[0], top[0]]).toEqual([null, null]);
    const from = requests[i]!.prompt.length;
    outputs[i]![0]!.logp.forEach((want, t) => {
      expect(logp[from + t]!).toBeCloseTo(want, 4);
    });
    for (const row of top.slice(1)) {
      expect(row!.reduce((a, x) => a + Math.exp(x.logp), 0)).toBeCloseTo(1, 6);
      expect(row!.map((x) => x.logp)).toEqual(row!.map((x) => x.logp).sort((a, b) => b - a));
    }
  });
});
