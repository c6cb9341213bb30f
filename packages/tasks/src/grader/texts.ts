// Equality of answers in words: the same words but for articles, the same names in another order, sayings of one meaning.
import type { Node } from "./node.ts";
import type { Same } from "./same-number.ts";

/** Words that say the same: that there is no value, no solution, no end. */
const SAYINGS: [RegExp, string][] = [
  [/^(?:(?:the)?limit)?(?:dne|doesnotexist|doesn'?texist)$/, "does not exist"],
  [
    /^(?:(?:thereare|ithas|has)?no(?:real)?(?:solutions?|roots?|zeros|zeroes)(?:exists?)?|none|noanswer|emptyset|nosuch(?:number|value|integer)s?|nullset)$/,
    "no solution",
  ],
  [/^(?:thereare)?infinit(?:e|elymany)(?:solutions?|values?)?$/, "infinitely many"],
  [/^(?:itis|thisis)?(?:impossible|notpossible)$/, "impossible"],
];

const saying = (n: Node): string | undefined => {
  if (n.t === "list" && n.items.length === 0) return "no solution";
  if (n.t !== "text") return undefined;
  const plain = n.words.toLowerCase().replace(/[^a-z']+/g, "");
  return SAYINGS.find(([pattern]) => pattern.test(plain))?.[1];
};

/** Whether two answers, of which one is words, say the same. */
export function sameText(gold: Node, answer: Node): Same {
  const [g, a] = [saying(gold), saying(answer)];
  if (g !== undefined && g === a) return "same";
  return gold.t === "text" && answer.t === "text" && sameWords(gold.words, answer.words)
    ? "same"
    : "different";
}

const words = (s: string) =>
  s
    .toLowerCase()
    .replace(/\b(?:the|a|an)\b|^(?:on|in|at) /g, "")
    .replace(/[^\p{L}\p{N}]+/gu, "");

/** The names that a text lists, in order of the alphabet. */
const named = (s: string) =>
  s
    .split(/,|\band\b|和|与/)
    .map(words)
    .filter((x) => x !== "")
    .sort()
    .join();

function sameWords(a: string, b: string): boolean {
  return words(a) !== "" && (words(a) === words(b) || named(a) === named(b));
}
