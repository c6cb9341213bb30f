// Hand-written scanners for the pre-tokenizer expressions of the models we meet; each returns the end of one word.
//
// A scanner reads UTF-16 units codes[from … end) and treats `end` as the end of the text, as the expressions do.
import {
  CJK,
  flagsAt,
  HEAD,
  JS_SPACE,
  LETTER,
  MARK,
  NEWLINE,
  NUMBER,
  PUNCTUATION,
  runOf,
  runWithout,
  SPACE,
  SYMBOL,
  TAIL,
  unitFlags,
  WIDE,
} from "./char-class.ts";

/** End of the word that starts at `from`; always above `from`. */
export type Scanner = (codes: Uint16Array, from: number, end: number) => number;

const APOSTROPHE = 39;
const BLANK = 32;
const SLASH = 47;

/** End of 's 't 'm 'd 're 've 'll at `i`, or `i`. `fold` also takes capitals. */
function contraction(codes: Uint16Array, i: number, end: number, fold: number): number {
  if (i + 1 >= end) return i;
  const a = codes[i + 1]! | fold;
  if (a === 115 || a === 116 || a === 109 || a === 100) return i + 2;
  if (i + 2 >= end) return i;
  const b = codes[i + 2]! | fold;
  if ((b === 101 && (a === 114 || a === 118)) || (a === 108 && b === 108)) return i + 3;
  return i;
}

/** `\s+(?!\S)|\s+` at a space: leaves the last space to the word behind it. */
function spaces(codes: Uint16Array, i: number, end: number, space: number): number {
  const stop = runOf(codes, i, end, space);
  return stop === end || stop === i + 1 ? stop : stop - 1;
}

/** `'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+` */
const scanGpt2: Scanner = (codes, from, end) => {
  const first = codes[from]!;
  if (first === APOSTROPHE) {
    const stop = contraction(codes, from, end, 0);
    if (stop > from) return stop;
  }
  const i = first === BLANK && from + 1 < end ? from + 1 : from;
  const flags = flagsAt(codes, i, end);
  if ((flags & LETTER) !== 0) return runOf(codes, i, end, LETTER);
  if ((flags & NUMBER) !== 0) return runOf(codes, i, end, NUMBER);
  if ((flags & JS_SPACE) === 0) return runWithout(codes, i, end, JS_SPACE | LETTER | NUMBER);
  return spaces(codes, from, end, JS_SPACE);
};

/** `\s*[\r\n]+|\s+(?!\S)|\s+` at a space. */
function lines(codes: Uint16Array, i: number, end: number): number {
  const stop = runOf(codes, i, end, SPACE);
  for (let k = stop - 1; k >= i; k--) if ((unitFlags[codes[k]!]! & NEWLINE) !== 0) return k + 1;
  return stop === end || stop === i + 1 ? stop : stop - 1;
}

/** `\p{N}{1,most}` at a number character. */
function digits(codes: Uint16Array, i: number, end: number, most: number): number {
  for (let n = 0; n < most && i < end; n++) {
    const flags = flagsAt(codes, i, end);
    if ((flags & NUMBER) === 0) break;
    i += (flags & WIDE) !== 0 ? 2 : 1;
  }
  return i;
}

/**
 * `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,k}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`:
 * k = 3 is Llama-3's (and cl100k's), k = 1 Qwen2's.
 */
function scanLlama(maxDigits: number): Scanner {
  return (codes, from, end) => {
    const first = codes[from]!;
    if (first === APOSTROPHE) {
      const stop = contraction(codes, from, end, 32);
      if (stop > from) return stop;
    }
    const flags = flagsAt(codes, from, end);
    if ((flags & LETTER) !== 0) return runOf(codes, from, end, LETTER);
    const next = from + ((flags & WIDE) !== 0 ? 2 : 1);
    if ((flags & NUMBER) !== 0) return digits(codes, from, end, maxDigits);
    const after = next < end ? flagsAt(codes, next, end) : SPACE;
    if ((flags & NEWLINE) === 0 && (after & LETTER) !== 0) return runOf(codes, next, end, LETTER);
    if ((flags & SPACE) === 0) {
      return runOf(codes, runWithout(codes, next, end, SPACE | LETTER | NUMBER), end, NEWLINE);
    }
    if (first === BLANK && (after & (SPACE | NUMBER)) === 0) {
      return runOf(codes, runWithout(codes, next, end, SPACE | LETTER | NUMBER), end, NEWLINE);
    }
    return lines(codes, from, end);
  };
}

const asciiLetter = (c: number) => (c | 32) >= 97 && (c | 32) <= 122;

/** One match of DeepSeek-V3's third expression at `i`, or `i` where there is none. */
function deepSeekWord(codes: Uint16Array, i: number, end: number): number {
  const first = codes[i]!;
  const flags = flagsAt(codes, i, end);
  const marks = PUNCTUATION | SYMBOL;
  const next = i + ((flags & WIDE) !== 0 ? 2 : 1);
  if (first < 128 && (flags & marks) !== 0 && next < end && asciiLetter(codes[next]!)) {
    let stop = next;
    while (stop < end && asciiLetter(codes[stop]!)) stop++;
    return stop;
  }
  if ((flags & (LETTER | MARK)) !== 0) return runOf(codes, i, end, LETTER | MARK);
  const after = next < end ? flagsAt(codes, next, end) : SPACE;
  if ((flags & (NEWLINE | marks)) === 0 && (after & (LETTER | MARK)) !== 0) {
    return runOf(codes, next, end, LETTER | MARK);
  }
  if ((flags & marks) !== 0 || (first === BLANK && (after & marks) !== 0)) {
    return runOf(codes, runOf(codes, next, end, marks), end, NEWLINE);
  }
  return (flags & SPACE) !== 0 ? lines(codes, i, end) : i;
}

