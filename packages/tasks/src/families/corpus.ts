// Pretraining text about a problem family: prompts with outputs that are right, wrong, or malformed, as raw text is.
import { Rng } from "@nsa/core";
import { renderPrompt } from "../prompt/template.ts";
import type { Manner, Problem, WorkedCall, Working } from "./definition.ts";
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
  /** Solved problems by the same hand in front of each document's last one, as few-shot prompts have them. */
  shots?: number;
  /** All problems of a document have one fate: worked, careless, malformed, or by calls of tools. */
  oneFate?: boolean;
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

/** A well-formed output. */
const worked = ({ text, answer }: Working) => ` <think> ${text} </think> <answer> ${answer} </answer>`;

/** What the documents are made with. */
interface Making {
  options: FamilyCorpus;
  family: Family;
  rng: Rng;
}

/**
 * The output of problem number `i`: right, careless, or malformed by its fate. Random numbers are those of the document `of`, behind
 * `first`; documents of one problem begin at 0.
 */
function outputOf(
  { options, family, rng }: Making,
  problem: Problem,
  {
    of,
    first,
    fateFirst = first,
    manner,
  }: { of: number; first: number; fateFirst?: number; manner?: Manner },
): string {
  const uniform = (n: number) => rng.uniform(of, first + n);
  const decide = (n: number) => rng.uniform(of, fateFirst + n);
  const fate = decide(0);
  const slip = fate >= options.rightShare;
  let draws = FIRST_DRAW;
  const int = (n: number) => Math.min(n - 1, Math.floor(uniform(draws++) * n));
  const { toolShare = 0, toolSlipShare = 0 } = options;
  const tool = toolShare + toolSlipShare > 0 ? decide(3) : 1;
  if (family.calls && tool < toolShare + toolSlipShare)
    return withCalls(family.calls(problem, int, tool >= toolShare), problem.tests !== undefined);
  if (fate < options.rightShare + (options.slipShare ?? 0))
    return worked(family.working(problem, int, slip, manner));
  const kind = 1 + Math.floor(decide(1) * 4);
  const off = Math.floor(uniform(2) * 10 ** options.difficulty);
  const wrong = String(off === Number(problem.answer) ? off + 1 : off);
  return malformed(kind, family.working(problem, int, false, manner), wrong);
}

/** Random numbers between two problems of a document, and those of its hand, in front of them. */
const PROBLEM_DRAWS = 4096;
/** What stands between the problems of a document. */
const BETWEEN = "\n\n";

/** Several problems by one hand, so that what comes next can be read off what came before. */
function byOneHand(making: Making, i: number, count: number): string {
  const { options, family, rng } = making;
  const hand = rng.uniform(i, 4);
  const manner = { language: hand % 0.5 < 0.25 ? "en" : "zh", long: hand < 0.5 } as const;
  const problems = Array.from({ length: count }, (_, n) => {
    const problem = family.problem(i * count + n);
    const first = (n + 1) * PROBLEM_DRAWS;
    const place = { of: i, first, manner, ...(options.oneFate ? { fateFirst: PROBLEM_DRAWS } : {}) };
    return renderPrompt(options.template, problem.question) + outputOf(making, problem, place);
  });
  return problems.join(BETWEEN);
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
    return `${renderPrompt(template, problem.question)}${output}${BETWEEN}`;
  });
  return parts.join("");
}

/** Documents by number; none holds a held-out problem. */
export function* familyDocuments(options: FamilyCorpus): Generator<string> {
  const family = makeFamily(options.family, { ...options, split: "train" });
  const making = { options, family, rng: new Rng(options.seed, STREAM) };
  const { shots = 0 } = options;
  for (let i = 0; i < options.documents; i++) {
    if (shots > 0) {
      yield byOneHand(making, i, shots + 1);
      continue;
    }
    const problem = family.problem(i);
    yield renderPrompt(options.template, problem.question) + outputOf(making, problem, { of: i, first: 0 });
  }
}
