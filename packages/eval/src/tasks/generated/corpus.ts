// Pretraining text about a problem family: prompts with outputs that are right, wrong, or malformed, as raw text is.
import { Rng } from "@nsa/core";
import { renderPrompt } from "../../prompt/template.ts";
import { makeFamily } from "./family.ts";

const STREAM = 22;

export interface FamilyCorpus {
  family: string;
  difficulty: number;
  documents: number;
  /** Prompt template: r1_zero, plain, or a text with {question}. */
  template: string;
  /** Share of documents whose output is well formed and right. */
  rightShare: number;
  seed: number;
}

/**
 * The working of a sum, digit by digit from the right with its carries: `34+58` gives `4+8=12 3+5+1=9`. Questions of other
 * shapes are restated with their answer.
 */
function working(question: string, answer: string): string {
  const sum = /^(\d+)\+(\d+)$/.exec(question);
  if (!sum) return `${question} = ${answer}`;
  const [a, b] = [[...sum[1]!].reverse(), [...sum[2]!].reverse()];
  const steps: string[] = [];
  let carry = 0;
  for (let i = 0; i < Math.max(a.length, b.length); i++) {
    const [x, y] = [Number(a[i] ?? 0), Number(b[i] ?? 0)];
    const total = x + y + carry;
    steps.push(`${x}+${y}${carry ? "+1" : ""}=${total}`);
    carry = total >= 10 ? 1 : 0;
  }
  return steps.join(" ");
}

/** Outputs that a base model should be able to write, and mostly should not. */
function output(kind: number, question: string, answer: string, wrong: string): string {
  const thought = working(question, answer);
  switch (kind) {
    case 0:
      return ` <think> ${thought} </think> <answer> ${answer} </answer>`;
    case 1:
      return ` <think> ${thought} </think> <answer> ${wrong} </answer>`;
    case 2:
      return ` <think> ${thought} </think> ${answer}`;
    case 3:
      return ` ${answer}`;
    default:
      return ` <answer> ${wrong} </answer>`;
  }
}

/** Documents by number; none holds a held-out problem. */
export function* familyDocuments(options: FamilyCorpus): Generator<string> {
  const family = makeFamily(options.family, { ...options, split: "train" });
  const rng = new Rng(options.seed, STREAM);
  for (let i = 0; i < options.documents; i++) {
    const { question, answer } = family.problem(i);
    const right = rng.uniform(i, 0) < options.rightShare;
    const kind = right ? 0 : 1 + Math.floor(rng.uniform(i, 1) * 4);
    const off = Math.floor(rng.uniform(i, 2) * 10 ** options.difficulty);
    const wrong = String(off === Number(answer) ? off + 1 : off);
    yield renderPrompt(options.template, question) + output(kind, question, answer, wrong);
  }
}
