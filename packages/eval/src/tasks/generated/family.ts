// Generated problem families: endless, deterministic, with held-out splits that share no problem with training.
import { NsaError, Rng } from "@nsa/core";

export interface Problem {
  id: string;
  question: string;
  answer: string;
}

export type Split = "train" | "heldout";

export interface Family {
  name: string;
  /** Problem number i of the split; the same for the same (family, difficulty, seed, split, i). */
  problem(i: number): Problem;
  /** Whether a question belongs to the held-out split: corpora are checked with it. */
  isHeldOut(question: string): boolean;
}

export interface FamilyOptions {
  /** What it means depends on the family: digits, terms. */
  difficulty: number;
  seed: number;
  split: Split;
}

const STREAM = 21;
const HELD_OUT_SHARE = 0.1;

/** FNV-1a of a text as a fraction of 1: decides the split of a problem once and for all. */
function fraction(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  h ^= h >>> 15;
  h = Math.imul(h, 0x2c1b3c6d);
  return ((h ^ (h >>> 13)) >>> 0) / 2 ** 32;
}

type Draw = (
  int: (n: number) => number,
  difficulty: number,
) => { key: string; question: string; answer: string };

const families: Record<string, { draw: Draw; keyOf: (question: string) => string }> = {
  addition: {
    // Operands of up to `difficulty` digits; a + b and b + a are one problem.
    draw: (int, digits) => {
      const [a, b] = [int(10 ** digits), int(10 ** digits)];
      return { key: pairKey(a, b), question: `${a}+${b}`, answer: String(a + b) };
    },
    keyOf: (question) => pairKey(...twoNumbers(question)),
  },
  modular: {
    draw: (int, digits) => {
      const [a, b] = [int(10 ** digits), int(10 ** digits)];
      const m = 3 + int(10);
      const question = `(${a}*${b})%${m}`;
      return { key: question, question, answer: String((a * b) % m) };
    },
    keyOf: (question) => question,
  },
  word_problems: {
    draw: (int, difficulty) => {
      const top = 10 ** difficulty;
      const names = ["Mia", "Tom", "Ana", "Leo", "Kim", "Sam"];
      const things = ["apples", "coins", "books", "cards", "pens"];
      const [who, other] = [names[int(6)]!, names[int(6)]!];
      const thing = things[int(5)]!;
      const [a, b] = [1 + int(top), 1 + int(top)];
      const c = 1 + int(a + b);
      const question = `${who} has ${a} ${thing} and buys ${b} more. Then ${who} gives ${c} to ${other}. How many ${thing} does ${who} have now?`;
      return { key: question, question, answer: String(a + b - c) };
    },
    keyOf: (question) => question,
  },
};

function pairKey(a: number, b: number): string {
  return `${Math.min(a, b)}+${Math.max(a, b)}`;
}

function twoNumbers(question: string): [number, number] {
  const m = /(\d+)\D+(\d+)/.exec(question);
  return m ? [Number(m[1]), Number(m[2])] : [0, 0];
}

export const familyNames = Object.keys(families);

/** Makes a family. Throws NsaError `family_unknown` (exit 2). */
export function makeFamily(name: string, options: FamilyOptions): Family {
  const family = families[name];
  if (!family) {
    throw new NsaError({
      code: "family_unknown",
      what: `no problem family "${name}"`,
      why: `there are ${familyNames.join(", ")}`,
      fix: "choose one of them",
      exitCode: 2,
    });
  }
  const rng = new Rng(options.seed, STREAM);
  const held = (key: string) => fraction(`${name}:${key}`) < HELD_OUT_SHARE;
  return {
    name,
    isHeldOut: (question) => held(family.keyOf(question)),
    problem(i) {
      const splitStep = options.split === "train" ? 0 : 1;
      for (let attempt = 0; ; attempt++) {
        let word = 0;
        const int = (n: number) =>
          Math.min(n - 1, Math.floor(rng.uniform(2 * i + splitStep, attempt, word++) * n));
        const { key, question, answer } = family.draw(int, options.difficulty);
        if (held(key) === (options.split === "heldout")) {
          return { id: `${name}-${options.split}-${i}`, question, answer };
        }
      }
    },
  };
}
