// Public surface of @nsa/model.

export type {
  AttentionKind,
  AttentionLayer,
  AttentionMemory,
  HeadColumnsSpec,
  LayerCache,
  PrefillSlots,
} from "./attention/kind.ts";
export { nsaConfigOf } from "./attention/nsa.ts";
export { attentionKinds } from "./attention/registry.ts";
export {
  type CheckpointParts,
  CheckpointStore,
  loadCheckpoint,
  loadModel,
  readCheckpointState,
  readModelConfig,
  saveCheckpoint,
  writeArchitecture,
} from "./checkpoint/checkpoint.ts";
export { resumeCheckpoint } from "./checkpoint/resume.ts";
export type { CheckpointState } from "./checkpoint/state.ts";
export { resolveModelConfig } from "./config/model-config.ts";
export { attentionOf, type ModelConfig, type ModelConfigInput, modelConfigSchema } from "./config/schema.ts";
export * from "./generate/index.ts";
export { fromHfConfig, type HfConfig, toHfConfig } from "./hf/config.ts";
export { exportHuggingFace, importHuggingFace, inspectHuggingFace } from "./hf/transfer.ts";
export type { MlpKind, MlpLayer, MlpResult } from "./mlp/kind.ts";
export { mlpKinds } from "./mlp/registry.ts";
export { type Layout, layoutOf } from "./parameters/layout.ts";
export { Parameters } from "./parameters/parameters.ts";
export { matrix, type PartSpec, vector, type WeightSpec } from "./parameters/weight-spec.ts";
export { type Collectives, singleRank } from "./train/collectives.ts";
export { memoryLimitMb, openDevice } from "./train/device.ts";
export { estimateTraining, type TrainingSize } from "./train/estimate.ts";
export { type HeadResult, headOn, logprobs } from "./train/head.ts";
export { crossEntropy, type LossContext, type LossFunction, type LossResult } from "./train/loss.ts";
export { type MicroStepConfig, MicroSteps } from "./train/micro-step.ts";
export { type OptimizerConfig, optimizerSchema } from "./train/optim/config.ts";
export type { OptimizerContext, OptimizerKind } from "./train/optim/kind.ts";
export { Optimizer } from "./train/optim/optimizer.ts";
export { optimizerKinds } from "./train/optim/registry.ts";
export { makeRankPipes, openRankPipes } from "./train/pipe-collectives.ts";
export { openPlans, savePlans } from "./train/plans.ts";
export { type StepProfile, StepProfiler } from "./train/profile.ts";
export { shareOf } from "./train/rank-source.ts";
export { type LoopConfig, loopSchema, runTraining, type TrainingRun } from "./train/run.ts";
export {
  lrShare,
  type Schedule,
  type ScheduleKind,
  type ScheduleProgress,
  scheduleKinds,
  scheduleSchema,
} from "./train/schedule.ts";
export { Trainer, type TrainerConfig, type TrainerConfigInput, trainerSchema } from "./train/trainer.ts";
export { type Branch, muteBranch } from "./transformer/ablate.ts";
export {
  cacheBytesPerToken,
  matmulParameters,
  parameterCount,
  type TrainFlops,
  trainFlops,
  trainMemory,
} from "./transformer/counts.ts";
export { type Attend, type AttentionInputs, Layer } from "./transformer/layer.ts";
export { type DeviceBatch, type ForwardOptions, Transformer } from "./transformer/transformer.ts";
export { TrainWork } from "./transformer/work.ts";
