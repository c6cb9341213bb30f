// Generation against the trainer's forward: equal log-probabilities, independence of the batch, shared prefills.
import { lmHead, Tape } from "@nsa/kernels";
import { afterAll, expect, test } from "vitest";
import { needs } from "../../core/test/needs.ts";
import { isCpu, openBackend } from "../../kernels/test/backend.ts";
import { Engine, type GenerateRequest, resolveModelConfig, Transformer } from "../src/index.ts";

const device = openBackend({ threads: 2 });
afterAll(() => device.close());

const V = 61;
function build(attention: "nsa" | "full" | "window"): Transformer {
  const config = resolveModelConfig({
    vocabSize: V,
    dModel: 32,
    numLayers: 2,
    numHeads: 4,
    numKvHeads: 2,
    dFf: 48,
    attention,
    blockSize: 8,
    stride: 4,
    selectionBlockSize: 8,
    numSelectedBlocks: 4,
    windowSize: 12,
    maxSeqLen: 160,
    initStd: 0.2,
  });
  const model = new Transformer(device, config);
  model.parameters.init(7);
  return model;
}

const sampling = { temperature: 0.7, topP: 0.9, minP: 0, topK: 0 };
const request = (i: number, over: Partial<GenerateRequest> = {}): GenerateRequest => ({
  prompt: Array.from({ length: 3 + i * 9 }, (_, t) => (t * 7 + i * 13) % V),
  n: 1,
  maxTokens: 30,
  sampling,
  seed: 5,
  id: i * 100,
  stopIds: [3],
  ...over,
});
const options = { maxSequences: 8, cacheTokens: 4096, prefillTokens: 512 };

for (const attention of ["nsa", "full", "window"] as const) {
  test(`sampler_and_trainer_log_probabilities_agree_${attention}`, () => {
    const model = build(attention);
    const r = request(3, { maxTokens: 60, stopIds: [] });
    const [out] = new Engine(model, options).generate([r])[0]!;
    expect(out!.ids).toHaveLength(60);
    using _scope = device.scope();
    const all = [...Array.from(r.prompt), ...out!.ids];
    const tokens = Int32Array.from(all.slice(0, -1));
    const batch = model.upload({ tokens, cuSeqlens: Int32Array.of(0, tokens.length) });
    const tape = new Tape(false);
    const hidden = model.forward(tape, batch);
    const targets = device.from(Int32Array.from(all.slice(1)), [tokens.length], "i32");
    const { logp } = lmHead(tape, hidden, model.headWeight, targets, { temperature: 0.7 });
    const want = logp.read().slice(r.prompt.length - 1);
    for (let t = 0; t < 60; t++) expect(Math.abs(want[t]! - out!.logp[t]!)).toBeLessThan(1e-4);
    expect(out!.keptLogmass.every((k) => k <= 1e-6 && k > Math.log(0.85))).toBe(true);
    model.free();
  });

  // Independence of the batch is the CPU's promise.
  needs(isCpu, "a promise of the CPU backend only")(`the_batch_does_not_change_a_sample_${attention}`, () => {
    const model = build(attention);
    const requests = [0, 1, 2, 3, 4].map((i) => request(i));
    const together = new Engine(model, options).generate(requests);
    const few = new Engine(model, { ...options, maxSequences: 2, cacheTokens: 200 }).generate(requests);
    requests.forEach((r, i) => {
      const alone = new Engine(model, options).generate([r])[0];
      expect(together[i]).toEqual(alone);
      expect(few[i]).toEqual(alone);
    });
    model.free();
  });

  // Independence of the batch is the CPU's promise.
  needs(isCpu, "a promise of the CPU backend only")(
    `samples_that_share_a_prefill_equal_samples_that_do_not_${attention}`,
    () => {
      const model = build(attention);
      for (const i of [0, 1, 2, 5]) {
        const engine = new Engine(model, options);
        const shared = engine.generate([request(i, { n: 4 })])[0]!;
        expect(engine.stats.prefillTokens).toBe(3 + i * 9);
        const apart = [0, 1, 2, 3].map((s) => {
          return new Engine(model, options).generate([request(i, { id: i * 100 + s })])[0]![0];
        });
        expect(shared).toEqual(apart);
      }
      model.free();
    },
  );
}

test("stop_ids_stop_strings_and_lengths_end_outputs", () => {
  const model = build("full");
  const decode = (ids: readonly number[]) => ids.map((i) => String.fromCharCode(65 + i)).join("");
  const engine = new Engine(model, { ...options, decode });
  const [free] = engine.generate([request(1, { stopIds: [], maxTokens: 12 })])[0]!;
  expect(free!.finish).toBe("length");
  const stop = decode(free!.ids.slice(4, 6));
  const [cut] = engine.generate([request(1, { stopIds: [], stopStrings: [stop], maxTokens: 12 })])[0]!;
  expect(cut!.finish).toBe("stop");
  expect(cut!.ids).toEqual(free!.ids.slice(0, cut!.ids.length));
  expect(decode(cut!.ids).endsWith(stop)).toBe(true);
  const [byId] = engine.generate([request(1, { stopIds: [free!.ids[2]!], maxTokens: 12 })])[0]!;
  expect(byId!.ids.at(-1)).toBe(free!.ids[2]);
  expect(byId!.finish).toBe("stop");
  model.free();
});

test("prompts_that_do_not_fit_are_refused", () => {
  const model = build("full");
  const engine = new Engine(model, options);
  expect(() => engine.generate([request(0, { prompt: [] })])).toThrowError(/nothing to continue/);
  expect(() => engine.generate([request(0, { prompt: Array(160).fill(1) })])).toThrowError(/context is 160/);
  model.free();
});

test("generation_leaves_no_memory_behind", () => {
  const model = build("nsa");
  new Engine(model, options).generate([request(2)]);
  const before = device.stats();
  new Engine(model, options).generate([request(1, { n: 3 }), request(4)]);
  expect(device.stats().liveBytes).toBe(before.liveBytes);
  model.free();
});

test("outputs_of_a_profiled_device_equal_those_of_captured_steps", () => {
  const own = openBackend({ threads: 1, recordOps: true });
  const model = new Transformer(own, build("full").config);
  model.parameters.init(7);
  const asked = [request(2, { n: 3 })];
  const captured = new Engine(model, options).generate(asked);
  const engine = new Engine(model, options);
  const stop = own.profile();
  const profiled = engine.generate(asked);
  const ops = stop();
  expect(profiled).toEqual(captured);
  // Ops inside a captured step are not seen: all steps and the prefill's draw are, so none was captured.
  expect(ops.find(({ op }) => op === "sample")!.calls).toBe(engine.stats.steps + 1);
  model.free();
  own.close();
});
