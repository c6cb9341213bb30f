// Public surface of @nsa/data.
export { benchmarkLabels, readBenchmark } from "./corpus/decontaminate/benchmarks.ts";
export { comparableText } from "./corpus/decontaminate/comparable.ts";
export { isDistinctive } from "./corpus/decontaminate/distinctive.ts";
export {
  type BenchmarkText,
  type GramHit,
  GramIndex,
  type GramRules,
} from "./corpus/decontaminate/index-grams.ts";
export { contentKey, urlKey } from "./corpus/dedup/exact.ts";
export {
  type MinhashOptions,
  minhashSignatures,
  minhashTypescript,
  similarity,
} from "./corpus/dedup/minhash.ts";
export { type BandFile, bandRun, type NearOptions, nearDuplicates } from "./corpus/dedup/near.ts";
export { normaliseUrl } from "./corpus/dedup/url.ts";
export { decodePage } from "./corpus/extract/charset.ts";
export { type Extracted, extractHtml, extractPage } from "./corpus/extract/html.ts";
export {
  identifyLanguage,
  identifyLanguages,
  type Language,
  loadLanguageModel,
} from "./corpus/extract/language.ts";
export { mathmlToLatex } from "./corpus/extract/math/mathml.ts";
export { argsOf, type FastTextArgs, FastTextConfig } from "./corpus/fasttext/args.ts";
export {
  type CollapsedModel,
  CollapsedScorer,
  collapse,
  collapseFile,
  type Prediction,
} from "./corpus/fasttext/collapse.ts";
export { Dictionary, LABEL_PREFIX } from "./corpus/fasttext/dictionary.ts";
export {
  type Engine,
  type LineScorer,
  openScorer,
  resolveEngine,
  trainToFile,
} from "./corpus/fasttext/engine.ts";
export { type FastTextModel, readHeader, readModel, writeModel } from "./corpus/fasttext/model.ts";
export { type TrainProgress, trainFastText } from "./corpus/fasttext/train.ts";
export { type LocalOptions, localExecutor } from "./corpus/jobs/local.ts";
export { hashFile, type Manifest, writeAtomic } from "./corpus/jobs/manifest.ts";
export { arrayRanges, type SlurmOptions, slurmExecutor } from "./corpus/jobs/slurm.ts";
export {
  type Executor,
  inlineExecutor,
  type JobContext,
  runStage,
  type StageProgress,
} from "./corpus/jobs/stage.ts";
export { runTask, type Task, type TaskIo, type TaskTable } from "./corpus/jobs/task.ts";
export { type AnnotationFile, readAnnotations } from "./corpus/loop/annotations.ts";
export { type BuildReport, buildCorpus } from "./corpus/loop/build.ts";
export { BuildConfig, type BuildConfigInput } from "./corpus/loop/config.ts";
export type { ContaminationReport } from "./corpus/loop/contamination.ts";
export { type BuildContext, jobContext } from "./corpus/loop/context.ts";
export { dedupShards } from "./corpus/loop/dedup.ts";
export type { DomainRow, PathProposal } from "./corpus/loop/domains.ts";
export type { Quality } from "./corpus/loop/measure.ts";
export { type KindScores, type RankingQuality, rankingQuality } from "./corpus/loop/metrics.ts";
export type { FunnelRow } from "./corpus/loop/prepare.ts";
export type { RoundReport } from "./corpus/loop/round.ts";
export { CORPUS_STEPS, type CorpusStep, runCorpusStep, type StepReport } from "./corpus/loop/run-step.ts";
export type { NearSample } from "./corpus/loop/samples.ts";
export { corpusStage } from "./corpus/loop/stage.ts";
export { type CorpusStats, corpusStats } from "./corpus/loop/stats.ts";
export { type Document, domainOf, type ReadEvent, type Refusal } from "./corpus/readers/document.ts";
export { formatOf, type InputFormat } from "./corpus/readers/formats.ts";
export { expandInputs, shardName } from "./corpus/readers/inputs.ts";
export { parsePythonJson } from "./corpus/readers/numbers.ts";
export { readParquetRows } from "./corpus/readers/parquet.ts";
export { type ReadOptions, readDocuments } from "./corpus/readers/read.ts";
export { type ArchiveEvent, type ArchiveRecord, readArchive } from "./corpus/readers/warc.ts";
export { JsonlWriter } from "./corpus/readers/write.ts";
export { type CleanShard, cleanShards } from "./corpus/steps/clean.ts";
export { proposeInRound } from "./corpus/steps/domains.ts";
export { emitRanked } from "./corpus/steps/emit.ts";
export { rankShards } from "./corpus/steps/rank.ts";
export { type ReadShard, readShards } from "./corpus/steps/read.ts";
export { scoreShards } from "./corpus/steps/score.ts";
export { TASKS } from "./corpus/steps/table.ts";
export { classifierLine, comparedForm, wordLines, wordsOf } from "./corpus/text/lines.ts";
export { hasNative } from "./native.ts";
export {
  type CrawlFiles,
  type CrawlOptions,
  type CrawlPage,
  syntheticBenchmark,
  syntheticCrawl,
  writeCrawl,
} from "./synthetic/crawl.ts";
export { mathParagraph, proseParagraph, wordProblem } from "./synthetic/passages.ts";
export { type Choices, choices } from "./synthetic/random.ts";
export { EncoderThread } from "./tokenizer/encoder-thread.ts";
export { modelFiles, tokenizerFiles } from "./tokenizer/files.ts";
export { tokenizerStage, trainTokenizerFrom } from "./tokenizer/from-files.ts";
export { type PreTokenizer, preTokenize } from "./tokenizer/pretokenize.ts";
export { Tokenizer } from "./tokenizer/tokenizer.ts";
export { type BpeTraining, trainBpe } from "./tokenizer/train.ts";
export { type Documents, inMemory, subset } from "./tokens/loader/documents.ts";
export { type LoaderJob, openLoader } from "./tokens/loader/job.ts";
export { type MixedPart, MixedSource, type MixStage } from "./tokens/loader/mix.ts";
export { PackedSource, type PackOptions } from "./tokens/loader/pack.ts";
export { PrefetchedSource } from "./tokens/loader/prefetched.ts";
export { batchOfPack, learnedIn, type PackExample, PackSource, positionsOf } from "./tokens/pack/batch.ts";
export { type PackMethod, type PackPlan, planPacks } from "./tokens/pack/plan.ts";
export { type PackIndex, writePacks } from "./tokens/pack/write.ts";
export { TokenShards } from "./tokens/shards/read.ts";
export { tokenizeStage } from "./tokens/shards/stage.ts";
export { type TokenIndex, tokenizeFiles } from "./tokens/shards/write.ts";
