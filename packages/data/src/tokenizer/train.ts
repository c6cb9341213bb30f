// Training of byte-level BPE: repeatedly merges the most frequent pair; ties go to the lower pair of ids.
import { NsaError } from "@nsa/core";
import { byteChars } from "./bytes.ts";
import { type PreTokenizer, preTokenize } from "./pretokenize.ts";

export interface BpeTraining {
  vocabSize: number;
  preTokenizer: PreTokenizer;
  /** Ids 0 … are given to these, before the 256 bytes. */
  specialTokens: string[];
  /** One id each after the special tokens, and text when decoded: `<think>`. */
  addedTokens?: string[];
}

const SPLIT = 2 ** 24;

interface Pair {
  count: number;
  key: number;
}

/** A max-heap by count, then the lower key. */
class PairHeap {
  private items: Pair[] = [];

  push(pair: Pair): void {
    const h = this.items;
    let i = h.push(pair) - 1;
    while (i > 0 && before(pair, h[(i - 1) >> 1]!)) {
      h[i] = h[(i - 1) >> 1]!;
      i = (i - 1) >> 1;
    }
    h[i] = pair;
  }

  pop(): Pair | undefined {
    const h = this.items;
    const top = h[0];
    const last = h.pop();
    if (h.length === 0 || last === undefined) return top;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= h.length) break;
      if (child + 1 < h.length && before(h[child + 1]!, h[child]!)) child++;
      if (!before(h[child]!, last)) break;
      h[i] = h[child]!;
      i = child;
    }
    h[i] = last;
    return top;
  }
}

function before(a: Pair, b: Pair): boolean {
  return a.count !== b.count ? a.count > b.count : a.key < b.key;
}

/**
 * Learns a vocabulary and returns it as a `tokenizer.json` object. May end below `vocabSize` when the text has no more
 * repeated pairs. Throws NsaError `corpus_empty` (exit 3) and `vocab_too_small` (exit 2).
 */
export function trainBpe(texts: Iterable<string>, options: BpeTraining): Record<string, unknown> {
  const { vocabSize, preTokenizer, specialTokens, addedTokens = [] } = options;
  const first = specialTokens.length + addedTokens.length;
  if (vocabSize < first + 256) {
    throw new NsaError({
      code: "vocab_too_small",
      what: `vocab_size ${vocabSize}`,
      why: `256 bytes and ${first} special or added tokens need ${first + 256} ids`,
      fix: `set vocab_size to at least ${first + 256}`,
      exitCode: 2,
    });
  }
  const counts = new Map<string, number>();
  for (const text of texts) {
    for (const word of preTokenize(text, preTokenizer)) counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  if (counts.size === 0) {
    throw new NsaError({
      code: "corpus_empty",
      what: "no text to train a tokenizer on",
      why: "the corpus holds no words",
      fix: "check the inputs",
      exitCode: 3,
    });
  }
  const tokens = [...specialTokens, ...addedTokens, ...byteChars];
  const encoder = new TextEncoder();
  const words = [...counts].map(([word, count]) => ({
    ids: Array.from(encoder.encode(word), (b) => first + b),
    count,
  }));
  const merges = learn(words, tokens, vocabSize);
  const vocab = Object.fromEntries(tokens.map((t, i) => [t, i]));
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };
  const digits = { type: "Digits", individual_digits: true };
  return {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: [...specialTokens, ...addedTokens].map((content, id) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: id < specialTokens.length,
    })),
    normalizer: null,
    pre_tokenizer:
      preTokenizer === "digits" ? { type: "Sequence", pretokenizers: [digits, byteLevel] } : byteLevel,
    post_processor: null,
    decoder: byteLevel,
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab,
      merges,
    },
  };
}

/** Counts of adjacent pairs, and the words that hold each. A word may be listed twice or after it lost the pair. */
class Pairs {
  readonly counts = new Map<number, number>();
  private readonly where = new Map<number, number[]>();

  add(key: number, by: number, word: number): void {
    const count = this.counts.get(key);
    this.counts.set(key, (count ?? 0) + by);
    if (count === undefined) this.where.set(key, [word]);
    else {
      const words = this.where.get(key)!;
      if (words[words.length - 1] !== word) words.push(word);
    }
  }

  remove(key: number, by: number): void {
    const count = this.counts.get(key);
    if (count !== undefined) this.counts.set(key, count - by);
  }

  /** Forgets a pair that has been merged everywhere; returns the words that held it. */
  take(key: number): number[] {
    const words = this.where.get(key)!;
    this.where.delete(key);
    this.counts.delete(key);
    return words;
  }
}

/** Merges in order; appends the new tokens to `tokens`. */
function learn(words: { ids: number[]; count: number }[], tokens: string[], size: number): string[][] {
  const pairs = new Pairs();
  const heap = new PairHeap();
  words.forEach(({ ids, count }, w) => {
    for (let i = 1; i < ids.length; i++) pairs.add(ids[i - 1]! * SPLIT + ids[i]!, count, w);
  });
  for (const [key, count] of pairs.counts) heap.push({ key, count });

  const merges: string[][] = [];
  while (tokens.length < size) {
    const top = heap.pop();
    if (!top || top.count < 2) break;
    const current = pairs.counts.get(top.key) ?? 0;
    if (current !== top.count) {
      if (current > 0 && current < top.count) heap.push({ key: top.key, count: current });
      continue;
    }
    const [a, b] = [Math.floor(top.key / SPLIT), top.key % SPLIT];
    const merged = tokens.push(tokens[a]! + tokens[b]!) - 1;
    merges.push([tokens[a]!, tokens[b]!]);
    const touched = new Set<number>();
    for (const w of pairs.take(top.key)) {
      const { ids, count } = words[w]!;
      // Only the neighbours of a merge change their pairs.
      let n = 0;
      for (let i = 0; i < ids.length; i++) {
        if (ids[i] !== a || ids[i + 1] !== b) {
          ids[n++] = ids[i]!;
          continue;
        }
        if (n > 0) {
          const left = ids[n - 1]! * SPLIT;
          pairs.remove(left + a, count);
          pairs.add(left + merged, count, w);
          touched.add(left + merged);
        }
        i++;
        if (i + 1 < ids.length) {
          const right = ids[i + 1]!;
          pairs.remove(b * SPLIT + right, count);
          pairs.add(merged * SPLIT + right, count, w);
          touched.add(merged * SPLIT + right);
        }
        ids[n++] = merged;
      }
      ids.length = n;
    }
    for (const key of touched) heap.push({ key, count: pairs.counts.get(key)! });
  }
  return merges;
}
