// Public surface of @nsa/rl.

export { labelsInForce, verdictsOf } from "@nsa/tasks";
export { type AdvantageKind, meanStd, type SampleRewards } from "./algorithm/advantages/kind.ts";
export { advantageKinds, advantages, flatGroups } from "./algorithm/advantages/registry.ts";
export { type Aggregation, aggregationWeights } from "./algorithm/aggregation.ts";
export { type KlKind, klEstimate, klValue } from "./algorithm/kl.ts";
export {
  type PolicyLossConfig,
  type PolicyLossInputs,
  type PolicyLossKind,
  policyLoss,
  policyLosses,
  policyObjective,
} from "./algorithm/losses.ts";
export { type PreferenceLossKind, preferenceLosses } from "./algorithm/preference-losses.ts";
export type { RewardConfig } from "./rewards/config.ts";
export { formatReward } from "./rewards/format.ts";
export {
  type BatchReward,
  perOutput,
  type RewardContext,
  type RewardKind,
  type Scored,
  type StepReward,
  type Verdict,
} from "./rewards/kind.ts";
export { languageConsistency } from "./rewards/language.ts";
export { rewardKinds } from "./rewards/registry.ts";
export { makeScorer, type Reward, type Scorer } from "./rewards/score.ts";
export { equationSteps } from "./rewards/steps.ts";
export {
  lengthPenalty,
  overlongPenalty,
  reflectiveWords,
  repetitionPenalty,
} from "./rewards/text.ts";
export {
  groupsOf,
  inRange,
  type RolloutFilter,
  type RolloutGroup,
  type ShownOutput,
  stepsOf,
} from "./rollouts/groups.ts";
export { LabelFile } from "./rollouts/labels.ts";
export { RolloutStore } from "./rollouts/store.ts";
export { type DpoConfig, dpoSchema } from "./stages/dpo/config.ts";
export { runDpo } from "./stages/dpo/run.ts";
export { dpoStage } from "./stages/dpo/stage.ts";
export { type GrpoConfig, grpoSchema } from "./stages/grpo/config.ts";
export { estimateGrpo } from "./stages/grpo/estimate.ts";
export { type EvaluationResult, evaluatePolicy } from "./stages/grpo/evaluate.ts";
export { type ReplayOptions, type ReplayResult, replayStep } from "./stages/grpo/replay.ts";
export type { RewardChange } from "./stages/grpo/reward-change.ts";
export { runGrpo } from "./stages/grpo/run.ts";
export { grpoStage } from "./stages/grpo/stage.ts";
export { type RewardModelConfig, rewardModelSchema } from "./stages/reward/config.ts";
export { rewardStage } from "./stages/reward/stage.ts";
export { type SampleConfig, sampleSchema } from "./stages/sample/config.ts";
export { estimateSample } from "./stages/sample/estimate.ts";
export { type PartFigures, readPartFigures, shownFigure } from "./stages/sample/held-out.ts";
export { runSample } from "./stages/sample/run.ts";
export { sampleStage } from "./stages/sample/stage.ts";
