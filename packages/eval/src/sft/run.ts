// `nsa sft`: a checkpoint learns to answer in the formats of the examples.
import { join } from "node:path";
import { type BatchSource, NsaError, Rng, type StageRunner } from "@nsa/core";
import { expandInputs, PackSource, planPacks, positionsOf, Tokenizer } from "@nsa/data";
import {
  crossEntropy,
  estimateTraining,
  loadModel,
  openDevice,
  readModelConfig,
  runTraining,
  Trainer,
} from "@nsa/model";
import { fillTemplate, readRecords } from "../records.ts";
import { writeSamples } from "../samples.ts";
import type { SftConfig } from "./config.ts";
import { type Example, ExampleSource, packExamples } from "./source.ts";

const SPLIT_STREAM = 14;

function readExamples(config: SftConfig, tokenizer: Tokenizer, log: (text: string) => void): Example[] {
  const examples: Example[] = [];
  let long = 0;
  for (const source of config.data.sources) {
    const limit = examples.length + (source.maxExamples ?? Number.POSITIVE_INFINITY);
    for (const path of expandInputs(source.files)) {
      for (const { record, place } of readRecords(path)) {
        if (examples.length >= limit) break;
        const prompt = fillTemplate(source.prompt, record, place);
        const head = tokenizer.encode(prompt);
        const tail = tokenizer.encode(fillTemplate(source.completion, record, place));
        const ids = Int32Array.from([...head, ...tail, tokenizer.eosId]);
        const fits = ids.length - 1 <= config.train.seqLen;
        if (!fits) long++;
        else examples.push({ ids, promptLength: head.length, format: source.format, prompt });
      }
    }
  }
  if (long > 0) log(`${long} examples longer than train.seq_len were left out`);
  if (examples.length >= 2) return examples;
  throw new NsaError({
    code: "corpus_empty",
    what: `there are ${examples.length} usable examples`,
    why: "training and validation need at least two",
    fix: "name files with examples, or raise train.seq_len",
    exitCode: 3,
  });
}

/** What a run will cost at most (micro-batches filled to the brim), with the architecture of `init_from`. */
export function estimateSft(config: SftConfig): Record<string, number> {
  return estimateTraining(readModelConfig(config.initFrom), config.train);
}

/** Steps over the examples, packed as the recipe says. */
function sourceOf(examples: Example[], { train, seed }: SftConfig, log: (text: string) => void): BatchSource {
  const { packing, microBatchTokens, microBatches } = train;
  if (packing === "random") return new ExampleSource(examples, { microBatchTokens, microBatches, seed });
  const lengths = examples.map(positionsOf);
  const capacity = lengths.reduce((a, b) => Math.max(a, b), microBatchTokens);
  const plan = planPacks(lengths, { method: packing, capacity, seed });
  log(`${plan.starts.length - 1} packs of ${capacity} tokens, ${(plan.fill * 100).toFixed(2)} % filled`);
  return new PackSource(plan, examples, { microBatches, seed });
}

/** Runs the stage; resumes exactly when the context names a checkpoint. */
export const runSft: StageRunner<SftConfig> = async (config, context) => {
  const log = (text: string) => context.log(text);
  const tokenizer = Tokenizer.load(join(config.initFrom, "tokenizer.json"));
  const tokenizerJson = JSON.stringify(tokenizer.json);
  const all = readExamples(config, tokenizer, log);
  const order = new Rng(config.seed, SPLIT_STREAM).permutation(all.length);
  const { validationShare, validationExamples } = config.data;
  const held = validationShare > 0 ? Math.max(1, Math.floor(all.length * validationShare)) : 0;
  const validation = Array.from(order.subarray(0, Math.min(held, validationExamples)), (i) => all[i]!);
  const examples = Array.from(order.subarray(held), (i) => all[i]!);
  log(`${examples.length} examples, ${held} held out`);

  const device = openDevice(context.device, { threads: config.threads, log });
  try {
    const model = loadModel(device, config.initFrom);
    if (tokenizer.vocabSize > model.config.vocabSize) {
      throw new NsaError({
        code: "tokenizer_mismatch",
        what: `the tokenizer has ${tokenizer.vocabSize} ids, the model ${model.config.vocabSize} rows`,
        why: "they do not belong together",
        fix: "use the tokenizer.json that the checkpoint was trained with",
        exitCode: 3,
      });
    }
    const { optimizer, schedule, recompute, logitsBudgetMb, skipZScore } = config.train;
    const trained = { optimizer, schedule, recompute, logitsBudgetMb, skipZScore };
    const trainer = new Trainer(model, config.train.steps, trained);
    const formats = [...new Set(validation.map((e) => e.format))];
    return await runTraining(
      {
        trainer,
        source: sourceOf(examples, config, log),
        loss: crossEntropy,
        config: config.train,
        validation: validation.map((_, i) => packExamples(validation, [i])),
        files: { "tokenizer.json": tokenizerJson },
        sequenceLength: examples.reduce((n, e) => n + e.ids.length, 0) / examples.length,
        onEval: (step) => {
          for (const format of formats) {
            const own = validation.filter((e) => e.format === format);
            const { loss } = trainer.evaluate(own.map((_, i) => packExamples(own, [i])));
            context.emit({ type: "eval", step, metrics: { [`val/loss_${format}`]: loss } });
          }
          const prompts = validation.slice(0, config.sample.prompts).map((e) => e.prompt);
          const { maxTokens } = config.sample;
          writeSamples(
            model,
            tokenizer,
            { prompts, maxTokens, temperature: 0, seed: config.seed },
            context,
            step,
          );
        },
      },
      context,
    );
  } finally {
    device.close();
  }
};
