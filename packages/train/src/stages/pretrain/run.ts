// `nsa pretrain`: texts → tokenizer → packed steps → a trained transformer with its checkpoints.
import { existsSync } from "node:fs";
import { join } from "node:path";
import {
  atomicWriteFile,
  type Batch,
  counted,
  NsaError,
  type PackItem,
  packBatch,
  type Resize,
  type StageContext,
  type StageResult,
  type StageRunner,
  sameSize,
} from "@nsa/core";
import { PrefetchedSource, tokenizerFiles } from "@nsa/data";
import { type Device, openPlans } from "@nsa/kernels";
import { loadCheckpoint, type ModelConfig, resolveModelConfig, Transformer } from "@nsa/model";
import { estimateTraining } from "../../estimate.ts";
import { runTraining } from "../../loop.ts";
import { crossEntropy } from "../../loss.ts";
import { collectivesOf, openStageDevice } from "../../rank-device.ts";
import { Trainer } from "../../trainer.ts";
import { writeSamples } from "../samples.ts";
import type { PretrainConfig } from "./config.ts";
import { type Corpus, loadCorpus } from "./corpus.ts";
import { openMix } from "./mix.ts";
import { openShards } from "./shards.ts";

/** The architecture by the recipe alone; a tokenizer made before may have another size than `data.vocab_size`. */
export function pretrainModelConfig({ model, data, train }: PretrainConfig): ModelConfig {
  const vocabSize = model.vocabSize || data.vocabSize;
  return resolveModelConfig({ ...model, vocabSize, maxSeqLen: Math.max(model.maxSeqLen, train.seqLen) });
}

/** What a run will cost, from the recipe alone. */
export function estimatePretrain(
  config: PretrainConfig,
  device?: string,
  resize: Resize = sameSize,
  world = 1,
): Record<string, number> {
  return estimateTraining(resize(pretrainModelConfig(config)), { ...config.train, device, world });
}

/** Whole documents cut to `seqLen`, one micro-batch after another. */
function validationBatches(documents: readonly Int32Array[], config: PretrainConfig): Batch[] {
  const { seqLen, microBatchTokens } = config.train;
  const batches: PackItem[][] = [];
  let room = 0;
  for (const ids of documents) {
    for (let from = 0; from + 1 < ids.length; from += seqLen) {
      const length = Math.min(seqLen, ids.length - 1 - from);
      if (length > room || batches.length === 0) {
        batches.push([]);
        room = microBatchTokens;
      }
      batches.at(-1)!.push({ ids, from, length });
      room -= length;
    }
  }
  return batches.map(packBatch);
}

/** UTF-8 bytes per target over the validation documents: the first token of each is read and never predicted. 0 where there are none. */
export function bytesPerTarget({
  validation,
  validationBytes,
}: Pick<Corpus, "validation" | "validationBytes">) {
  const targets = validation.reduce((n, ids) => n + ids.length - 1, 0);
  return targets > 0 ? validationBytes / targets : 0;
}

function fittingVocabulary(config: PretrainConfig, corpus: Corpus): number {
  const wanted = config.model.vocabSize;
  const has = corpus.tokenizer.vocabSize;
  if (wanted === 0) return has;
  if (wanted >= has) return wanted;
  throw new NsaError({
    code: "tokenizer_mismatch",
    what: `model.vocab_size is ${wanted}, the tokenizer has ${has} ids`,
    why: "ids above the embedding have no row",
    fix: "leave model.vocab_size at 0 or raise it",
    exitCode: 2,
  });
}

/** Runs the stage; resumes exactly when the context names a checkpoint. */
export const runPretrain: StageRunner<PretrainConfig> = async (config, context): Promise<StageResult> => {
  // Before the texts are read: a device that is not there should not cost minutes.
  const device = openStageDevice(context, config);
  let corpus: Corpus | undefined;
  let loader: PrefetchedSource | undefined;
  try {
    openPlans(device, context);
    corpus = await openCorpus(config, context);
    const trainer = await openTrainer(device, corpus, config, context);
    loader = packedLoader(corpus, config);
    return await trainOn(corpus, loader, trainer, config, context);
  } finally {
    device.close();
    await loader?.close();
    corpus?.close();
  }
};

