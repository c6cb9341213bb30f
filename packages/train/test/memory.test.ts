// What `--dry-run` says a recipe's training takes, against the arena's peak over real steps of it on the CPU.
import { fileURLToPath } from "node:url";
import { loadConfig } from "@nsa/core";
import { openDevice } from "@nsa/kernels";
import { Transformer } from "@nsa/model";
import { expect, test } from "vitest";
import { estimatePretrain, pretrainModelConfig, pretrainSchema } from "../src/index.ts";
import { crossEntropy } from "../src/loss.ts";
import { Trainer } from "../src/trainer.ts";

const configs = fileURLToPath(new URL("../../../configs/pretrain/", import.meta.url));

/** A full micro-batch of documents of the recipe's length. */
function fullBatch(vocab: number, tokens: number, seqLen: number) {
  const starts = Array.from({ length: Math.ceil(tokens / seqLen) }, (_, i) => i * seqLen);
  return {
    tokens: Int32Array.from({ length: tokens }, (_, t) => (t * 31) % vocab),
    targets: Int32Array.from({ length: tokens }, (_, t) => (t * 37) % vocab),
    lossWeight: new Float32Array(tokens).fill(1),
    positions: Int32Array.from({ length: tokens }, (_, t) => t % seqLen),
    cuSeqlens: Int32Array.of(...starts, tokens),
    sampleIds: new Float64Array(starts.length),
  };
}

test.each([
  ["quickstart", []],
  ["quickstart", ["train.recompute=true"]],
  ["quickstart", ["train.micro_batches=2", "model.num_layers=2"]],
  ["sums-base", []],
  ["r1-zero-base", []],
  ["crawl-base", []],
  ["books-nsa", ["train.micro_batches=1"]],
  ["books-full", ["train.micro_batches=1"]],
  ["books-window", ["train.micro_batches=1", "train.recompute=true"]],
])("the_dry_run_of_%s_%j_is_within_ten_percent_of_the_peak", (name, set) => {
  const { config } = loadConfig(pretrainSchema, `${configs}${name}.yaml`, { set });
  const { microBatchTokens, microBatches, seqLen, optimizer, recompute, logitsBudgetMb } = config.train;
  const device = openDevice("cpu", { threads: 2 });
  try {
    const model = new Transformer(device, pretrainModelConfig(config));
    const trainer = new Trainer(model, 2, { optimizer, recompute, logitsBudgetMb });
    model.parameters.init(1);
    const batch = fullBatch(model.config.vocabSize, microBatchTokens, seqLen);
    const weightSum = microBatches * microBatchTokens;
    trainer.step({ microBatches: Array(microBatches).fill(batch), weightSum }, crossEntropy);
    const ratio = estimatePretrain(config).memory_bytes! / device.stats().peakBytes;
    expect(ratio).toBeGreaterThan(0.9);
    expect(ratio).toBeLessThan(1.1);
  } finally {
    device.close();
  }
});
