// Public surface of @nsa/rl.
export {
  type AdvantageKind,
  advantages,
  meanStd,
  type SampleRewards,
  zeroVarianceShare,
} from "./algorithm/advantages.ts";
export { type Aggregation, aggregationWeights } from "./algorithm/aggregation.ts";
export {
  type KlKind,
  klEstimate,
  type PolicyLossKind,
  policyLoss,
  policyObjective,
} from "./algorithm/losses.ts";
export { type GrpoConfig, grpoSchema, type RewardConfig } from "./grpo/config.ts";
export { estimateGrpo } from "./grpo/estimate.ts";
export { type EvaluationResult, evaluatePolicy } from "./grpo/evaluate.ts";
export { runGrpo } from "./grpo/run.ts";
export { formatReward } from "./reward/format.ts";
export { makeScorer, type Reward, type Scored } from "./reward/score.ts";
export { languageConsistency, overlongPenalty, reflectiveWords, repetitionPenalty } from "./reward/text.ts";
