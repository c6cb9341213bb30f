// Pretraining text about a problem family: prompts with outputs that are right, wrong, or malformed, as raw text is.
import { Rng } from "@nsa/core";
import { renderPrompt } from "../prompt/template.ts";
import type { Draw, Problem, WorkedCall, Working } from "./definition.ts";
import { type Family, makeFamily } from "./family.ts";

const STREAM = 22;
/** Random numbers before this one decide what kind of document it is. */
const FIRST_DRAW = 16;

export interface FamilyCorpus {
  family: string;
  difficulty: number;
  documents: number;
  /** Prompt template: r1_zero, plain, or a text with {question}. */
  template: string;
  /** Share of documents whose output is well formed and right. */
  rightShare: number;
  /** Share of well-formed documents whose working is careless, in the way of the family, and often wrong. */
  slipShare?: number;
  /** Share of documents that call tools and answer what they give, and of those that call them carelessly; of the others nothing changes. */
  toolShare?: number;
  toolSlipShare?: number;
  /** Problems of one document, one after another, all answered in the same way; 1 where it is not given. */
  problemsPerDocument?: number;
  seed: number;
}

/** Wrong or malformed outputs: what a base model should be able to write, and should not. */
function malformed(kind: number, { text, answer }: Working, wrong: string): string {
  switch (kind) {
    case 1:
      return ` <think> ${text} </think> <answer> ${wrong} </answer>`;
    case 2:
      return ` <think> ${text} </think> ${answer}`;
    case 3:
      return ` ${answer}`;
    default:
      return ` <answer> ${wrong} </answer>`;
  }
}

/** An output that calls tools as the protocol of fences has it, and answers what the last of them gave. */
function withCalls(calls: readonly WorkedCall[], program: boolean): string {
  // A program that tests judge is the answer itself.
  if (program) return `\n\`\`\`${calls[0]!.tool}\n${calls[0]!.text}\n\`\`\``;
  const blocks = calls.map(
    ({ tool, text, output }) => `\`\`\`${tool}\n${text}\n\`\`\`\n\`\`\`output\n${output}\n\`\`\`\n`,
  );
  return `\n${blocks.join("")}<answer> ${calls.at(-1)!.output} </answer>`;
}

/** The output of a problem by the numbers of its document. */
function outputOf(
  family: Family,
  problem: Problem,
  document: number,
  rng: Rng,
  options: FamilyCorpus,
  int: Draw,
): string {
  const fate = rng.uniform(document, 0);
  const { toolShare = 0, toolSlipShare = 0, slipShare = 0, rightShare } = options;
  const tool = toolShare + toolSlipShare > 0 ? rng.uniform(document, 3) : 1;
  if (family.calls && tool < toolShare + toolSlipShare)
    return withCalls(family.calls(problem, int, tool >= toolShare), problem.tests !== undefined);
  if (fate < rightShare + slipShare) return worked(family.working(problem, int, fate >= rightShare));
  const kind = 1 + Math.floor(rng.uniform(document, 1) * 4);
  const off = Math.floor(rng.uniform(document, 2) * 10 ** options.difficulty);
  const wrong = String(off === Number(problem.answer) ? off + 1 : off);
  return malformed(kind, family.working(problem, int, false), wrong);
}

const worked = ({ text, answer }: Working) => ` <think> ${text} </think> <answer> ${answer} </answer>`;

/** Documents by number; none holds a held-out problem. */
export function* familyDocuments(options: FamilyCorpus): Generator<string> {
  const family = makeFamily(options.family, { ...options, split: "train" });
  const rng = new Rng(options.seed, STREAM);
  const { problemsPerDocument: count = 1 } = options;
  for (let i = 0; i < options.documents; i++) {
    let draws = FIRST_DRAW;
    const int = (n: number) => Math.min(n - 1, Math.floor(rng.uniform(i, draws++) * n));
    const parts = Array.from({ length: count }, (_, k) => {
      const problem = family.problem(i * count + k);
      return (
        renderPrompt(options.template, problem.question) + outputOf(family, problem, i, rng, options, int)
      );
    });
    yield parts.join("\n\n");
  }
}

/** Solved problems of the training split in front of a question, as documents of {@link familyDocuments} show them, with calls of tools or without. */
export function familyShots(family: Family, template: string, count: number, tools: boolean): string {
  const none = () => 0;
  const parts = Array.from({ length: count }, (_, i) => {
    const problem = family.problem(i);
    const output =
      tools && family.calls
        ? withCalls(family.calls(problem, none, false), false)
        : worked(family.working(problem, none, false));
    return `${renderPrompt(template, problem.question)}${output}\n\n`;
  });
  return parts.join("");
}
