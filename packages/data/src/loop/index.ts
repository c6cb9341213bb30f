// The corpus loop and its steps.
export { type AnnotationFile, readAnnotations } from "./annotations.ts";
export { type BuildReport, buildCorpus } from "./build.ts";
export { BuildConfig, type BuildConfigInput } from "./config.ts";
export type { ContaminationReport } from "./contamination.ts";
export { type BuildContext, jobContext } from "./context.ts";
export type { DomainRow, PathProposal } from "./domains.ts";
export type { Quality } from "./measure.ts";
export { type RankingQuality, rankingQuality } from "./metrics.ts";
export type { RoundReport } from "./round.ts";
export { CORPUS_STEPS, type CorpusStep, runCorpusStep, type StepReport } from "./run-step.ts";
export type { NearSample } from "./samples.ts";
export { runCorpus } from "./stage.ts";
export { type CorpusStats, corpusStats } from "./stats.ts";
export {
  type CleanShard,
  cleanStep,
  dedupStep,
  domainsStep,
  emitStep,
  type FunnelRow,
  type ReadShard,
  rankStep,
  readStep,
  scoreStep,
} from "./steps.ts";
export { TASKS } from "./tasks.ts";
