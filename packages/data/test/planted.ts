// Pairs of texts with a known Jaccard similarity of their word shingles, for recall and false-positive figures.
import { type Choices, wordsOf } from "../src/index.ts";

export function randomText(c: Choices, words: number): string[] {
  return Array.from({ length: words }, () => `w${Math.floor(c.next() ** 2 * 50_000)}`);
}

/** Set Jaccard similarity of word shingles. */
export function jaccard(a: string, b: string, width: number): number {
  const shingles = (text: string) => {
    const words = wordsOf(text).split(" ");
    return new Set(
      Array.from({ length: Math.max(1, words.length - width + 1) }, (_, i) =>
        words.slice(i, i + width).join(" "),
      ),
    );
  };
  const x = shingles(a);
  const y = shingles(b);
  let both = 0;
  for (const s of x) if (y.has(s)) both++;
  return both / (x.size + y.size - both);
}

/** A copy with a run of words replaced, so that the shingle similarity is about `similarity`. */
export function variant(c: Choices, words: string[], similarity: number, width: number): string[] {
  const shingles = words.length - width + 1;
  const lost = Math.round((shingles * (1 - similarity)) / (1 + similarity));
  const run = Math.max(1, lost - (width - 1));
  const at = c.int(width, words.length - run - width);
  return words.map((w, i) => (i >= at && i < at + run ? `v${c.int(0, 1_000_000)}` : w));
}
