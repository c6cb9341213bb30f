// The corpus loop and its steps.
export { type AnnotationFile, readAnnotations } from "./annotations.ts";
export { type BuildContext, type BuildReport, buildCorpus, jobContext, type RoundReport } from "./build.ts";
export { BuildConfig, type BuildConfigInput } from "./config.ts";
export type { DomainRow, PathProposal } from "./domains.ts";
export type { Quality } from "./measure.ts";
export { type RankingQuality, rankingQuality } from "./metrics.ts";
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
