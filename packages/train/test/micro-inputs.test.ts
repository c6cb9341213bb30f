// What a micro-batch puts on the device, written out: rows of the head, documents, compressed blocks, and padding.
import type { Batch } from "@nsa/core";
import { Device } from "@nsa/kernels";
import { resolveModelConfig } from "@nsa/model";
import { afterAll, expect, test } from "vitest";
import { headLayout } from "../../model/src/heads/apply.ts";
import { bigramModel } from "../../model/test/bigram-model.ts";
import { crossEntropy, Trainer } from "../src/index.ts";
import { bucketOf, layoutMicro } from "../src/micro-inputs.ts";

const device = Device.open("cpu", { threads: 1, recordOps: true });
afterAll(() => device.close());

const batch: Batch = {
  tokens: Int32Array.of(10, 11, 12, 13, 14, 20, 21, 22),
  targets: Int32Array.of(-1, -1, 13, 14, 15, -1, 22, 23),
  lossWeight: Float32Array.of(0, 0, 1, 0.5, 2, 0, 3, 4),
  positions: Int32Array.of(0, 1, 2, 3, 4, 0, 1, 2),
  cuSeqlens: Int32Array.of(0, 5, 8),
  sampleIds: Float64Array.of(0, 1),
  columns: { advantage: Float32Array.of(0, 0, 1, 2, 3, 0, 4, 5) },
};
const nsa = resolveModelConfig({ dModel: 8, numHeads: 2, blockSize: 4, stride: 2, selectionBlockSize: 4 });

test("the_head_runs_on_rows_with_a_target", () => {
  expect(headLayout(batch.targets)).toEqual({
    rows: Int32Array.of(2, 3, 4, 6, 7),
    targets: Int32Array.of(13, 14, 15, 22, 23),
  });
  const padded = {
    rows: Int32Array.of(2, 3, 4, 6, 7, -1, -1),
    targets: Int32Array.of(13, 14, 15, 22, 23, -1, -1),
  };
  expect(headLayout(batch.targets, { rows: 7 })).toEqual(padded);
  const all = Int32Array.of(4, 5, 6);
  expect(headLayout(all)).toEqual({ rows: undefined, targets: all });
});

test("a_layout_is_the_batch_with_the_grid_of_each_document", () => {
  const layout = layoutMicro(batch, 10.5, nsa);
  expect(layout).toMatchObject({
    tokens: batch.tokens,
    rows: Int32Array.of(2, 3, 4, 6, 7),
    weight: batch.lossWeight,
    columns: batch.columns,
    inverseWeightSum: 1 / 10.5,
  });
  // Of 5 tokens one block of 4 is whole; the document of 3 has none.
  expect(layout.docs).toEqual({
    longest: 5,
    cuSeqlens: batch.cuSeqlens,
    positions: batch.positions,
    compressed: {
      blockSize: 4,
      stride: 2,
      columns: {
        cuBlocks: Int32Array.of(0, 1, 1),
        blockStart: Int32Array.of(0),
        positions: Int32Array.of(0),
      },
    },
  });
  // Blocks of the second document begin at its own first token: 9 tokens have those at 0, 2 and 4.
  const two = layoutMicro(
    { ...batch, cuSeqlens: Int32Array.of(0, 4, 13), tokens: new Int32Array(13) },
    1,
    nsa,
  );
  expect(two.docs.compressed!.columns).toEqual({
    cuBlocks: Int32Array.of(0, 1, 4),
    blockStart: Int32Array.of(0, 4, 6, 8),
    positions: Int32Array.of(0, 0, 2, 4),
  });
  expect(layoutMicro(batch, 10.5, { ...nsa, attention: "full" }).docs.compressed).toBeUndefined();
});

