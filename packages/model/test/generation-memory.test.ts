// The estimate of what generating takes, against the peak that it reached.
import { afterAll, expect, test } from "vitest";
import { isCpu, openBackend } from "../../kernels/test/backend.ts";
import { Engine, generationBytes, resolveModelConfig, Transformer } from "../src/index.ts";

const device = openBackend({ threads: 2 });
afterAll(() => device.close());

const V = 300;
const sampling = { temperature: 1, topP: 1, minP: 0, topK: 0 };

/** Bytes at the peak beyond those in use before, beside the estimate. */
function measured(
  attention: "nsa" | "full",
  { prompts, prompt, n, maxTokens }: { prompts: number; prompt: number; n: number; maxTokens: number },
) {
  const config = resolveModelConfig({
    ...{ vocabSize: V, dModel: 96, numLayers: 2, numHeads: 4, numKvHeads: 2, dFf: 256, attention },
    ...{
      blockSize: 8,
      stride: 4,
      selectionBlockSize: 8,
      numSelectedBlocks: 4,
      windowSize: 16,
      maxSeqLen: 256,
    },
  });
  const model = new Transformer(device, config);
  model.parameters.init(7);
  model.rope(config.maxSeqLen);
  const before = device.stats(true).liveBytes;
  const engine = { maxSequences: 512, cacheTokens: 65_536, prefillTokens: 2048 };
  new Engine(model, engine).generate(
    Array.from({ length: prompts }, (_, i) => ({
      ...{ prompt: Array.from({ length: prompt }, (_, t) => (t * 7 + i) % V), n, maxTokens, sampling },
      ...{ seed: 5, id: i * n, stopIds: [] },
    })),
  );
  const peak = device.stats().peakBytes - before;
  const size = { calls: [{ prompts, n }], prompt, length: prompt + maxTokens };
  const kind = isCpu ? "cpu" : "cuda";
  return { peak, ...generationBytes(config, { ...size, ...engine, device: kind }), config };
}

test("pages_of_the_cache_by_hand", () => {
  const { cache } = measured("full", { prompts: 3, prompt: 13, n: 2, maxTokens: 20 });
  // 6 outputs of 33 positions take 3 pages of 16 each; 2 layers of 2 heads with 24 numbers of keys and of values, in fp32.
  expect(cache).toBe(6 * 48 * (2 * 2 * (24 + 24)) * 4);
});

test.each([
  ["full", { prompts: 16, prompt: 9, n: 16, maxTokens: 40 }],
  ["full", { prompts: 40, prompt: 70, n: 1, maxTokens: 3 }],
  ["nsa", { prompts: 16, prompt: 9, n: 16, maxTokens: 40 }],
  ["nsa", { prompts: 24, prompt: 90, n: 2, maxTokens: 8 }],
] as const)("the_estimate_is_the_peak_or_at_most_a_fifth_more_%s_%o", (attention, size) => {
  const { peak, total } = measured(attention, size);
  expect(peak / total).toBeGreaterThan(0.8);
  expect(peak / total).toBeLessThan(1);
});