/** DeepSeek-V3's first two splits: `\p{N}{1,3}`, then Chinese and kana. */
const segmentDeepSeek: Scanner = (codes, from, end) => {
  const flags = flagsAt(codes, from, end);
  if ((flags & NUMBER) !== 0) return digits(codes, from, end, 3);
  if ((flags & CJK) !== 0) return runOf(codes, from, end, CJK);
  return runWithout(codes, from, end, NUMBER | CJK);
};

/**
 * `[ASCII punctuation][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
 * as a split: what lies between two matches stays together as one word.
 */
const scanDeepSeek: Scanner = (codes, from, end) => {
  let i = deepSeekWord(codes, from, end);
  if (i > from) return i;
  while (i < end && deepSeekWord(codes, i, end) === i) {
    i += (flagsAt(codes, i, end) & WIDE) !== 0 ? 2 : 1;
  }
  return i;
};

/** A number character alone, or everything up to the next one. */
const segmentDigits: Scanner = (codes, from, end) => {
  const flags = flagsAt(codes, from, end);
  if ((flags & NUMBER) !== 0) return from + ((flags & WIDE) !== 0 ? 2 : 1);
  return runWithout(codes, from, end, NUMBER);
};

/** Units of the last character before `i`. */
const widthBefore = (codes: Uint16Array, i: number, from: number) =>
  i - 1 > from && (codes[i - 1]! & 0xfc00) === 0xdc00 && (codes[i - 2]! & 0xfc00) === 0xd800 ? 2 : 1;

/** End of `head* tail+` at `i`, or `i`. Most letters without case are both, so the expression may step back. */
function headThenTail(codes: Uint16Array, i: number, end: number): number {
  const head = runOf(codes, i, end, HEAD);
  const tail = runOf(codes, head, end, TAIL);
  if (tail > head) return tail;
  for (let k = head; k > i; ) {
    const before = k - widthBefore(codes, k, i);
    if ((flagsAt(codes, before, end) & TAIL) !== 0) return k;
    k = before;
  }
  return i;
}

/** End of `head+ tail*` at `i`, or `i`. */
function headOrMore(codes: Uint16Array, i: number, end: number): number {
  const head = runOf(codes, i, end, HEAD);
  return head === i ? i : runOf(codes, head, end, TAIL);
}

function wordContraction(codes: Uint16Array, i: number, end: number): number {
  return i < end && codes[i] === APOSTROPHE ? contraction(codes, i, end, 32) : i;
}

/**
 * o200k's: words of an upper-case head and a lower-case tail with an optional leading mark and contraction, then
 * `\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`.
 */
const scanO200k: Scanner = (codes, from, end) => {
  const first = codes[from]!;
  const flags = flagsAt(codes, from, end);
  const next = from + ((flags & WIDE) !== 0 ? 2 : 1);
  const lead = (flags & (NEWLINE | LETTER | NUMBER)) === 0;
  if (lead || (flags & LETTER) !== 0) {
    let stop = lead ? headThenTail(codes, next, end) : next;
    if (stop > next) return wordContraction(codes, stop, end);
    stop = headThenTail(codes, from, end);
    if (stop > from) return wordContraction(codes, stop, end);
    stop = lead ? headOrMore(codes, next, end) : next;
    if (stop > next) return wordContraction(codes, stop, end);
    stop = headOrMore(codes, from, end);
    if (stop > from) return wordContraction(codes, stop, end);
  }
  if ((flags & NUMBER) !== 0) return digits(codes, from, end, 3);
  const after = next < end ? flagsAt(codes, next, end) : SPACE;
  const blank = first === BLANK && (after & (SPACE | LETTER | NUMBER)) === 0;
  if ((flags & SPACE) !== 0 && !blank) return lines(codes, from, end);
  let stop = runWithout(codes, next, end, SPACE | LETTER | NUMBER);
  while (stop < end && (codes[stop] === SLASH || (unitFlags[codes[stop]!]! & NEWLINE) !== 0)) stop++;
  return stop;
};

/** How a text falls into words: segments first (absent: the text is one), then words within each. */
export interface Scan {
  segment?: Scanner;
  word: Scanner;
}

export const gpt2Scan: Scan = { word: scanGpt2 };
/** GPT-2's words after every number character has been taken out alone. */
export const digitsScan: Scan = { segment: segmentDigits, word: scanGpt2 };
export const llama3Scan: Scan = { word: scanLlama(3) };
export const o200kScan: Scan = { word: scanO200k };
export const qwen2Scan: Scan = { word: scanLlama(1) };
export const deepSeekScan: Scan = { segment: segmentDeepSeek, word: scanDeepSeek };
