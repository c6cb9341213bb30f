// Countdown: reach a target with given numbers, each used once. An answer is judged by what it uses and comes to.
import type { Draw, FamilyDefinition, Working } from "./definition.ts";

const LARGEST_NUMBER = 9;
const LARGEST_TARGET = 99;
const MAX_TRIES = 8;

/** The numbers in a random order, added and subtracted at random. */
function attempt(int: Draw, numbers: readonly number[]): { text: string; value: number } {
  const order = [...numbers];
  for (let i = order.length - 1; i > 0; i--) {
    const j = int(i + 1);
    [order[i], order[j]] = [order[j]!, order[i]!];
  }
  let text = String(order[0]);
  let value = order[0]!;
  for (const n of order.slice(1)) {
    const plus = int(2) === 0;
    text += `${plus ? "+" : "-"}${n}`;
    value += plus ? n : -n;
  }
  return { text, value };
}

/**
 * Trials, each judged, until one hits the target: `3+5+8=16 no 8-5+3=6 yes`. A slip ends after any trial, a half of the
 * time after each, and gives the last one as its answer, hit or not.
 */
function search(
  numbers: readonly number[],
  target: number,
  solution: string,
  int: Draw,
  slip: boolean,
): Working {
  const tried: string[] = [];
  let answer = solution;
  for (let n = 1; ; n++) {
    const last = attempt(int, numbers);
    const giveUp = !slip && n === MAX_TRIES;
    answer = giveUp ? solution : last.text;
    const value = giveUp ? target : last.value;
    tried.push(`${answer}=${value} ${value === target ? "yes" : "no"}`);
    const ends = slip ? int(2) === 0 || n === MAX_TRIES : value === target;
    if (ends) return { text: tried.join(" "), answer };
  }
}

/**
 * `difficulty` numbers from 1 to 9 and a target from 1 to 99 that sums and differences of them reach; products and
 * quotients are right, too.
 */
export const countdown: FamilyDefinition = {
  name: "countdown",
  difficulty: "numbers, at least 2",
  // The answer is an expression; `checkCountdown` judges it.
  answerForm: "any",
  draw: (int, difficulty) => {
    const count = Math.max(2, difficulty);
    for (;;) {
      const numbers = Array.from({ length: count }, () => 1 + int(LARGEST_NUMBER));
      const { text, value } = attempt(int, numbers);
      if (value < 1 || value > LARGEST_TARGET) continue;
      const question = `Make ${value} from ${numbers.slice(0, -1).join(", ")} and ${numbers.at(-1)}.`;
      return { question, answer: text, countdown: { numbers, target: value } };
    }
  },
  keyOf: (question) => {
    const [target, ...numbers] = (question.match(/\d+/g) ?? []).map(Number);
    return `${numbers.sort((a, b) => a - b).join(",")}>${target}`;
  },
  working: ({ answer, countdown: goal }, int, slip) => search(goal!.numbers, goal!.target, answer, int, slip),
};
