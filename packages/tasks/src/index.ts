// Public surface of @nsa/tasks.
export { type ChatMessage, conversationSchema } from "./chat/messages.ts";
export { chainsOf, encodeSegments, type Segment } from "./chat/segments.ts";
export {
  type ChatTemplate,
  chatTemplateNames,
  chatTemplateOf,
  findTemplate,
  folderTemplate,
  jinjaTemplate,
  templateInputs,
} from "./chat/template.ts";
export { encodeAnswer } from "./chat/tool-output.ts";
export { type EnvironmentConfig, environmentSchema, openEnvironment } from "./environments/config.ts";
export type {
  Environment,
  EnvironmentDefinition,
  Json,
  Tool,
  ToolCall,
  ToolResult,
} from "./environments/definition.ts";
export { environmentKinds } from "./environments/registry.ts";
export { familyDocuments, familyShots } from "./families/corpus.ts";
export { crawlStage } from "./families/crawl.ts";
export type { Draw, FamilyDefinition, Problem, Split, Working } from "./families/definition.ts";
export { type Family, judgeCompletion, makeFamily } from "./families/family.ts";
export { families } from "./families/registry.ts";
export { type CountdownGoal, checkCountdown } from "./grader/countdown.ts";
export { type AnswerKind, type Extracted, type ExtractOptions, extractAnswer } from "./grader/extract.ts";
export { type AnswerForm, answerForms, isEcho } from "./grader/form.ts";
export { type Gold, gradeProblem, gradingOf, isEchoOf, unreadableGold } from "./grader/gold.ts";
export {
  type Comparison,
  compareAnswers,
  type Grade,
  type GradeOptions,
  grade,
  sameAnswer,
  type Verdict,
} from "./grader/grade.ts";
export {
  type Label,
  labelsInForce,
  type PreferenceLabel,
  readLabels,
  type VerdictLabel,
  verdictsOf,
} from "./labels.ts";
export { bootstrapInterval } from "./metrics/bootstrap.ts";
export { type Calibration, majorityCalibration } from "./metrics/calibration.ts";
export { type AnswerClasses, groupAnswers } from "./metrics/classes.ts";
export { shareInterval } from "./metrics/interval.ts";
export { languageShare } from "./metrics/language.ts";
export { mcnemar, type PairedDifference, pairedDifference } from "./metrics/paired.ts";
export { majAtK, majAtKs, passAtK } from "./metrics/pass-at-k.ts";
export { calibrationError, rocAuc } from "./metrics/ranking.ts";
export { rmAtK } from "./metrics/rm-at-k.ts";
export { PROGRAM_STOP, type ProgramFormat, programPrompt } from "./prompt/programs.ts";
export { asksInChat, renderPrompt } from "./prompt/template.ts";
export { codeBlocks, lastLine, programOf } from "./protocol/code-blocks.ts";
export { type Repository, repositorySchema, testedProgram } from "./protocol/tested-program.ts";
export {
  chatCalls,
  chatProtocol,
  fenceProtocol,
  type ReplyPart,
  type ToolProtocol,
  writesTools,
} from "./protocol/tools.ts";
export { fillTemplate, readRecords } from "./records.ts";
export { bubblewrapState } from "./sandbox/bubblewrap.ts";
export { unbounded } from "./sandbox/launch.ts";
export {
  defaultLimits,
  type ProgramLimits,
  type ProgramOptions,
  type ProgramResult,
  type ProgramStatus,
  type SandboxBackend,
} from "./sandbox/limits.ts";
export { pyodideState, STANDARD_LIBRARY_ONLY } from "./sandbox/pyodide.ts";
export { requireSandbox, runProgram } from "./sandbox/run-program.ts";
export { runUnitTests, type UnitTest, type UnitTestResult } from "./sandbox/unit-tests.ts";
export { splitStops } from "./stops.ts";
export { findTask, taskNames } from "./tasks/builtin.ts";
export { readTaskFile, type TaskDefinition, type TaskInput, taskSchema } from "./tasks/definition.ts";
export { fetchTask } from "./tasks/fetch.ts";
export { readProblems, type TaskProblem, taskPrompt, toProblem } from "./tasks/problems.ts";
export { checkVocabulary } from "./vocabulary.ts";
