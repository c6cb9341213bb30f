// Public surface of @nsa/rl.
export {
  type AdvantageKind,
  advantages,
  flatGroups,
  meanStd,
  type SampleRewards,
} from "./algorithm/advantages.ts";
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
export { type GrpoConfig, grpoSchema } from "./grpo/config.ts";
export { estimateGrpo } from "./grpo/estimate.ts";
export { type EvaluationResult, evaluatePolicy } from "./grpo/evaluate.ts";
export { runGrpo } from "./grpo/run.ts";
export type { RewardConfig } from "./reward/config.ts";
export { formatReward } from "./reward/format.ts";
export { makeScorer, type Reward, type Scored } from "./reward/score.ts";
export { equationSteps, type StepReward } from "./reward/steps.ts";
export {
  languageConsistency,
  lengthPenalty,
  overlongPenalty,
  reflectiveWords,
  repetitionPenalty,
} from "./reward/text.ts";
