// Rows of samples.jsonl: everything that the summary is made of.
import type { AnswerKind, ProgramStatus, Verdict } from "@nsa/tasks";
import type { Forcing } from "./trajectories/thoughts.ts";

interface Place {
  /** Step of the run that wrote the row. */
  step: number;
  task: string;
}

export interface SampleRow extends Place {
  kind: "sample";
  id: string;
  /** Number of the answer to its problem. */
  sample: number;
  prompt: string;
  completion: string;
  answer: string;
  gold: string;
  verdict: Verdict;
  form: AnswerKind;
  why: string;
  tokens: number;
  finish: "stop" | "length";
  /** Mean log-probability of its tokens, nats. */
  logp: number;
  /** Number of the recipe's reward model: a probability of being right, or a plain number. */
  reward?: number;
  /** Its answer is the question's own expression, or arithmetic left undone. */
  echo?: true;
  /** Of budget forcing. */
  budget?: Forcing;
  /** How its programs ended. */
  programs?: { status: ProgramStatus; why: string }[];
}

/** The greedy answer to a problem, beside the sampled ones. */
export interface GreedyRow extends Omit<SampleRow, "kind"> {
  kind: "greedy";
}

export interface ChoiceRow extends Place {
  kind: "choice";
  id: string;
  gold: string;
  /** Letter of the likeliest option, and of the likeliest per byte of its text. */
  answer: string;
  answerPerByte: string;
  logps: number[];
}

export interface NeedleRow extends Place {
  kind: "needle";
  length: number;
  depth: number;
  trial: number;
  /** Whether greedy decoding gives the hidden number. */
  found: boolean;
  completion: string;
  gold: string;
  /** Mean log-probability of the number's tokens, with the fact in the text and without it. */
  logp: number;
  logpWithout: number;
}

export interface PositionRow extends Place {
  kind: "positions";
  sequence: number;
  /** Sum of −log p, nats, and tokens of each bucket. */
  nll: number[];
  tokens: number[];
}

export type EvalRow = SampleRow | GreedyRow | ChoiceRow | NeedleRow | PositionRow;
