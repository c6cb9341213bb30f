// Texts in their three normal forms, as newline-ended lines of UTF-8 in one growing buffer: a table lookup a character,
// no string between.
import { charClasses, HALF, HAN, MARK, needsContext, SPACE } from "./classes.ts";
import { canonicalText, signAt } from "./signs.ts";

const CJK = /[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]/g;
const REPLACEMENT = 0xfffd;
/** Which marks a normal form has: none, those that are signs, all. */
const NONE = 0;
const SIGNS = 1;
const ALL = 2;
type Marks = typeof NONE | typeof SIGNS | typeof ALL;

/** What `wordsOf` is, by regular expressions. */
export function wordsByDefinition(text: string): string {
  return text
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, " ")
    .replace(CJK, " $& ")
    .replace(/ {2,}/g, " ")
    .trim();
}

/** What `classifierLine` is, by regular expressions. */
export function classifierByDefinition(title: string, text: string): string {
  return `${title} ${text}`
    .toLowerCase()
    .replace(/([^\p{L}\p{N}\s])/gu, " $1 ")
    .replace(/[\s\0]+/g, " ")
    .trim();
}

export class TextLines {
  private buffer = Buffer.allocUnsafe(1 << 12);
  /** Bytes held. */
  length = 0;
  count = 0;
  private classes = charClasses();

  /** Valid until the next line is added. */
  bytes(): Buffer {
    return this.buffer.subarray(0, this.length);
  }

  clear(): void {
    this.length = 0;
    this.count = 0;
  }

  /** Adds a line of the text's words (see `wordsOf`). */
  addWords(text: string): void {
    if (needsContext.test(text)) this.add(wordsByDefinition(text));
    else this.end(this.scan(text, this.length, this.length, false, NONE));
  }

  /** Adds what tells the text apart from others: its words and its signs (see `comparedForm`). */
  addCompared(text: string): void {
    const form = canonicalText(text);
    // Letters whose lower case depends on others are told apart well enough by their own.
    const lower = needsContext.test(form) ? form.toLowerCase() : form;
    this.end(this.scan(lower, this.length, this.length, false, SIGNS));
  }

  /** Adds the classifier's view of a page (see `classifierLine`). */
  addClassifierLine(title: string, text: string): void {
    if (needsContext.test(title) || needsContext.test(text)) this.add(classifierByDefinition(title, text));
    else {
      const start = this.length;
      const at = this.scan(title, start, start, false, ALL);
      this.end(this.scan(text, start, at, true, ALL));
    }
  }

  /** Adds a line as it is. */
  add(line: string): void {
    this.reserve(this.length, 3 * line.length);
    this.end(this.length + this.buffer.write(line, this.length));
  }

  private end(at: number): void {
    this.buffer[at] = 10;
    this.length = at + 1;
    this.count++;
  }

  private reserve(at: number, bytes: number): void {
    const needed = at + bytes + 1;
    if (needed <= this.buffer.length) return;
    const bigger = Buffer.allocUnsafe(Math.max(needed, 2 * this.buffer.length));
    this.buffer.copy(bigger, 0, 0, at);
    this.buffer = bigger;
  }

  /** Writes the normal form of `text` from `at` on; `gap`: a space is due before the next word. Returns the end. */
  private scan(text: string, start: number, from: number, gap: boolean, marks: Marks): number {
    // A unit takes three bytes at most, and a space before it.
    this.reserve(from, 4 * text.length + 4);
    const { kind, lower, beyond } = this.classes;
    const out = this.buffer;
    const single = marks === ALL ? MARK : HAN;
    let at = from;
    let due = gap;
    for (let i = 0; i < text.length; i++) {
      const unit = text.charCodeAt(i);
      let k = kind[unit]!;
      let c = lower[unit]!;
      if (k === HALF) {
        const code = text.codePointAt(i)!;
        const pair = code > 0xffff ? beyond(code) : { kind: MARK, lower: REPLACEMENT };
        if (code > 0xffff) i++;
        k = pair.kind;
        c = pair.lower;
      }
      let sign = false;
      if (k === MARK && marks === SIGNS && c < 0x10000) {
        c = signAt(text, i);
        sign = c !== 0;
      }
      if (k === SPACE || (k === MARK && !sign && marks !== ALL)) {
        due = true;
        continue;
      }
      const alone = sign || k === single;
      if ((due || alone) && at > start) out[at++] = 32;
      due = alone;
      if (c < 0x80) out[at++] = c;
      else if (c < 0x800) {
        out[at++] = 0xc0 | (c >> 6);
        out[at++] = 0x80 | (c & 63);
      } else {
        if (c < 0x10000) out[at++] = 0xe0 | (c >> 12);
        else {
          out[at++] = 0xf0 | (c >> 18);
          out[at++] = 0x80 | ((c >> 12) & 63);
        }
        out[at++] = 0x80 | ((c >> 6) & 63);
        out[at++] = 0x80 | (c & 63);
      }
    }
    return at;
  }
}

/**
 * The view of a text by which duplicates are found: `wordsOf` with operators, signs and brackets as words of their own,
 * whatever width, composition and invisible marks its characters have. Punctuation of prose does not count.
 */
export function comparedForm(text: string): string {
  const lines = new TextLines();
  lines.addCompared(text);
  return lines.bytes().toString("utf8", 0, lines.length - 1);
}

/** Lines of the words of texts. */
export function wordLines(texts: Iterable<string>): Buffer {
  const lines = new TextLines();
  for (const text of texts) lines.addWords(text);
  return lines.bytes();
}

/**
 * The view of a text by which contamination is found: lower-case words of letters and digits, one space
 * between; Han, kana and Hangul characters count as words of their own.
 */
export function wordsOf(text: string): string {
  const lines = new TextLines();
  lines.addWords(text);
  return lines.bytes().toString("utf8", 0, lines.length - 1);
}

/**
 * The classifier's view of a page: title and text as one line, lower case, punctuation as words of its own. Marks such
 * as `$`, `\` and `=` are kept: they tell mathematics apart.
 */
export function classifierLine(title: string, text: string): string {
  const lines = new TextLines();
  lines.addClassifierLine(title, text);
  return lines.bytes().toString("utf8", 0, lines.length - 1);
}
