// Public surface of @nsa/eval.
export * from "./chat/index.ts";
export * from "./evaluate/index.ts";
export { type CountdownGoal, checkCountdown } from "./grader/countdown.ts";
export { type AnswerKind, type Extracted, type ExtractOptions, extractAnswer } from "./grader/extract.ts";
export { type AnswerForm, answerForms, isEcho } from "./grader/form.ts";
export { type Gold, gradeProblem, isEchoOf, unreadableGold } from "./grader/gold.ts";
export {
  type Comparison,
  compareAnswers,
  type Grade,
  type GradeOptions,
  grade,
  sameAnswer,
  type Verdict,
} from "./grader/grade.ts";
export { bootstrapInterval } from "./metrics/bootstrap.ts";
export { type Calibration, majorityCalibration } from "./metrics/calibration.ts";
export { type AnswerClasses, groupAnswers } from "./metrics/classes.ts";
export { languageShare } from "./metrics/language.ts";
export { mcnemar, type PairedDifference, pairedDifference } from "./metrics/paired.ts";
export { majAtK, majAtKs, passAtK } from "./metrics/pass-at-k.ts";
export { rmAtK } from "./metrics/rm-at-k.ts";
export * from "./pretrain/index.ts";
export { renderPrompt } from "./prompt/template.ts";
export * from "./protocol/index.ts";
export * from "./sandbox/index.ts";
export * from "./sft/index.ts";
export { splitStops } from "./stops.ts";
export { findTask, taskNames } from "./tasks/builtin.ts";
export { readTaskFile, type TaskDefinition, type TaskInput, taskSchema } from "./tasks/definition.ts";
export { fetchTask } from "./tasks/fetch.ts";
export { familyDocuments } from "./tasks/generated/corpus.ts";
export { crawlSchema, runCrawl } from "./tasks/generated/crawl.ts";
export type { Draw, FamilyDefinition, Problem, Split, Working } from "./tasks/generated/definition.ts";
export { type Family, makeFamily } from "./tasks/generated/family.ts";
export { families } from "./tasks/generated/registry.ts";
export { readProblems, type TaskProblem, taskPrompt, toProblem } from "./tasks/problems.ts";
export { checkVocabulary } from "./vocabulary.ts";
