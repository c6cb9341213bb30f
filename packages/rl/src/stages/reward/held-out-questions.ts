// Which questions no reward model is trained on: a matter of the question alone, so that a first model, those that iterations make of it
// and runs with other seeds are all measured on questions that none of them has seen.
import { Rng } from "@nsa/core";
import { streamOf } from "@nsa/model";

const STREAM = 67;

/** A number in [0, 1) of the question; `question`: as `questionOf` has it. */
const numberOf = (question: string) => new Rng(0, STREAM).uniform(streamOf(question), 0);

/** Whether a question's outputs are kept out of training. */
export const isHeldOut = (question: string, share: number): boolean => numberOf(question) < share;

/** Both sides, in the order given, for a share of at most ½. Of two or more questions at least one is on each side, where any are wanted. */
export function splitQuestions(
  questions: readonly string[],
  share: number,
): { learned: string[]; heldOut: string[] } {
  const sorted = questions.map((question) => ({ question, number: numberOf(question) }));
  sorted.sort((a, b) => a.number - b.number);
  const wanted = sorted.filter(({ number }) => number < share).length;
  const few = questions.length < 2 || share === 0;
  const count = few ? 0 : Math.min(Math.max(1, wanted), questions.length - 1);
  const held = new Set(sorted.slice(0, count).map(({ question }) => question));
  return {
    learned: questions.filter((question) => !held.has(question)),
    heldOut: questions.filter((question) => held.has(question)),
  };
}
