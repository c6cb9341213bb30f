// Problem families: endless, deterministic, with held-out splits that share no problem with training.
import { NsaError, Rng } from "@nsa/core";
import type { FamilyDefinition, Problem, Split } from "./definition.ts";
import { families } from "./registry.ts";

export interface Family {
  name: string;
  /** Problem number i of the split; the same for the same (family, difficulty, seed, split, i). */
  problem(i: number): Problem;
  /** Whether a question belongs to the held-out split: corpora are checked with it. */
  isHeldOut(question: string): boolean;
  working: FamilyDefinition["working"];
  calls: FamilyDefinition["calls"];
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

/** Makes a family. Throws NsaError `family_unknown` and `family_too_small` (exit 2). */
export function makeFamily(name: string, options: FamilyOptions): Family {
  if (!families.has(name)) {
    throw new NsaError({
      code: "family_unknown",
      what: `no problem family "${name}"`,
      why: families.explain(name),
      fix: "choose one of them",
      exitCode: 2,
    });
  }
  const family = families.get(name);
  const rng = new Rng(options.seed, STREAM);
  const isHeldOut = (question: string) => fraction(`${name}:${family.keyOf(question)}`) < HELD_OUT_SHARE;
  return {
    name,
    isHeldOut,
    working: family.working,
    calls: family.calls,
    problem(i) {
      const splitStep = options.split === "train" ? 0 : 1;
      for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
        let word = 0;
        const int = (n: number) =>
          Math.min(n - 1, Math.floor(rng.uniform(2 * i + splitStep, attempt, word++) * n));
        const problem = family.draw(int, options.difficulty);
        if (isHeldOut(problem.question) === (options.split === "heldout")) {
          const { answerForm, judge } = family;
          return {
            id: `${name}-${options.split}-${i}`,
            ...problem,
            answerForm,
            ...(judge ? { judge: name } : {}),
          };
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

/**
 * How good a completion is where a judge decides in place of a rule, from 0 to 1: that of its one `<answer>`, 0 without one. Undefined
 * where the problem has no judge.
 */
export function judgeCompletion(
  problem: Pick<Problem, "judge" | "question">,
  completion: string,
): number | undefined {
  if (problem.judge === undefined) return undefined;
  const judge = families.get(problem.judge).judge!;
  const answers = [...completion.matchAll(/<answer>([\s\S]*?)<\/answer>/g)];
  return answers.length === 1 ? judge(problem, answers[0]![1]!.trim()) : 0;
}
