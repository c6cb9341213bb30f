// Rewards on the text alone: length, repetition; and the count of reflective words.
import { perOutput, type RewardKind } from "./kind.ts";

/** −share of n-grams of words that occurred before: 0 without repetition, towards −1 in a loop. */
export function repetitionPenalty(text: string, n = 4): number {
  const words = text.split(/\s+/).filter((w) => w !== "");
  if (words.length < n) return 0;
  const seen = new Set<string>();
  const total = words.length - n + 1;
  for (let i = 0; i < total; i++) seen.add(words.slice(i, i + n).join(" "));
  return -(total - seen.size) / total || 0;
}

/** −share of the room that the output takes: 0 for an empty one, −1 at max tokens. */
export function lengthPenalty(tokens: number, maxTokens: number): number {
  return -Math.min(1, tokens / maxTokens) || 0;
}

/** DAPO's soft overlong punishment: 0 up to max − buffer tokens, falling to −1 at max. */
export function overlongPenalty(tokens: number, maxTokens: number, buffer: number): number {
  const start = maxTokens - buffer;
  if (tokens <= start) return 0;
  return -Math.min(1, (tokens - start) / Math.max(1, buffer));
}

export const repetition: RewardKind = {
  name: "repetition",
  ofForm: true,
  open: () => perOutput((s) => repetitionPenalty(s.completion)),
};

export const length: RewardKind = {
  name: "length",
  ofForm: true,
  open: () => perOutput((s) => lengthPenalty(s.tokens, s.maxTokens)),
};

export const overlong: RewardKind = {
  name: "overlong",
  ofForm: true,
  open: ({ buffer }) => perOutput((s) => overlongPenalty(s.tokens, s.maxTokens, buffer)),
};

/** The "aha" words that R1-Zero's authors counted over training: text that turns on itself. */
const REFLECTIVE = ["wait", "hmm", "alternatively", "recheck", "verify", "mistake", "however"];

/** How often each of them occurs in the text. */
export function reflectiveWords(text: string): Record<string, number> {
  const words =
    text
      .toLowerCase()
      .replaceAll("re-check", "recheck")
      .match(/[a-z]+/g) ?? [];
  return Object.fromEntries(REFLECTIVE.map((word) => [word, words.filter((w) => w === word).length]));
}
