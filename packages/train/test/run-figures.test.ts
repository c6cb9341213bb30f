// Figures of the training loop: held-out loss in bits per byte, FLOPs of a rank's own documents, MFU over ranks.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Batch, type BatchSource, openStageContext, type StageEvent, type StepBatch } from "@nsa/core";
import { type Collectives, Device, singleRank } from "@nsa/kernels";
import { trainFlops } from "@nsa/model";
import { afterEach, expect, test } from "vitest";
import { bigramModel } from "../../model/test/bigram-model.ts";
import { crossEntropy, loopSchema, runTraining, Trainer } from "../src/index.ts";

const opened: Device[] = [];
afterEach(() => {
  for (const device of opened.splice(0)) device.close();
});

/** Documents of given ids, each id predicting the next; weights by place. */
function batchOf(documents: number[][], weight: (t: number) => number = () => 1): Batch {
  const lengths = documents.map((d) => d.length - 1);
  const borders = [0];
  for (const n of lengths) borders.push(borders.at(-1)! + n);
  const tokens = documents.flatMap((d) => d.slice(0, -1));
  return {
    tokens: Int32Array.from(tokens),
    targets: Int32Array.from(documents.flatMap((d) => d.slice(1))),
    lossWeight: Float32Array.from(tokens, (_, t) => weight(t)),
    positions: Int32Array.from(lengths.flatMap((n) => Array.from({ length: n }, (_, j) => j))),
    cuSeqlens: Int32Array.from(borders),
    sampleIds: Float64Array.from(documents, (_, i) => i),
  };
}

function sourceOf(step: StepBatch): BatchSource {
  return {
    name: "source",
    prefetch: 0,
    save: () => ({}),
    load: () => {},
    async *[Symbol.asyncIterator]() {
      for (;;) yield step;
    },
  };
}

async function run(options: {
  step: StepBatch;
  validation: Batch[];
  bytesPerToken?: number;
  card?: string;
  collectives?: Collectives;
}): Promise<StageEvent[]> {
  const device = Device.open("cpu", { threads: 1 });
  opened.push(device);
  if (options.card) device.info.name = options.card;
  const trainer = new Trainer(bigramModel(device), 1, { optimizer: { lr: 0 } }, options.collectives);
  const events: StageEvent[] = [];
  const runDir = mkdtempSync(join(tmpdir(), "nsa-figures-"));
  const context = openStageContext({ runDir, onEvent: (event) => void events.push(event) });
  const config = loopSchema.parse({ steps: 1 });
  const { step, validation, bytesPerToken } = options;
  const fixed = { trainer, source: sourceOf(step), loss: crossEntropy, config, sequenceLength: 5 };
  await runTraining({ ...fixed, validation, bytesPerToken }, context);
  await context.close();
  rmSync(runDir, { recursive: true });
  return events;
}

const metricsOf = (events: StageEvent[], type: "step" | "eval") =>
  events.find((e): e is Extract<StageEvent, { type: "step" | "eval" }> => e.type === type)!.metrics as Record<
    string,
    number
  >;

/** Two micro-batches: documents of 4 and 2 positions, and one of 3. */
const step: StepBatch = {
  microBatches: [
    batchOf([
      [0, 1, 2, 0, 0],
      [3, 1, 0],
    ]),
    batchOf([[1, 1, 1, 2]]),
  ],
  weightSum: 9,
};

test("bits_per_byte_are_the_weighted_nats_over_ln_2_and_the_bytes_of_a_token", async () => {
  // Targets of 1, 3 and 4 bits, of which the second counts twice; then one of 2 bits: 13 bits over a weight of 5.
  const validation = [
    batchOf(
      [
        [0, 0, 3],
        [2, 1],
      ],
      (t) => (t === 1 ? 2 : 1),
    ),
    batchOf([[1, 2]]),
  ];
  const metrics = metricsOf(await run({ step, validation, bytesPerToken: 2.5 }), "eval");
  expect(metrics["val/loss"]).toBeCloseTo((13 / 5) * Math.LN2, 5);
  expect(metrics["val/bits_per_byte"]).toBeCloseTo(13 / 5 / 2.5, 5);
  const plain = metricsOf(await run({ step, validation }), "eval");
  expect(Object.keys(plain)).toEqual(["val/loss"]);
});

test("flops_per_second_are_those_of_the_documents_and_mfu_a_share_of_the_card_s_peak", async () => {
  const events = await run({ step, validation: [], card: "NVIDIA A100-SXM4-80GB" });
  const metrics = metricsOf(events, "step");
  const { config } = bigramModel(opened[0]!);
  const of = (n: number) => n * trainFlops(config, n).actual;
  // Whatever the second took, it holds so many FLOPs a token.
  const perToken = (1e12 * metrics["perf/tflops"]!) / metrics["perf/tokens_per_sec"]!;
  expect(perToken).toBeCloseTo((of(4) + of(2) + of(3)) / 9, 6);
  expect(metrics["train/tokens"]).toBe(9);
  // fp32 on an A100 peaks at 19.5 TFLOP/s.
  expect(metrics["perf/mfu"]! / metrics["perf/tflops"]!).toBeCloseTo(1 / 19.5, 9);
  const start = events.find((e) => e.type === "start")!;
  expect(start.info).toMatchObject({
    flops_per_token: trainFlops(config, 5).actual,
    attention_read_share: 1,
  });
  expect(metricsOf(await run({ step, validation: [] }), "step")).not.toHaveProperty("perf/mfu");
});

test("over_ranks_tokens_are_all_ranks_and_mfu_is_a_share_of_all_cards", async () => {
  // The other rank of two finds the same numbers as this one.
  const collectives: Collectives = {
    ...singleRank,
    rank: 1,
    world: 2,
    allReduceNumbers: (values) => values.map((x) => 2 * x),
  };
  // Validation batches go to the ranks in turn: this rank has the second, a target of 2 bits.
  const validation = [batchOf([[2, 0]]), batchOf([[1, 2]])];
  const events = await run({ step, validation, card: "NVIDIA A100-SXM4-80GB", collectives });
  const metrics = metricsOf(events, "step");
  // This rank has the second micro-batch of 3 tokens.
  expect(metrics["train/tokens"]).toBe(6);
  const { config } = bigramModel(opened[0]!);
  const perToken = (1e12 * metrics["perf/tflops"]!) / metrics["perf/tokens_per_sec"]!;
  expect(perToken).toBeCloseTo(trainFlops(config, 3).actual, 6);
  expect(metrics["perf/mfu"]! / metrics["perf/tflops"]!).toBeCloseTo(1 / (2 * 19.5), 9);
  // (1 + 1 + 2 bits: 1→1, 1→1, 1→2) over the weight of the whole step, from both ranks.
  expect(metrics["train/loss"]).toBeCloseTo((2 * 4 * Math.LN2) / 9, 5);
  expect(metricsOf(events, "eval")["val/loss"]).toBeCloseTo(2 * Math.LN2, 5);
  expect(singleRank.allReduceNumbers([3, 4])).toEqual([3, 4]);
});

test("a_run_that_cannot_learn_by_its_rate_is_warned_of_before_its_first_step", async () => {
  const step = { microBatches: [batchOf([[1, 2]])], weightSum: 1 };
  const events = await run({ step, validation: [] });
  const warnings = events.flatMap((e) => (e.type === "log" && e.level === "warn" ? [e.text] : []));
  expect(warnings).toEqual(["train.optimizer.lr is 0: no weight will change"]);
  expect(events.findIndex((e) => e.type === "log")).toBeLessThan(events.findIndex((e) => e.type === "step"));
});
