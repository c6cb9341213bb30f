// Rewards on the text alone: language consistency, length, repetition; and the count of reflective words.

const han = /\p{Script=Han}/gu;
const latinWord = /\p{Script=Latin}+/gu;

/**
 * Share of target-language words in the chain of thought (DeepSeek-R1 §2.3.2). Words of Latin letters against single
 * Han characters; a text with neither scores 1.
 */
export function languageConsistency(text: string, target: "en" | "zh"): number {
  const latin = text.match(latinWord)?.length ?? 0;
  const chinese = text.match(han)?.length ?? 0;
  if (latin + chinese === 0) return 1;
  return (target === "en" ? latin : chinese) / (latin + chinese);
}

/** −share of n-grams of words that occurred before: 0 without repetition, towards −1 in a loop. */
export function repetitionPenalty(text: string, n = 4): number {
  const words = text.split(/\s+/).filter((w) => w !== "");
  if (words.length < n) return 0;
  const seen = new Set<string>();
  const total = words.length - n + 1;
  for (let i = 0; i < total; i++) seen.add(words.slice(i, i + n).join(" "));
  return -(total - seen.size) / total || 0;
}

/** DAPO's soft overlong punishment: 0 up to max − buffer tokens, falling to −1 at max. */
export function overlongPenalty(tokens: number, maxTokens: number, buffer: number): number {
  const start = maxTokens - buffer;
  if (tokens <= start) return 0;
  return -Math.min(1, (tokens - start) / Math.max(1, buffer));
}

const reflective = /\b(wait|hmm|alternatively|recheck|re-check|verify|mistake|however)\b/gi;

/** How often the text turns on itself: the "aha" words that R1-Zero's authors counted over training. */
export function reflectiveWords(text: string): number {
  return text.match(reflective)?.length ?? 0;
}
