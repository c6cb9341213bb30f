// Decoding with a step launched while the one before is read: the same outputs, on a device that records and replays its ops.
import { expect } from "vitest";
import { needs } from "../../core/test/needs.ts";
import { isCpu, openBackend } from "../../kernels/test/backend.ts";
import { Engine, type GenerateRequest, resolveModelConfig, Transformer } from "../src/index.ts";

const V = 61;

function outputs(recordOps: boolean, attention: "nsa" | "full", cancelled: boolean) {
  const device = openBackend({ threads: 1, recordOps });
  const model = new Transformer(
    device,
    resolveModelConfig({
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
      maxSeqLen: 128,
      initStd: 0.2,
    }),
  );
  model.parameters.init(7);
  const engine = new Engine(model, { maxSequences: 6, cacheTokens: 512, prefillTokens: 256 });
  // Twelve requests of two outputs: more than fit, of different lengths, some of which end by a stop id.
  const requests = Array.from({ length: 12 }, (_, i): GenerateRequest => {
    const prompt = Array.from({ length: 2 + ((i * 5) % 17) }, (_, t) => (t * 7 + i * 13) % V);
    const sampling = { temperature: 0.8, topP: i % 3 ? 1 : 0.9, minP: 0, topK: 0 };
    const stopIds = i % 2 ? [3, 11, 19, 27] : [];
    return { prompt, n: 2, maxTokens: 5 + 3 * i, sampling, seed: 5, id: i * 100, stopIds };
  });
  const live = engine.open();
  for (const r of requests) live.add(r);
  const done: Record<string, number[]> = {};
  for (let steps = 0; !live.idle; steps++) {
    if (cancelled && steps === 6) live.cancel(1);
    for (const { request, sample, output } of live.step())
      if (request !== 1 || !cancelled) done[`${request}.${sample}`] = [...output.ids, ...output.logp];
  }
  live.close();
  model.free();
  const { handles } = device.stats();
  device.close();
  return { done, handles, decoded: engine.stats.decodeTokens };
}

for (const attention of ["full", "nsa"] as const) {
  needs(isCpu, "a promise of the CPU backend only")(
    `a_step_launched_ahead_changes_no_output_${attention}`,
    () => {
      for (const cancelled of [false, true]) {
        const [single, ahead] = [outputs(false, attention, cancelled), outputs(true, attention, cancelled)];
        expect(Object.keys(ahead.done)).toHaveLength(cancelled ? 22 : 24);
        expect(ahead.done).toEqual(single.done);
        expect(ahead.handles).toBe(single.handles);
        // Some rows were decoded once more than needed, which shows that steps were launched ahead.
        expect(ahead.decoded).toBeGreaterThan(single.decoded);
      }
    },
  );
}
