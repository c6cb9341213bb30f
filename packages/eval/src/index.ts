// Public surface of @nsa/eval.
export { compareSamples, type TaskComparison } from "./compare.ts";
export { type EvalConfig, type EvalTask, evalSchema, evalTaskSchema } from "./config.ts";
export { refuseTooManyOutputs } from "./most-outputs.ts";
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
export { generateTrajectories, type ToolUse, type TrajectoryRequest } from "./trajectories/driver.ts";
export { type OpenTools, openTools, withToolStops } from "./trajectories/tools.ts";
export {
  type CallRecord,
  type Insert,
  type Inserted,
  insertedCount,
  sampledMask,
  splitIds,
  type Trajectory,
  wholeIds,
} from "./trajectories/trajectory.ts";
