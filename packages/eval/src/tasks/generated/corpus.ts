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

/** Outputs that a base model should be able to write, and mostly should not. */
function output(kind: number, question: string, answer: string, wrong: string): string {
  switch (kind) {
    case 0:
      return ` <think> ${question} = ${answer} </think> <answer> ${answer} </answer>`;
    case 1:
      return ` <think> ${question} = ${wrong} </think> <answer> ${wrong} </answer>`;
    case 2:
      return ` <think> ${question} = ${answer} </think> ${answer}`;
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
