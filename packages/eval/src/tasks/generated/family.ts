// Generated problem families: endless, deterministic, with held-out splits that share no problem with training.
import { NsaError, Rng } from "@nsa/core";
import type { AnswerForm } from "../../grader/form.ts";
import type { Gold } from "../../grader/gold.ts";
import { addition, arithmetic, modular } from "./arithmetic.ts";
import { countdown } from "./countdown.ts";
import { wordProblems } from "./word-problems.ts";

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

/** What a family is made of. */
export interface FamilyDefinition {
  /** What `difficulty` counts, for people. */
  difficulty: string;
  /** How it may be answered: a sum written again is no number. */
  answerForm: AnswerForm;
  /** A problem without its name. */
  draw(int: Draw, difficulty: number): Omit<Problem, "id">;
  /** What makes two questions one problem, whatever the order of its terms or the names in it. */
  keyOf(question: string): string;
  /** A worked answer; with `slip`, one that is careless and often wrong. */
  working(problem: Omit<Problem, "id">, int: Draw, slip: boolean): Working;
}

export interface Family {
  name: string;
  /** Problem number i of the split; the same for the same (family, difficulty, seed, split, i). */
  problem(i: number): Problem;
  /** Whether a question belongs to the held-out split: corpora are checked with it. */
  isHeldOut(question: string): boolean;
  working: FamilyDefinition["working"];
}

export interface FamilyOptions {
  /** What it means depends on the family: digits, numbers, steps. */
  difficulty: number;
  seed: number;
  split: Split;
}

const STREAM = 21;
const HELD_OUT_SHARE = 0.1;
const MAX_ATTEMPTS = 10_000;

/** FNV-1a of a text as a fraction of 1: decides the split of a problem once and for all. */
function fraction(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  h ^= h >>> 15;
  h = Math.imul(h, 0x2c1b3c6d);
  return ((h ^ (h >>> 13)) >>> 0) / 2 ** 32;
}

const families: Record<string, FamilyDefinition> = {
  addition,
  arithmetic,
  modular,
  countdown,
  word_problems: wordProblems,
};

/** The families' names with what their difficulty counts. */
export const familyNames: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(families).map(([name, { difficulty }]) => [name, difficulty]),
);

/** Makes a family. Throws NsaError `family_unknown` and `family_too_small` (exit 2). */
export function makeFamily(name: string, options: FamilyOptions): Family {
  const family = families[name];
  if (!family) {
    throw new NsaError({
      code: "family_unknown",
      what: `no problem family "${name}"`,
      why: `there are ${Object.keys(families).join(", ")}`,
      fix: "choose one of them",
      exitCode: 2,
    });
  }
  const rng = new Rng(options.seed, STREAM);
  const isHeldOut = (question: string) => fraction(`${name}:${family.keyOf(question)}`) < HELD_OUT_SHARE;
  return {
    name,
    isHeldOut,
    working: family.working,
    problem(i) {
      const splitStep = options.split === "train" ? 0 : 1;
      for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
        let word = 0;
        const int = (n: number) =>
          Math.min(n - 1, Math.floor(rng.uniform(2 * i + splitStep, attempt, word++) * n));
        const problem = family.draw(int, options.difficulty);
        if (isHeldOut(problem.question) === (options.split === "heldout")) {
          return { id: `${name}-${options.split}-${i}`, ...problem, answerForm: family.answerForm };
        }
      }
      throw new NsaError({
        code: "family_too_small",
        what: `${name} of difficulty ${options.difficulty} has no ${options.split} problem`,
        why: "all of its few problems fall into the other split",
        fix: "raise the difficulty",
        exitCode: 2,
      });
    },
  };
}