test("a_bucket_rounds_sizes_up_and_padding_has_no_token_target_or_weight", () => {
  // 70 tokens, the longest document of 40, 66 targets: a grain of 8, powers of two, a grain of 64.
  const T = 70;
  const targets = new Int32Array(T).fill(5).fill(-1, 0, 4);
  const long = { ...batch, tokens: new Int32Array(T).fill(7), targets, cuSeqlens: Int32Array.of(0, 40, 70) };
  const bucket = bucketOf(long);
  expect(bucket).toEqual({ tokens: 72, rows: 72, documents: 8, longest: 64 });
  const some = bucketOf({ ...long, targets: targets.slice().fill(-1, 0, 10) });
  expect(some.rows).toBe(64);
  const whole = { ...long, tokens: new Int32Array(72), targets: new Int32Array(72) };
  expect(bucketOf(whole).rows).toBeUndefined();
  const layout = layoutMicro(
    { ...long, lossWeight: new Float32Array(T).fill(1), columns: { a: new Float32Array(T).fill(3) } },
    1,
    { ...nsa, attention: "full" },
    bucket,
  );
  expect([...layout.tokens.subarray(68)]).toEqual([7, 7, -1, -1]);
  expect([...layout.weight.subarray(68)]).toEqual([1, 1, 0, 0]);
  expect([...layout.columns.a!.subarray(68)]).toEqual([3, 3, 0, 0]);
  // The padding is a document of its own, then empty ones up to the bucket's count.
  expect([...layout.docs.cuSeqlens]).toEqual([0, 40, 70, 72, 72, 72, 72, 72, 72]);
  expect([...layout.docs.positions.subarray(38, 42)]).toEqual([38, 39, 0, 1]);
});

test("a_bucket_of_many_tokens_is_padded_by_a_thirty_second_at_most_and_its_head_by_an_eighth", () => {
  const bucket = (T: number, targets: number) => {
    const some = new Int32Array(T).fill(-1).fill(0, 0, targets);
    const { tokens, rows } = bucketOf({
      tokens: new Int32Array(T),
      targets: some,
      cuSeqlens: Int32Array.of(0, T),
    });
    return [tokens, rows];
  };
  // Multiples of 16 below 1024 and of 32 from there on; of 64 and of 128.
  expect(bucket(1000, 900)).toEqual([1008, 960]);
  expect(bucket(1023, 1000)).toEqual([1024, 1024]);
  expect(bucket(1024, 1023)).toEqual([1024, 1024]);
  expect(bucket(1024, 1024)).toEqual([1024, undefined]);
  expect(bucket(1025, 960)).toEqual([1056, 960]);
  expect(bucket(2000, 1100)).toEqual([2016, 1152]);
});

test("a_captured_step_is_that_of_its_temperature", () => {
  const trainer = new Trainer(bigramModel(device), 9, { optimizer: { lr: 0 } });
  const one: Batch = {
    ...{ tokens: Int32Array.of(0), targets: Int32Array.of(1), lossWeight: Float32Array.of(1) },
    ...{ positions: Int32Array.of(0), cuSeqlens: Int32Array.of(0, 1), sampleIds: Float64Array.of(0) },
  };
  const loss = (temperature: number, weightSum = 1) =>
    trainer.step({ microBatches: [one], weightSum }, crossEntropy, { temperature })["train/loss"];
  // p(1 | 0) is 1/4, and 2/11 at temperature 0.5, where the row 1/2 1/4 1/8 1/8 is squared.
  const [plain, sharp] = [expect.closeTo(Math.log(4), 5), expect.closeTo(Math.log(11 / 2), 5)];
  expect([loss(1), loss(1), loss(1), loss(0.5), loss(0.5), loss(0.5), loss(1)]).toEqual([
    plain,
    plain,
    plain,
    sharp,
    sharp,
    sharp,
    plain,
  ]);
  expect(trainer.microSteps.captured).toBe(2);
  // Nor is the sum of weights part of what was recorded.
  expect(loss(1, 4)).toBeCloseTo(Math.log(4) / 4, 5);
});
