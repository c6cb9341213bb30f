// Public surface of @nsa/model.
export type { LoraConfig } from "./adapter/config.ts";
export { mergeAdapters, unmergeAdapters } from "./adapter/merge.ts";
export { exportPeft, importPeft } from "./adapter/peft.ts";
export { adapterSchema, loadWithAdapters, loraOfRecipe } from "./adapter/recipe.ts";
export { adapterReference, type ReferencePolicy, wholeReference } from "./adapter/reference.ts";
export type {
  AttentionKind,
  AttentionLayer,
  AttentionMemory,
  HeadColumnsSpec,
  LayerCache,
  PrefillSlots,
} from "./attention/kind.ts";
export { nsaConfigOf } from "./attention/nsa.ts";
export { attentionKinds, gridOf } from "./attention/registry.ts";
export { rebaseCheckpoint } from "./checkpoint/base.ts";
export {
  type CheckpointParts,
  CheckpointStore,
  loadCheckpoint,
  readModelConfig,
  saveCheckpoint,
  writeArchitecture,
} from "./checkpoint/checkpoint.ts";
export { loadModel } from "./checkpoint/load-model.ts";
export { readCheckpointState } from "./checkpoint/read-state.ts";
export { refuseOtherStep, resumeCheckpoint } from "./checkpoint/resume.ts";
export type { CheckpointState } from "./checkpoint/state.ts";
export { resolveModelConfig } from "./config/model-config.ts";
export { attentionOf, type ModelConfig, type ModelConfigInput, modelConfigSchema } from "./config/schema.ts";
export { Engine } from "./generate/engine.ts";
export type { LiveGeneration } from "./generate/live.ts";
export { type Generation, generationBytes } from "./generate/memory.ts";
export {
  type GeneratedSample,
  type GenerateRequest,
  plainSampling,
  type SamplingParams,
  type TokenLogprob,
} from "./generate/request.ts";
export { type ScoredPrompt, scorePrompts } from "./generate/score.ts";
export type { EngineOptions, EngineStats } from "./generate/sequence.ts";
export { type HeadRows, headLayout, headOn, logprobs, values } from "./heads/apply.ts";
export type { HeadInputs, HeadKind, HeadOptions, HeadOutputs } from "./heads/kind.ts";
export type { LmOutputs } from "./heads/lm.ts";
export { headKinds } from "./heads/registry.ts";
export type { ScalarOutputs } from "./heads/scalar.ts";
export { type SupportPosition, supportLogp } from "./heads/support.ts";
export { fromHfConfig, toHfConfig } from "./hf/config.ts";
export type { HfConfig } from "./hf/fields.ts";
export { exportHuggingFace, importHuggingFace, initHuggingFace, inspectHuggingFace } from "./hf/transfer.ts";
export type { MlpKind, MlpLayer, MlpResult } from "./mlp/kind.ts";
export { mlpKinds } from "./mlp/registry.ts";
export { BackwardProgress, type BucketReady, type GradientBucket } from "./parameters/buckets.ts";
export { INFERENCE_ONLY, type ParameterGroup } from "./parameters/groups.ts";
export { type GroupLayout, type Layout, layoutOf } from "./parameters/layout.ts";
export { Parameters, streamOf } from "./parameters/parameters.ts";
export type { HeldRun, Sharing } from "./parameters/sharing.ts";
export { matrix, type PartSpec, vector, type WeightSpec } from "./parameters/weight-spec.ts";
export {
  REWARD_FILE,
  type RewardModelFile,
  readRewardFile,
  rewardKindsOfModel,
  type StepRule,
  stepRules,
  writeRewardFile,
} from "./reward/file.ts";
export { numbersAt, type PlacedText, RewardModel } from "./reward/reward-model.ts";
export { type Branch, muteBranch } from "./transformer/ablate.ts";
export {
  cacheBytesPerToken,
  largestStateShare,
  matmulParameters,
  parameterCount,
  type TrainFlops,
  trainFlops,
  trainMemory,
  weightBytes,
} from "./transformer/counts.ts";
export { familyMember } from "./transformer/family.ts";
export { type Attend, type AttentionInputs, Layer } from "./transformer/layer.ts";
export { type DeviceBatch, type ForwardOptions, Transformer } from "./transformer/transformer.ts";
export { TrainWork } from "./transformer/work.ts";
