// The n-gram index of benchmark texts, and the check of a page against it: any shared 10-gram, and for texts of 3 to
// 9 words the whole text (DeepSeekMath §2.1). Hashes only find candidates; a hit is confirmed word by word.
//
// With `distinctive`, what clean pages contain as well is left out: short texts without distinctive words, and n-grams of a
// formula alone. A question that is nearly all formula keeps the n-grams with at least one content word.
import { contentWords, isDistinctive } from "./distinctive.ts";

export interface BenchmarkText {
  benchmark: string;
  item: string;
  /** As `wordsOf` gives them. */
  words: string;
}

export interface GramHit {
  benchmark: string;
  item: string;
  gram: string;
}

export interface GramRules {
  /** Words of the grams (paper: 10). */
  ngram: number;
  /** Shorter texts than this are not checked (paper: 3). */
  minWords: number;
  /** Leaves out short texts and grams that prove no copy. */
  distinctive: boolean;
}

interface Entry {
  gram: string;
  text: number;
  next: Entry | undefined;
}

const LOW_BASE = 0x01000193;
const HIGH_BASE = 0x5bd1e995;

/** Words and two 32-bit hashes of each. */
function hashWords(words: string): { list: string[]; low: Int32Array; high: Int32Array } {
  const list = words === "" ? [] : words.split(" ");
  const low = new Int32Array(list.length);
  const high = new Int32Array(list.length);
  for (let i = 0; i < list.length; i++) {
    const word = list[i]!;
    let a = 0x811c9dc5 | 0;
    let b = 0x1b873593 | 0;
    for (let k = 0; k < word.length; k++) {
      const c = word.charCodeAt(k);
      a = Math.imul(a ^ c, 0x01000193);
      b = Math.imul(b ^ c, 0x85ebca6b);
      b = (b << 13) | (b >>> 19);
    }
    low[i] = a ^ (a >>> 15);
    high[i] = b ^ (b >>> 16);
  }
  return { list, low, high };
}

/** Calls visit(start, key) for every n-gram, by rolling polynomial hashes; key has 53 bits. */
function forEachGram(
  low: Int32Array,
  high: Int32Array,
  n: number,
  visit: (start: number, key: number) => boolean,
): void {
  let lowTop = 1;
  let highTop = 1;
  for (let i = 1; i < n; i++) {
    lowTop = Math.imul(lowTop, LOW_BASE);
    highTop = Math.imul(highTop, HIGH_BASE);
  }
  let a = 0;
  let b = 0;
  for (let i = 0; i < low.length; i++) {
    if (i >= n) {
      a = (a - Math.imul(low[i - n]!, lowTop)) | 0;
      b = (b - Math.imul(high[i - n]!, highTop)) | 0;
    }
    a = (Math.imul(a, LOW_BASE) + low[i]!) | 0;
    b = (Math.imul(b, HIGH_BASE) + high[i]!) | 0;
    if (i >= n - 1 && !visit(i - n + 1, (b >>> 11) * 4294967296 + (a >>> 0))) return;
  }
}

/** A text without content words is matched as a whole, from half as many words again as a gram to so many. */
const MAX_WHOLE = 40;

/** Length of a text's grams, and whether the one from a place on proves a copy. */
function provingGrams(
  list: readonly string[],
  ngram: number,
): { n: number; proves: (start: number) => boolean } {
  if (list.length < ngram) {
    const whole = isDistinctive(list);
    return { n: list.length, proves: () => whole };
  }
  const content = list.slice(ngram - 1).map((_, start) => contentWords(list.slice(start, start + ngram)));
  // At least two content words; one, where the text has no better gram; a formula of ten words never.
  let most = 0;
  for (const words of content) most = Math.max(most, words);
  if (most >= 1) return { n: ngram, proves: (start) => content[start]! >= Math.min(2, most) };
  const whole = list.length >= 1.5 * ngram;
  return { n: Math.min(list.length, Math.max(ngram, MAX_WHOLE)), proves: (start) => whole && start === 0 };
}

export class GramIndex {
  /** By gram length. */
  private grams = new Map<number, Map<number, Entry>>();

  constructor(
    private texts: BenchmarkText[],
    rules: GramRules,
  ) {
    texts.forEach((text, t) => {
      const { list, low, high } = hashWords(text.words);
      if (list.length < rules.minWords) return;
      const plain = { n: Math.min(list.length, rules.ngram), proves: () => true };
      const { n, proves } = rules.distinctive ? provingGrams(list, rules.ngram) : plain;
      let table = this.grams.get(n);
      if (!table) {
        table = new Map();
        this.grams.set(n, table);
      }
      const into = table;
      forEachGram(low, high, n, (start, key) => {
        if (!proves(start)) return true;
        const gram = list.slice(start, start + n).join(" ");
        let entry = into.get(key);
        for (; entry; entry = entry.next) if (entry.gram === gram) return true;
        into.set(key, { gram, text: t, next: into.get(key) });
        return true;
      });
    });
  }

  get size(): number {
    let n = 0;
    for (const table of this.grams.values()) n += table.size;
    return n;
  }

  /** First hit of a page (its words as `wordsOf` gives them), if any. */
  find(words: string): GramHit | undefined {
    if (this.grams.size === 0) return undefined;
    const { list, low, high } = hashWords(words);
    for (const [n, table] of this.grams) {
      let hit: GramHit | undefined;
      forEachGram(low, high, n, (start, key) => {
        let entry = table.get(key);
        if (!entry) return true;
        const gram = list.slice(start, start + n).join(" ");
        for (; entry; entry = entry.next) {
          if (entry.gram !== gram) continue;
          const { benchmark, item } = this.texts[entry.text]!;
          hit = { benchmark, item, gram };
          return false;
        }
        return true;
      });
      if (hit) return hit;
    }
    return undefined;
  }
}
