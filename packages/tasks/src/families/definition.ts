// The contract of a problem family: what draws its problems, tells them apart and works them out.
import type { AnswerForm } from "../grader/form.ts";
import type { Gold } from "../grader/gold.ts";

export interface Problem extends Gold {
  id: string;
  question: string;
}

export type Split = "train" | "heldout";

/** An integer in [0, n), the next of a problem's own random sequence. */
export type Draw = (n: number) => number;

/** Reasoning as base text shows it, and the answer it comes to. */
export interface Working {
  text: string;
  answer: string;
}

/** A call by which a tool solves a problem or a part of it: what stands in the tool's block, and what it gives. */
export interface WorkedCall {
  tool: string;
  text: string;
  output: string;
}

/** How a hand writes: what the documents of one hand have in common. */
export interface Manner {
  language: "en" | "zh";
  /** Whether work is checked at its end. */
  long: boolean;
}

/** What a family is made of. */
export interface FamilyDefinition {
  readonly name: string;
  /** What `difficulty` counts, for people. */
  difficulty: string;
  /** How it may be answered: a sum written again is no number. */
  answerForm: AnswerForm;
  /** A problem without its name. */
  draw(int: Draw, difficulty: number): Omit<Problem, "id">;
  /** What makes two questions one problem, whatever the order of its terms or the names in it. */
  keyOf(question: string): string;
  /** A worked answer; with `slip`, one that is careless and often wrong. Families that can be written in several manners mix them where none is given. */
  working(problem: Omit<Problem, "id">, int: Draw, slip: boolean, manner?: Manner): Working;
  /**
   * Of families whose questions no rule decides: how good an answer is, from 0 to 1, as people would see it. It makes preferences and
   * measures; training never sees it.
   */
  judge?(problem: Pick<Problem, "question">, answer: string): number;
  /** Calls that work it out, the last one giving the answer; with `slip`, careless ones. Absent where no tool is of use. */
  calls?(problem: Omit<Problem, "id">, int: Draw, slip: boolean): WorkedCall[];
}
