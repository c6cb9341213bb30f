// The index of benchmark texts and the check of a page against it (DeepSeekMath §2.1). A page is a copy when it contains a
// text as a whole, whatever stands between its letters (whole-texts.ts), or ten words of it in a row, unless what is around
// these shows that it states the question with other numbers (variants.ts).
//
// With `distinctive`, n-grams of a formula alone prove nothing, and neither do short texts without distinctive words that
// are no questions (options, answers). A question that is nearly all formula keeps the n-grams with a content word.

import { wordsOf } from "../text/lines.ts";
import { contentWords, isDistinctive, isUnsplit } from "./distinctive.ts";
import { standsAlone } from "./stands-alone.ts";
import { alignAround } from "./variants.ts";
import { WholeTexts } from "./whole-texts.ts";

export interface BenchmarkText {
  benchmark: string;
  item: string;
  /** As `wordsOf` gives them. */
  words: string;
  /** Whether it is what the benchmark asks, and no option or answer. */
  question: boolean;
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

/** Where a text has a gram. */
interface Use {
  text: number;
  start: number;
  next: Use | undefined;
}

interface Entry {
  gram: string;
  uses: Use;
  count: number;
  next: Entry | undefined;
}

/** Of texts that share a gram so many are compared with a page, and in all so many for a page; beyond it counts as a copy. */
const MAX_USES = 256;
const MAX_ALIGNMENTS = 50_000;

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

/** Whether a whole text proves a copy although it is no question. */
const provesWhole = (list: readonly string[], ngram: number) =>
  list.length < ngram ? isDistinctive(list) : list.length >= 1.5 * ngram || contentWords(list) > 0;

/** Words of a text's grams: twice as many where most are single characters of a script without blanks. */
function gramLength(list: readonly string[], ngram: number): number {
  const single = list.reduce((n, word) => n + (isUnsplit(word) ? 1 : 0), 0);
  return 2 * single > list.length ? 2 * ngram : ngram;
}

/** Length of a text's grams, and whether the one from a place on proves a copy. */
function provingGrams(
  list: readonly string[],
  ngram: number,
): { n: number; proves: (start: number) => boolean } {
  if (list.length < ngram) return { n: list.length, proves: () => false };
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
  private whole = new WholeTexts();
  /** Of the page at hand. */
  private alignments = 0;
  private last: { text: number; list: string[] } | undefined;

  constructor(
    private texts: BenchmarkText[],
    private rules: GramRules,
  ) {
    texts.forEach((text, t) => {
      const { list, low, high } = hashWords(text.words);
      if (list.length < rules.minWords) return;
      if (!rules.distinctive || text.question || provesWhole(list, rules.ngram))
        this.whole.add(text.words, t);
      if (list.length < rules.ngram) return;
      const { n, proves } = rules.distinctive
        ? provingGrams(list, gramLength(list, rules.ngram))
        : { n: rules.ngram, proves: () => true };
      forEachGram(low, high, n, (start, key) => {
        if (proves(start)) this.add(n, key, list.slice(start, start + n).join(" "), t, start);
        return true;
      });
    });
  }

  private add(n: number, key: number, gram: string, text: number, start: number): void {
    let table = this.grams.get(n);
    if (!table) {
      table = new Map();
      this.grams.set(n, table);
    }
    let entry = table.get(key);
    while (entry && entry.gram !== gram) entry = entry.next;
    if (!entry) {
      const uses = { text, start, next: undefined };
      table.set(key, { gram, uses, count: 1, next: table.get(key) });
    } else if (entry.uses.text !== text && entry.count <= MAX_USES) {
      entry.uses = { text, start, next: entry.uses };
      entry.count++;
    }
  }

  get size(): number {
    let n = this.whole.size;
    for (const table of this.grams.values()) n += table.size;
    return n;
  }

  /**
   * First hit of a page, if any: its text in the form of `comparableText`. Short questions of which every word is common
   * count only where they stand by themselves.
   */
  find(page: string): GramHit | undefined {
    if (this.size === 0) return undefined;
    this.alignments = 0;
    const words = wordsOf(page);
    const text = this.whole.find(words, this.counting(page));
    if (text !== undefined) {
      const shared = this.texts[text]!.words.split(" ").slice(0, this.rules.ngram).join(" ");
      return this.hit(text, shared);
    }
    const { list, low, high } = hashWords(words);
    for (const [n, table] of this.grams) {
      let hit: GramHit | undefined;
      forEachGram(low, high, n, (start, key) => {
        let entry = table.get(key);
        if (!entry) return true;
        const gram = list.slice(start, start + n).join(" ");
        while (entry && entry.gram !== gram) entry = entry.next;
        const proof = entry && this.proof(entry, list, start, n);
        if (proof !== undefined) hit = this.hit(proof, gram);
        return hit === undefined;
      });
      if (hit) return hit;
    }
    return undefined;
  }

  /** Whether a whole text proves a copy on a page; each text is looked for once. */
  private counting(page: string): (found: { text: number }) => boolean {
    const known = new Map<number, boolean>();
    return ({ text }) => {
      if (!this.rules.distinctive) return true;
      let counts = known.get(text);
      if (counts === undefined) {
        const own = this.wordList(text);
        counts = own.length >= this.rules.ngram || isDistinctive(own) || standsAlone(page, own.join(""));
        known.set(text, counts);
      }
      return counts;
    };
  }

  private hit(text: number, gram: string): GramHit {
    const { benchmark, item } = this.texts[text]!;
    return { benchmark, item, gram };
  }

  /**
   * The text that a page copied from: of those with a gram the one that agrees with the page for the most words around it.
   * Undefined where that one has other numbers: the phrase that others share with it is part of that variant.
   */
  private proof(entry: Entry, page: readonly string[], at: number, n: number): number | undefined {
    if (!this.rules.distinctive || entry.count > MAX_USES) return entry.uses.text;
    this.alignments += entry.count;
    if (this.alignments > MAX_ALIGNMENTS) return entry.uses.text;
    let best: { text: number; agreed: number; changed: number } | undefined;
    for (let use: Use | undefined = entry.uses; use; use = use.next) {
      const { agreed, changed } = alignAround(page, at, this.wordList(use.text), use.start, n);
      if (best && (agreed < best.agreed || (agreed === best.agreed && changed >= best.changed))) continue;
      best = { text: use.text, agreed, changed };
    }
    return best?.changed === 0 ? best.text : undefined;
  }

  private wordList(text: number): string[] {
    if (this.last?.text !== text) this.last = { text, list: this.texts[text]!.words.split(" ") };
    return this.last.list;
  }
}
