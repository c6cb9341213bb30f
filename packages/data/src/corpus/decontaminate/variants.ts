// Whether a page that shares words with a question states it with other numbers. Such a page is another question: it stays,
// although two of its numbers may be ten words apart.
//
// From the shared words on, page and question are aligned to both sides, word by word. A few words may differ, be missing or
// be added (a name, a footnote); a number counts as changed where both have one and the words behind it agree again.

/** Words to each side that are aligned, at most. */
const MAX_ALIGNED = 200;
/** Words that may be skipped in both texts together before they agree again. */
const MAX_SKIPPED = 6;
/** Words that must agree behind skipped ones. */
const RESUMED = 2;

const SMALL =
  "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split(
    " ",
  );
const TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split(" ");
const NUMBER_WORDS = new Map<string, number>([
  ...SMALL.map((word, i) => [word, i] as const),
  ...TENS.map((word, i) => [word, 20 + 10 * i] as const),
  ["hundred", 100],
  ["thousand", 1000],
  ["dozen", 12],
]);

const DIGITS = /^\d+$/;
const isNumber = (word: string | undefined): word is string =>
  word !== undefined && (DIGITS.test(word) || NUMBER_WORDS.has(word));

/** What a run of numbers writes: its digits, those of words by their value ("forty eight" is 48). */
function digitsOf(run: readonly string[]): string {
  let out = "";
  for (let i = 0; i < run.length; i++) {
    const value = NUMBER_WORDS.get(run[i]!);
    if (value === undefined) {
      out += run[i]!;
      continue;
    }
    const unit = NUMBER_WORDS.get(run[i + 1] ?? "");
    const joined = value >= 20 && value < 100 && unit !== undefined && unit > 0 && unit < 10;
    out += joined ? value + unit : value;
    if (joined) i++;
  }
  return out;
}

/** Whether one run begins or ends with the other: a footnote's or an item's number stands beside the question's. */
const within = (a: string, b: string) => a.startsWith(b) || a.endsWith(b) || b.startsWith(a) || b.endsWith(a);

/** Runs differ unless they have the same digits, or one is the other with further words at an end. */
function differ(a: readonly string[], b: readonly string[]): boolean {
  if (a.length === b.length) return digitsOf(a) !== digitsOf(b);
  return digitsOf(a) !== digitsOf(b) && !within(` ${a.join(" ")} `, ` ${b.join(" ")} `);
}

/** A text's words from one place to an end. */
interface Side {
  words: readonly string[];
  at: number;
  step: 1 | -1;
}

const peek = (side: Side, ahead = 0): string | undefined => side.words[side.at + ahead * side.step];

/** Takes the numbers that stand side by side, in the order of the text. */
function takeRun(side: Side): string[] {
  const run: string[] = [];
  for (let word = peek(side); isNumber(word); word = peek(side)) {
    run.push(word);
    side.at += side.step;
  }
  return side.step === 1 ? run : run.reverse();
}

/** Words with digits inside (`3x`, `16টি`) that are the same but for these. */
function sameButDigits(a: string, b: string): boolean {
  return /\d/.test(a) && /\d/.test(b) && a.replace(/\d+/g, "0") === b.replace(/\d+/g, "0");
}

function agree(page: Side, question: Side, a: number, b: number): boolean {
  for (let i = 0; i < RESUMED; i++) {
    const asked = peek(question, b + i);
    if (asked === undefined) return i > 0;
    if (asked !== peek(page, a + i)) return false;
  }
  return true;
}

/** Takes so many words and gives the numbers among them. */
function numbersOf(side: Side, words: number): string[] {
  const numbers: string[] = [];
  for (let i = 0; i < words; i++) if (isNumber(peek(side, i))) numbers.push(peek(side, i)!);
  side.at += words * side.step;
  return side.step === 1 ? numbers : numbers.reverse();
}

/** Moves both to where they agree again: whether the words between have other numbers; undefined where they do not agree. */
function resume(page: Side, question: Side): boolean | undefined {
  for (let skipped = 1; skipped <= MAX_SKIPPED; skipped++)
    for (let b = 0; b <= skipped; b++) {
      if (!agree(page, question, skipped - b, b)) continue;
      const [written, wanted] = [numbersOf(page, skipped - b), numbersOf(question, b)];
      return written.length > 0 && wanted.length > 0 && differ(written, wanted);
    }
  return undefined;
}

export interface Alignment {
  /** Words that agree, the shared ones not counted. */
  agreed: number;
  /** Numbers that differ. */
  changed: number;
}

/** Aligns two texts from a place on, as far as they agree. */
function align(page: Side, question: Side): Alignment {
  const out: Alignment = { agreed: 0, changed: 0 };
  while (out.agreed + out.changed < MAX_ALIGNED) {
    const [has, asked] = [peek(page), peek(question)];
    if (has === undefined || asked === undefined) break;
    if (isNumber(has) && isNumber(asked)) {
      const [written, wanted] = [takeRun(page), takeRun(question)];
      const [next, found] = [peek(question), peek(page)];
      if (!differ(written, wanted)) out.agreed += wanted.length;
      else if (next === undefined || next === found || sameButDigits(next, found ?? "")) out.changed++;
      else break;
    } else if (has === asked || sameButDigits(has, asked)) {
      if (has === asked) out.agreed++;
      else out.changed++;
      page.at += page.step;
      question.at += question.step;
    } else {
      const other = resume(page, question);
      if (other === undefined) break;
      if (other) out.changed++;
    }
  }
  return out;
}

/**
 * Aligns a page with a question from words that they share on, to both sides: those from `p` in the page and `q` in the
 * question, `n` of them.
 */
export function alignAround(
  page: readonly string[],
  p: number,
  question: readonly string[],
  q: number,
  n: number,
): Alignment {
  const after = align({ words: page, at: p + n, step: 1 }, { words: question, at: q + n, step: 1 });
  const before = align({ words: page, at: p - 1, step: -1 }, { words: question, at: q - 1, step: -1 });
  return { agreed: after.agreed + before.agreed, changed: after.changed + before.changed };
}
