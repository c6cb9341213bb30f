// Finds texts that a page contains as a whole, letter by letter: blanks and punctuation do not count, so that it makes no
// difference where a copy was split or joined (`1,200` and `1200`, `f o u r`, lines without blanks between Chinese clauses).
//
// Each text is indexed by a hash of its first letters; the page's letters pass a rolling hash of each of these lengths, and
// what meets one is compared letter by letter.

/** Lengths of the first letters that are hashed: a text has those of the largest that it is as long as. */
const WINDOWS = [24, 8, 3];
/** Shorter texts must begin and end where words do. */
const LONG = 24;

const BASE = 0x01000193;
const BLOOM_BITS = 1 << 22;
const isDigit = (code: number) => code >= 48 && code <= 57;

export interface Whole {
  letters: string;
  /** Which letters begin a word. */
  begins: Uint8Array;
  text: number;
}

/** Small letters of other scripts that are drawn like Latin ones, or whose capitals are. */
const DRAWN_LIKE = new Map(
  [..."аaвbеeкkмmнhоoрpсcтtуyхxіiјjѕsԁdһhԛqԝwӏlαaβbεeζzηhιiκkμmνnοoρpτtυyχxϲc"].flatMap((c, i, all) =>
    i % 2 === 0 ? [[c, all[i + 1]!] as const] : [],
  ),
);
const OTHER = /[\u0370-\u052f]/g;

/** Letters and digits without blanks, and which of them begin a word. */
function lettersOf(words: string): { letters: string; begins: Uint8Array } {
  // All of them become Latin in both texts: which word a letter is in does not count here.
  const letters = words.replaceAll(" ", "").replace(OTHER, (c) => DRAWN_LIKE.get(c) ?? c);
  const begins = new Uint8Array(letters.length + 1);
  let at = 0;
  for (const word of words.split(" ")) {
    begins[at] = 1;
    at += word.length;
  }
  begins[letters.length] = 1;
  return { letters, begins };
}

function hashOf(letters: string, length: number): number {
  let hash = length;
  for (let i = 0; i < length; i++) hash = (Math.imul(hash, BASE) + letters.charCodeAt(i)) | 0;
  return hash;
}

const bloomBit = (hash: number) => (hash ^ (hash >>> 13)) & (BLOOM_BITS - 1);

export class WholeTexts {
  private byHash = new Map<number, Whole[]>();
  private seen = new Set<string>();
  private bloom = new Uint32Array(BLOOM_BITS / 32);
  private used = new Set<number>();

  /** Adds a text by its words (see `wordsOf`); of two with the same letters the first one counts. */
  add(words: string, text: number): void {
    const { letters, begins } = lettersOf(words);
    const window = WINDOWS.find((length) => letters.length >= length);
    if (window === undefined || this.seen.has(letters)) return;
    this.seen.add(letters);
    this.used.add(window);
    const hash = hashOf(letters, window);
    const bit = bloomBit(hash);
    this.bloom[bit >> 5]! |= 1 << (bit & 31);
    const list = this.byHash.get(hash);
    if (list) list.push({ letters, begins, text });
    else this.byHash.set(hash, [{ letters, begins, text }]);
  }

  get size(): number {
    return this.seen.size;
  }

  /** The first text that the page contains and that counts there. */
  find(words: string, counts: (found: Whole) => boolean): number | undefined {
    if (words === "" || this.size === 0) return undefined;
    const { letters, begins } = lettersOf(words);
    for (const window of WINDOWS) {
      if (!this.used.has(window)) continue;
      let top = 1;
      for (let i = 0; i < window; i++) top = Math.imul(top, BASE);
      // The hash of `length` letters begins with their number, whose power stands before the oldest letter.
      const start = Math.imul(window, top);
      let hash = 0;
      for (let i = 0; i < letters.length; i++) {
        hash = (Math.imul(hash, BASE) + letters.charCodeAt(i)) | 0;
        if (i >= window) hash = (hash - Math.imul(letters.charCodeAt(i - window), top)) | 0;
        if (i < window - 1) continue;
        const key = (hash + start) | 0;
        const bit = bloomBit(key);
        if ((this.bloom[bit >> 5]! & (1 << (bit & 31))) === 0) continue;
        const found = this.byHash
          .get(key)
          ?.find((own) => isAt(letters, begins, i - window + 1, own) && counts(own));
        if (found) return found.text;
      }
    }
    return undefined;
  }
}

/**
 * Whether a text stands at a place. No number goes on beyond it; a short one is no part of other words, and its numbers are
 * not joined on the page, but for thousands (`1,200`).
 */
function isAt(page: string, begins: Uint8Array, at: number, own: Whole): boolean {
  const { letters, begins: ownBegins } = own;
  if (!page.startsWith(letters, at)) return false;
  const end = at + letters.length;
  const inNumber = (text: string, place: number) =>
    isDigit(text.charCodeAt(place - 1)) && isDigit(text.charCodeAt(place));
  const split = (place: number) => begins[place] === 0 && inNumber(page, place);
  if (split(at) || split(end)) return false;
  if (letters.length >= LONG) return true;
  if (begins[at] === 0 || begins[end] === 0) return false;
  for (let i = 1; i < letters.length; i++) {
    const joined = ownBegins[i] === 1 && begins[at + i] === 0 && inNumber(letters, i);
    if (joined && !/^\d{3}(?!\d)/.test(letters.slice(i))) return false;
  }
  return true;
}