/** The documents with their tokenizer: a resumed or continued run's own, where its checkpoint has one. */
async function openCorpus(config: PretrainConfig, context: StageContext): Promise<Corpus> {
  const from = context.resumeFrom ?? config.train.initFrom;
  const tokenizerFrom = from && existsSync(join(from, "tokenizer.json")) ? from : undefined;
  const { shards, mix } = config.data;
  const log = (text: string) => context.log(text);
  // The ranks read the same files: one of them compares.
  const check = { verify: context.parallel.rank === 0, log };
  const corpus = mix
    ? openMix(mix, config, tokenizerFrom, check)
    : shards
      ? openShards(shards, config, tokenizerFrom, check)
      : await loadCorpus(config, { tokenizerFrom, log });
  const { tokenizer } = corpus;
  const documents = corpus.mix?.parts.reduce((n, p) => n + p.documents.length, 0) ?? corpus.train.length;
  log(`${counted(documents, "document")}, ${corpus.trainTokens} tokens, vocabulary ${tokenizer.vocabSize}`);
  return corpus;
}

/** A new transformer, or the one of `train.init_from`, with its optimizer; a resumed run loads its weights later. */
async function openTrainer(
  device: Device,
  corpus: Corpus,
  config: PretrainConfig,
  context: StageContext,
): Promise<Trainer> {
  const vocabSize = fittingVocabulary(config, corpus);
  const architecture = pretrainModelConfig({ ...config, model: { ...config.model, vocabSize } });
  const model = new Transformer(device, architecture, undefined, config.train.groups);
  model.parameters.init(config.seed);
  if (config.train.initFrom && !context.resumeFrom) await loadCheckpoint(config.train.initFrom, { model });
  const { optimizer, schedule, recompute, logitsBudgetMb, skipZScore, shareState } = config.train;
  const settings = { optimizer, schedule, recompute, logitsBudgetMb, skipZScore, shareState };
  return new Trainer(model, config.train.steps, settings, collectivesOf(context, device), {
    mayShare: true,
  });
}

/** Steps packed from the corpus by a thread of their own. */
function packedLoader(corpus: Corpus, { train, seed }: PretrainConfig): PrefetchedSource {
  const { microBatchTokens, microBatches, seqLen: maxLength } = train;
  const parts = corpus.mix?.parts ?? [{ name: "", documents: corpus.train }];
  return new PrefetchedSource({
    parts: parts.map(({ name, documents }) => ({ name, documents: documents.share() })),
    stages: corpus.mix?.stages,
    packing: { microBatchTokens, microBatches, maxLength, seed },
  });
}

/** Trains, with the tokenizer's files in the run folder and in every checkpoint. */
async function trainOn(
  corpus: Corpus,
  source: PrefetchedSource,
  trainer: Trainer,
  config: PretrainConfig,
  context: StageContext,
): Promise<StageResult> {
  const { tokenizer } = corpus;
  const files = tokenizerFiles(tokenizer);
  for (const [name, content] of Object.entries(files)) atomicWriteFile(join(context.runDir, name), content);
  const sampling = { ...config.sample, seed: config.seed };
  const result = await runTraining(
    {
      trainer,
      source,
      loss: crossEntropy,
      config: config.train,
      validation: validationBatches(corpus.validation, config),
      bytesPerToken: bytesPerTarget(corpus),
      files,
      onEval: (step) => writeSamples(trainer.model, tokenizer, sampling, context, step),
      sequenceLength: config.train.seqLen,
    },
    context,
  );
  const outputs = { ...result.outputs, tokenizer: join(context.runDir, "tokenizer.json") };
  return { ...result, outputs };
}
