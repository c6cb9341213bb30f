// The largest model that fits: the search, the shapes that it goes through, and what it says.
import type { Resize } from "@nsa/core";
import { familyMember, resolveModelConfig } from "@nsa/model";
import { expect, test } from "vitest";
import { describeLargest, largestModel, memoryOf } from "../src/commands/largest-model.ts";

const model = resolveModelConfig({
  vocabSize: 100,
  dModel: 64,
  numLayers: 6,
  numHeads: 8,
  numKvHeads: 2,
  headDim: 16,
  dFf: 200,
  attentionLayers: ["full", "full", "full", "nsa", "nsa", "window"],
});

/** A stage whose model takes `unit` bytes for the square of its heads, a half of it for weights and a sixth for the cache. */
const stage = (first = model, unit = 1) => ({
  estimate: (_config: unknown, _device?: string, resize: Resize = (m) => m) => {
    const { numHeads } = resize(first);
    const bytes = unit * numHeads ** 2;
    return {
      parameters: 10 * numHeads,
      memory_parameters_bytes: bytes / 2,
      memory_activations_bytes: bytes / 3,
      memory_cache_bytes: bytes / 6,
      memory_bytes: bytes,
    };
  },
});

test("members_of_a_family_keep_head_dim_groups_and_the_order_of_layer_kinds", () => {
  // Three KV heads for two: half as large again.
  expect(familyMember(model, 3)).toMatchObject({
    numHeads: 12,
    numKvHeads: 3,
    dModel: 96,
    dFf: 304,
    numLayers: 9,
    headDim: 16,
    vocabSize: 100,
  });
  const kinds = familyMember(model, 3).attentionLayers!;
  expect(kinds.join()).toBe("full,full,full,full,full,nsa,nsa,nsa,window");
  expect(familyMember(model, 1)).toMatchObject({ numHeads: 4, numLayers: 3, dModel: 32, dFf: 104 });
  // With one KV head, query heads are counted.
  const single = { ...model, numKvHeads: 1, attentionLayers: undefined };
  expect(familyMember(single, 3)).toMatchObject({ numHeads: 3, numKvHeads: 1, dModel: 24, numLayers: 2 });
  expect(familyMember(model, 2)).toEqual(model);
});

test("the_largest_model_fills_at_most_95_percent_and_the_next_one_more", () => {
  // 95 % of 4000 are 3800: 60² = 3600 fit, 64² = 4096 do not.
  const found = largestModel(stage(), {}, "cpu", 4000)!;
  expect([found.fits!.model.numHeads, found.next!.model.numHeads]).toEqual([60, 64]);
  // 2⁻⁹ GiB a squared head: 40² are 3.125 GiB and 44² 3.78; 95 % of 3.5 GiB lie between.
  const large = largestModel(stage(model, 2 ** 21), {}, "cpu", 3.5 * 2 ** 30)!;
  expect(describeLargest(large, String)).toBe(
    "400 parameters (30 layers of width 320 with 40 heads) take 3.1 GiB of 3.5 GiB; the next size, " +
      "440 parameters (33 layers of width 352 with 44 heads) need 3.8 GiB: " +
      "weights, gradients and moments 1.9 GiB, activations 1.3 GiB, KV cache 0.6 GiB",
  );
  // The border itself fits: 38² = 1444 = 0.95 · 1520, with one KV head.
  const single = { ...model, numKvHeads: 1, attentionLayers: undefined };
  expect(largestModel(stage(single), {}, "cpu", 1520)!.fits!.model.numHeads).toBe(38);
  const none = largestModel(stage(), {}, "cpu", 16)!;
  expect(none.fits).toBeUndefined();
  expect(describeLargest(none, String)).toMatch(/^none of this shape fits/);
  expect(largestModel({ estimate: () => ({ answers: 3 }) }, {}, "cpu", 1e9)).toBeUndefined();
});

test("a_recipes_own_limit_counts_where_it_is_smaller_than_the_machine", () => {
  expect(memoryOf("cpu", 64)).toBe(64 * 2 ** 20);
  expect(memoryOf("cpu")).toBeGreaterThan(64 * 2 ** 20);
  expect(memoryOf("cpu", 1e9)).toBe(memoryOf("cpu"));
});

test("the_largest_model_of_several_ranks_is_the_one_whose_fullest_rank_fits", () => {
  // 95 % of 4000 are 3800. The fullest of four ranks has 2n less than n²: 62² − 2·62 = 3720 and 63² − 2·63 = 3843; alone 61² = 3721 and 62² = 3844.
  const shared = {
    estimate: (_config: unknown, _device?: string, resize: Resize = (m) => m, world = 1) => {
      const { numHeads } = resize({ ...model, numKvHeads: 1, attentionLayers: undefined });
      return { parameters: numHeads, memory_bytes: numHeads ** 2 - (world === 4 ? 2 * numHeads : 0) };
    },
  };
  expect(largestModel(shared, {}, "cpu", 4000, 4)!.fits!.model.numHeads).toBe(62);
  expect(largestModel(shared, {}, "cpu", 4000)!.fits!.model.numHeads).toBe(61);
});
