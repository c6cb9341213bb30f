// What generation reports and where it stops, under a model whose probabilities are a table.
import { Device } from "@nsa/kernels";
import { afterAll, expect, test } from "vitest";
import {
  Engine,
  type GenerateRequest,
  logprobs,
  plainSampling,
  resolveModelConfig,
  Transformer,
} from "../src/index.ts";
import { bigramModel, bigrams } from "./bigram-model.ts";

const cpu = Device.open("cpu", { threads: 1 });
afterAll(() => cpu.close());

const letters = "abcd";
const options = { maxSequences: 4, cacheTokens: 1024, prefillTokens: 256 };
const decode = (ids: readonly number[]) => ids.map((i) => letters[i]).join("");
const greedy = { ...plainSampling, temperature: 0 };
const request = (more: Partial<GenerateRequest>): GenerateRequest => ({
  ...{ prompt: [0], n: 1, maxTokens: 9, sampling: greedy, seed: 1, id: 0, stopIds: [] },
  ...more,
});
/** 0 → 1 → 2 → 3 → 0 with probabilities 5/8, 6/8, 7/8 and 4/8. */
const circle = [5, 6, 7, 4].map((p, i) =>
  [0, 1, 2, 3].map((j) => (j === (i + 1) % 4 ? p / 8 : (8 - p) / 24)),
);

test("a_stop_string_of_four_tokens_ends_an_output_at_its_last", () => {
  const engine = new Engine(bigramModel(cpu, circle), { ...options, decode });
  const outputs = (stopStrings: string[], stopIds: number[] = []) => {
    const [sample] = engine.generate([request({ stopStrings, stopIds })])[0]!;
    return [decode(sample!.ids), sample!.finish];
  };
  expect(outputs([])).toEqual(["bcdabcdab", "length"]);
  expect(outputs(["dabc"])).toEqual(["bcdabc", "stop"]);
  expect(outputs(["xyz", "cda"])).toEqual(["bcda", "stop"]);
  expect(outputs(["abcdab"])).toEqual(["bcdabcdab", "stop"]);
  // The prompt's a is no part of the output's text.
  expect(outputs(["abcdabcda"])).toEqual(["bcdabcdab", "length"]);
  expect(outputs(["dabc"], [0])).toEqual(["bcda", "stop"]);
});

test("log_probabilities_are_of_the_full_vocabulary_at_the_temperature_and_at_1_when_greedy", () => {
  const engine = new Engine(bigramModel(cpu, circle), options);
  const [sample] = engine.generate([request({ maxTokens: 4, topLogprobs: 2 })])[0]!;
  expect(sample!.ids).toEqual([1, 2, 3, 0]);
  expect(sample!.logp.map(Math.exp)).toEqual([5, 6, 7, 4].map((p) => expect.closeTo(p / 8, 5)));
  expect(sample!.top![0]!.map((t) => [t.id, Math.exp(t.logp)])).toEqual([
    [1, expect.closeTo(5 / 8, 5)],
    [0, expect.closeTo(1 / 8, 5)],
  ]);
  // At temperature 0.5 probabilities are squared: 25 of 25 + 3·1, 1 of 28.
  const sampling = { ...plainSampling, temperature: 0.5 };
  for (const { ids, logp } of engine.generate([request({ sampling, n: 4, maxTokens: 1 })])[0]!)
    expect(Math.exp(logp[0]!)).toBeCloseTo(ids[0] === 1 ? 25 / 28 : 1 / 28, 5);
});

test("kept_mass_is_what_the_filters_leave", () => {
  // After 0: 1/2, 1/4, 1/8, 1/8.
  const engine = new Engine(bigramModel(cpu, bigrams), options);
  const kept = (more: object) => {
    const sampling = { ...plainSampling, ...more };
    const [sample] = engine.generate([request({ sampling, maxTokens: 1 })])[0]!;
    return Math.exp(sample!.keptLogmass[0]!);
  };
  expect(kept({})).toBeCloseTo(1, 5);
  expect(kept({ topK: 2 })).toBeCloseTo(3 / 4, 5);
  expect(kept({ topP: 0.8 })).toBeCloseTo(7 / 8, 5);
  expect(kept({ topP: 0.7 })).toBeCloseTo(3 / 4, 5);
  // At least 0.3 of the likeliest: 0.15.
  expect(kept({ minP: 0.3 })).toBeCloseTo(3 / 4, 5);
  expect(kept({ minP: 0.6 })).toBeCloseTo(1 / 2, 5);
});

test("samples_follow_the_table_and_their_number", () => {
  const engine = new Engine(bigramModel(cpu, bigrams), options);
  const draw = (seed: number, id: number) =>
    engine
      .generate([request({ sampling: plainSampling, n: 400, maxTokens: 1, seed, id })])[0]!
      .map((s) => s.ids[0]!);
  const first = draw(1, 0);
  for (const [token, p] of [1 / 2, 1 / 4, 1 / 8, 1 / 8].entries()) {
    const share = first.filter((x) => x === token).length / 400;
    expect(Math.abs(share - p), `${token}`).toBeLessThan(4 * Math.sqrt((p * (1 - p)) / 400));
  }
  // Sample i draws by seed and id + i alone.
  expect(draw(1, 100).slice(0, 300)).toEqual(first.slice(100));
  expect(draw(2, 0)).not.toEqual(first);
});

test("compressed_keys_without_rotation_differ_and_decode_as_they_train", () => {
  const sizes = {
    ...{ vocabSize: 11, dModel: 8, numLayers: 2, numHeads: 2, dFf: 12, initStd: 0.8, maxSeqLen: 64 },
    ...{ blockSize: 4, stride: 2, selectionBlockSize: 4, numSelectedBlocks: 3, windowSize: 4 },
  };
  const tokens = Int32Array.from({ length: 24 }, (_, t) => (t * 7 + (t >> 2)) % 11);
  const scores = (["block_start", "none"] as const).map((compressedRope) => {
    const model = new Transformer(cpu, resolveModelConfig({ ...sizes, compressedRope }));
    model.parameters.init(3);
    const engine = new Engine(model, options);
    const prompt = tokens.subarray(0, 20);
    const [sample] = engine.generate([request({ prompt, maxTokens: 12 })])[0]!;
    const all = [...prompt, ...sample!.ids];
    const { logp } = logprobs(model, {
      tokens: Int32Array.from(all.slice(0, -1)),
      targets: Int32Array.from(all.slice(1)),
      cuSeqlens: Int32Array.of(0, all.length - 1),
    });
    for (const [i, x] of sample!.logp.entries()) expect(x, `${i}`).toBeCloseTo(logp[19 + i]!, 4);
    return [...logp.subarray(0, 19)];
  });
  const gap = Math.max(...scores[0]!.map((x, t) => Math.abs(x - scores[1]![t]!)));
  expect(gap).toBeGreaterThan(1e-3);
  // Before a first block has ended, after 4 tokens, they are the same.
  expect(scores[0]!.slice(0, 3)).toEqual(scores[1]!.slice(0, 3));
});
