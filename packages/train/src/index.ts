// Public surface of @nsa/train.
export type { DivergenceKind } from "./distill/divergences.ts";
export { estimateTraining, type TrainingSize } from "./estimate.ts";
export { type LoopConfig, loopSchema, runTraining, type TrainingRun } from "./loop.ts";
export { type AnyLoss, crossEntropy, type LossContext, type LossFunction, type LossResult } from "./loss.ts";
export { type MicroStepConfig, MicroSteps } from "./micro-step.ts";
export { type OptimizerConfig, optimizerSchema } from "./optim/config.ts";
export type { OptimizerContext, OptimizerGroup, OptimizerKind } from "./optim/kind.ts";
export { Optimizer } from "./optim/optimizer.ts";
export { optimizerKinds } from "./optim/registry.ts";
export { type StepProfile, StepProfiler } from "./profile.ts";
export { collectivesOf, openStageDevice } from "./rank-device.ts";
export { anyRank, gatherValues, shareItems, shareItemsLater } from "./rank-share.ts";
export { shareOf, shareOfStep } from "./rank-source.ts";
export {
  lrShare,
  rateWarning,
  type Schedule,
  type ScheduleKind,
  type ScheduleProgress,
  scheduleKinds,
  scheduleSchema,
} from "./schedule.ts";
export { type ShuffledOptions, ShuffledSource } from "./shuffled-source.ts";
export { chatFiles } from "./stages/chat-files.ts";
export { type PretrainConfig, pretrainSchema } from "./stages/pretrain/config.ts";
export { type Corpus, loadCorpus } from "./stages/pretrain/corpus.ts";
export { estimatePretrain, pretrainModelConfig, runPretrain } from "./stages/pretrain/run.ts";
export { pretrainStage } from "./stages/pretrain/stage.ts";
export { type SftConfig, sftSchema } from "./stages/sft/config.ts";
export { readExamples } from "./stages/sft/examples.ts";
export { estimateSft, runSft } from "./stages/sft/run.ts";
export { type Example, ExampleSource, packExamples } from "./stages/sft/source.ts";
export { sftStage } from "./stages/sft/stage.ts";
export { Trainer, type TrainerConfig, type TrainerConfigInput, trainerSchema } from "./trainer.ts";
