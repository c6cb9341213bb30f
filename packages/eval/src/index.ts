// Public surface of @nsa/eval.
export { type AnswerKind, type Extracted, type ExtractOptions, extractAnswer } from "./grader/extract.ts";
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
export { majAtK, passAtK } from "./metrics/pass-at-k.ts";
export * from "./pretrain/index.ts";
export { renderPrompt } from "./prompt/template.ts";
export * from "./sft/index.ts";
export { familyDocuments } from "./tasks/generated/corpus.ts";
export { type Family, familyNames, makeFamily, type Problem, type Split } from "./tasks/generated/family.ts";
