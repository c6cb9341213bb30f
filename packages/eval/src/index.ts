// Public surface of @nsa/eval.
export { compareSamples, type TaskComparison } from "./compare.ts";
export { type EvalConfig, type EvalTask, evalSchema, evalTaskSchema } from "./config.ts";
export type { ChoiceRow, EvalRow, NeedleRow, PositionRow, SampleRow } from "./rows.ts";
export { estimateEval, runEval } from "./run.ts";
export { evalStage } from "./stage.ts";
export {
  type ChoiceSummary,
  type NeedleSummary,
  type PositionsSummary,
  type ProblemsSummary,
  summarise,
  summaryMetrics,
  type TaskSummary,
} from "./summary.ts";
