// `nsa pretrain`: texts → tokenizer → packed steps → a trained transformer with its checkpoints.
import { existsSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { type Batch, NsaError, type StageResult, type StageRunner } from "@nsa/core";
import { PrefetchedSource, tokenizerFiles } from "@nsa/data";
import { openDevice, openPlans, openRankPipes, singleRank } from "@nsa/kernels";
import { loadCheckpoint, type ModelConfig, resolveModelConfig, Transformer } from "@nsa/model";
import { estimateTraining } from "../../estimate.ts";
import { runTraining } from "../../loop.ts";
import { crossEntropy } from "../../loss.ts";
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
export function estimatePretrain(config: PretrainConfig, device?: string): Record<string, number> {
  return estimateTraining(pretrainModelConfig(config), { ...config.train, device });
}

/** Whole documents cut to `seqLen`, one micro-batch after another. */
function validationBatches(documents: readonly Int32Array[], config: PretrainConfig): Batch[] {
  const { seqLen, microBatchTokens } = config.train;
  const batches: Batch[] = [];
  let pieces: Int32Array[] = [];
  let room = microBatchTokens;
  const flush = () => {
    if (pieces.length === 0) return;
    const T = pieces.reduce((n, p) => n + p.length - 1, 0);
    const batch: Batch = {
      tokens: new Int32Array(T),
      targets: new Int32Array(T),
      lossWeight: new Float32Array(T).fill(1),
      positions: new Int32Array(T),
      cuSeqlens: new Int32Array(pieces.length + 1),
      sampleIds: new Float64Array(pieces.length),
    };
    let t = 0;
    for (const [i, p] of pieces.entries()) {
      for (let j = 0; j + 1 < p.length; j++, t++) {
        batch.tokens[t] = p[j]!;
        batch.targets[t] = p[j + 1]!;
        batch.positions[t] = j;
      }
      batch.cuSeqlens[i + 1] = t;
    }
    batches.push(batch);
    pieces = [];
    room = microBatchTokens;
  };
  for (const ids of documents) {
    for (let from = 0; from + 1 < ids.length; from += seqLen) {
      const piece = ids.subarray(from, from + seqLen + 1);
      if (piece.length - 1 > room) flush();
      pieces.push(piece);
      room -= piece.length - 1;
    }
  }
  flush();
  return batches;
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
  const log = (text: string) => context.log(text);
  const from = context.resumeFrom ?? config.train.initFrom;
  const tokenizerFrom = from && existsSync(join(from, "tokenizer.json")) ? from : undefined;
  const { ranks, parallel } = context;
  const cores = ranks ? Math.max(1, Math.floor(availableParallelism() / parallel.world)) : 0;
  // Before the texts are read: a device that is not there should not cost minutes.
  const { memoryLimitMb } = config;
  const threads = config.threads || cores;
  const device = openDevice(ranks ? "cpu" : context.device, { threads, memoryLimitMb, log });
  let opened: Corpus | undefined;
  let loader: PrefetchedSource | undefined;
  try {
    openPlans(device, context);
    const { shards, mix } = config.data;
    const corpus = mix
      ? openMix(mix, config, tokenizerFrom)
      : shards
        ? openShards(shards, config, tokenizerFrom)
        : await loadCorpus(config, { tokenizerFrom, log });
    const { tokenizer } = corpus;
    const files = tokenizerFiles(tokenizer);
    for (const [name, content] of Object.entries(files)) writeFileSync(join(context.runDir, name), content);
    const tokenizerPath = join(context.runDir, "tokenizer.json");
    const documents = corpus.mix?.parts.reduce((n, p) => n + p.documents.length, 0) ?? corpus.train.length;
    opened = corpus;
    log(`${documents} documents, ${corpus.trainTokens} tokens, vocabulary ${tokenizer.vocabSize}`);

    const collectives = ranks ? openRankPipes(ranks) : singleRank;
    const vocabSize = fittingVocabulary(config, corpus);
    const architecture = pretrainModelConfig({ ...config, model: { ...config.model, vocabSize } });
    const model = new Transformer(device, architecture, undefined, config.train.groups);
    model.parameters.init(config.seed);
    if (config.train.initFrom && !context.resumeFrom) await loadCheckpoint(config.train.initFrom, { model });
    const { optimizer, schedule, recompute, logitsBudgetMb, skipZScore } = config.train;
    const settings = { optimizer, schedule, recompute, logitsBudgetMb, skipZScore };
    const trainer = new Trainer(model, config.train.steps, settings, collectives);
    const packing = {
      microBatchTokens: config.train.microBatchTokens,
      microBatches: config.train.microBatches,
      maxLength: config.train.seqLen,
      seed: config.seed,
    };
    const parts = corpus.mix?.parts ?? [{ name: "", documents: corpus.train }];
    loader = new PrefetchedSource({
      parts: parts.map(({ name, documents }) => ({ name, documents: documents.share() })),
      stages: corpus.mix?.stages,
      packing,
    });
    const result = await runTraining(
      {
        trainer,
        source: loader,
        loss: crossEntropy,
        config: config.train,
        validation: validationBatches(corpus.validation, config),
        bytesPerToken: corpus.bytesPerToken,
        files,
        onEval: (step) =>
          writeSamples(model, tokenizer, { ...config.sample, seed: config.seed }, context, step),
        sequenceLength: config.train.seqLen,
      },
      context,
    );
    return { ...result, outputs: { ...result.outputs, tokenizer: tokenizerPath } };
  } finally {
    device.close();
    await loader?.close();
    opened?.close();
  }
};
