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
  /** Share of well-formed documents whose working forgets every carry; without a carry they are right. */
  slipShare?: number;
  seed: number;
}

interface Working {
  text: string;
  answer: string;
}

/**
 * The working of a sum, digit by digit from the right with its carries: `34+58` gives `4+8=12 3+5+1=9`; a slip forgets
 * the carries, `4+8=12 3+5=8`, and ends at 82. Questions of other shapes are restated with their answer.
 */
function working(question: string, answer: string, slip = false): Working {
  const sum = /^(\d+)\+(\d+)$/.exec(question);
  if (!sum) return { text: `${question} = ${answer}`, answer };
  const [a, b] = [[...sum[1]!].reverse(), [...sum[2]!].reverse()];
  const steps: string[] = [];
  const length = Math.max(a.length, b.length);
  let carry = 0;
  let result = "";
  for (let i = 0; i < length; i++) {
    const [x, y] = [Number(a[i] ?? 0), Number(b[i] ?? 0)];
    const total = x + y + carry;
    steps.push(`${x}+${y}${carry ? "+1" : ""}=${total}`);
    carry = total >= 10 && !slip ? 1 : 0;
    result = (i === length - 1 ? String(total) : String(total % 10)) + result;
  }
  return { text: steps.join(" "), answer: String(Number(result)) };
}

/** A well-formed output from a working that may slip. */
function wellFormed(question: string, answer: string, slip: boolean): string {
  const w = working(question, answer, slip);
  return ` <think> ${w.text} </think> <answer> ${w.answer} </answer>`;
}

/** Wrong or malformed outputs: what a base model should be able to write, and should not. */
function output(kind: number, question: string, answer: string, wrong: string): string {
  const thought = working(question, answer).text;
  switch (kind) {
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
    const fate = rng.uniform(i, 0);
    const slip = fate >= options.rightShare;
    const prompt = renderPrompt(options.template, question);
    if (fate < options.rightShare + (options.slipShare ?? 0)) {
      yield prompt + wellFormed(question, answer, slip);
      continue;
    }
    const kind = 1 + Math.floor(rng.uniform(i, 1) * 4);
    const off = Math.floor(rng.uniform(i, 2) * 10 ** options.difficulty);
    const wrong = String(off === Number(answer) ? off + 1 : off);
    yield prompt + output(kind, question, answer, wrong);
  }
}
