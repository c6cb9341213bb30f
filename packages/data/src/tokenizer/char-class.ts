// Unicode classes of characters as bit flags: one table for the Basic Multilingual Plane, pages on demand above it.

export const LETTER = 1;
export const NUMBER = 2;
/** `\s` of JavaScript: with U+FEFF, without U+0085. */
export const JS_SPACE = 4;
/** `\s` of Hugging Face's expressions: the Unicode property White_Space. */
export const SPACE = 8;
export const MARK = 16;
export const PUNCTUATION = 32;
export const SYMBOL = 64;
export const NEWLINE = 128;
/** Chinese characters and kana as DeepSeek-V3 splits them. */
export const CJK = 256;
/** A code point of two UTF-16 units. */
export const WIDE = 512;
/** Half of a surrogate pair: ask {@link flagsAt}. */
const SURROGATE = 1024;
/** Letters and marks that o200k takes at the head of a word: all but lower-case ones. */
export const HEAD = 2048;
/** Letters and marks that o200k takes at the tail of a word: all but upper- and title-case ones. */
export const TAIL = 4096;

const CLASSES: [number, string][] = [
  [LETTER, "\\p{L}"],
  [NUMBER, "\\p{N}"],
  [JS_SPACE, "\\s"],
  [SPACE, "\\p{White_Space}"],
  [MARK, "\\p{M}"],
  [PUNCTUATION, "\\p{P}"],
  [SYMBOL, "\\p{S}"],
  [NEWLINE, "[\\r\\n]"],
  [CJK, "[一-龥぀-ゟ゠-ヿ]"],
  [HEAD, "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"],
  [TAIL, "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"],
];

/** Flags of the code points from … from + size − 1, none of them a surrogate. */
function classify(from: number, size: number, into: Uint16Array, at: number): void {
  for (let block = 0; block < size; block += 4096) {
    const count = Math.min(4096, size - block);
    const text = String.fromCodePoint(...Array.from({ length: count }, (_, i) => from + block + i));
    const units = from + block > 0xffff ? 2 : 1;
    for (const [bit, pattern] of CLASSES) {
      for (const run of text.matchAll(new RegExp(`(?:${pattern})+`, "gu"))) {
        const first = at + block + run.index / units;
        for (let i = 0; i < run[0].length / units; i++) into[first + i]! |= bit;
      }
    }
  }
}

/** Flags of each UTF-16 unit, [65536]. */
export const unitFlags: Uint16Array = (() => {
  const flags = new Uint16Array(0x10000).fill(SURROGATE, 0xd800, 0xe000);
  classify(0, 0xd800, flags, 0);
  classify(0xe000, 0x2000, flags, 0xe000);
  return flags;
})();

const PAGE = 4096;
const pages: (Uint16Array | undefined)[] = [];

function wideFlags(codePoint: number): number {
  const page = (codePoint / PAGE) | 0;
  let flags = pages[page];
  if (!flags) {
    flags = new Uint16Array(PAGE).fill(WIDE);
    classify(page * PAGE, PAGE, flags, 0);
    pages[page] = flags;
  }
  return flags[codePoint % PAGE]!;
}

/** Flags of the character at `i`; a lone surrogate has none. */
export function flagsAt(codes: Uint16Array, i: number, end: number): number {
  const flags = unitFlags[codes[i]!]!;
  if ((flags & SURROGATE) === 0) return flags;
  const high = codes[i]!;
  if (high >= 0xdc00 || i + 1 >= end) return 0;
  const low = codes[i + 1]!;
  if (low < 0xdc00 || low > 0xdfff) return 0;
  return wideFlags(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00));
}

/** End of the run of characters from `i` on that have one of the bits. */
export function runOf(codes: Uint16Array, i: number, end: number, bits: number): number {
  while (i < end) {
    const flags = unitFlags[codes[i]!]!;
    if ((flags & bits) !== 0) i++;
    else if ((flags & SURROGATE) !== 0 && (flagsAt(codes, i, end) & bits) !== 0) i += 2;
    else break;
  }
  return i;
}

/** End of the run of characters from `i` on that have none of the bits. */
export function runWithout(codes: Uint16Array, i: number, end: number, bits: number): number {
  while (i < end) {
    const flags = unitFlags[codes[i]!]!;
    if ((flags & bits) !== 0) break;
    if ((flags & SURROGATE) === 0) i++;
    else {
      const wide = flagsAt(codes, i, end);
      if ((wide & bits) !== 0) break;
      i += (wide & WIDE) !== 0 ? 2 : 1;
    }
  }
  return i;
}
