// The normal form in which pages and benchmarks are compared: markup, invisible characters and lookalike letters are removed from both.
import { canonicalText } from "../text/signs.ts";

/** Tags that stand inside a line, and those that break it. */
const INLINE =
  /<\/?(?:a|abbr|b|big|code|del|em|font|i|ins|kbd|mark|q|s|samp|small|span|strike|strong|sub|sup|tt|u|var|wbr)(?:\s[^<>]{0,300})?\/?>/gi;
const BREAKING = /<\/?(?:br|p|div|li|ul|ol|td|tr|th|table|h[1-6]|hr)(?:\s[^<>]{0,300})?\/?>/gi;
const ENTITY =
  /&(?:#(\d{1,7})|#x([\da-f]{1,6})|(nbsp|ensp|emsp|thinsp|shy|zwnj|zwj|lrm|rlm|amp|lt|gt|quot|apos|ndash|mdash|lsquo|rsquo|ldquo|rdquo|hellip));/gi;
const NAMED: Record<string, string> = {
  shy: "",
  zwnj: "",
  zwj: "",
  lrm: "",
  rlm: "",
  amp: "&",
  lt: "<",
  gt: ">",
  quot: '"',
  apos: "'",
  rsquo: "'",
};

/** Controls that are no blanks. */
const CONTROLS = /[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f]/g;
/** Emphasis that begins or ends within a word. */
const WITHIN_WORD = /(?<=\p{L})(?:\*\*|__|~~)(?=\p{L})/gu;
/**
 * Lines over, under and through letters, and whatever else is set on them and composes with none; vowel signs of Indic
 * scripts and Thai, which are no letters, so that one word would be many.
 */
const MARKS = /\p{M}+/gu;

/** Latin letters by the characters of other scripts that are drawn like them (homoglyphs). */
const LOOKALIKES = new Map<string, string>();
for (const [others, latin] of [
  ["аеорсухіјѕԁһԛԝӏ", "aeopcyxijsdhqwl"],
  ["АВЕКМНОРСТХІЈЅ", "ABEKMHOPCTXIJS"],
  ["ΑΒΕΖΗΙΚΜΝΟΡΤΥΧοϲ", "ABEZHIKMNOPTYXoc"],
  ["ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘʀꜱᴛᴜᴠᴡʏᴢ", "abcdefghijklmnoprstuvwyz"],
])
  for (const [i, c] of [...others!].entries()) LOOKALIKES.set(c, latin![i]!);
const LOOKALIKE = new RegExp(`[${[...LOOKALIKES.keys()].join("")}]`, "u");
const OTHER_SCRIPT = /\p{Script=Cyrillic}|\p{Script=Greek}/u;
const WORD = /[\p{L}\p{M}]+/gu;

/**
 * A word with letters of other scripts that pass for Latin ones: among Latin letters, or all of it. Whole words are judged
 * by their small letters, since more capitals than small letters are drawn alike (`ОН` is no `OH`).
 */
function latinWord(word: string): string {
  const judged = /\p{Script=Latin}/u.test(word) ? word : word.toLowerCase();
  if (!LOOKALIKE.test(judged)) return word;
  const letters = [...judged].map((c) => LOOKALIKES.get(c) ?? c);
  return letters.every((c) => /[^\p{Script=Cyrillic}\p{Script=Greek}]/u.test(c)) ? letters.join("") : word;
}

const DIGIT = /(?![0-9])\p{Nd}/gu;
const values = new Map<string, string>();

/** Digits of a script stand in runs of ten, which begin where no digit is before or ten are. */
function asciiDigit(c: string): string {
  let value = values.get(c);
  if (value === undefined) {
    let n = 0;
    for (let code = c.codePointAt(0)! - 1; /\p{Nd}/u.test(String.fromCodePoint(code)); code--) n++;
    value = String(n % 10);
    values.set(c, value);
  }
  return value;
}

function decoded(all: string, decimal?: string, hex?: string, name?: string): string {
  if (name !== undefined) return NAMED[name.toLowerCase()] ?? " ";
  const code = decimal === undefined ? Number.parseInt(hex!, 16) : Number(decimal);
  return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : all;
}

/**
 * A text without what copies hide behind: tags and entities that were left in it, invisible marks and controls, full-width
 * digits, letters with separate accents, lines through letters, and letters of other scripts inside Latin words.
 */
export function comparableText(text: string): string {
  let out = text;
  if (out.includes("<")) out = out.replace(INLINE, "").replace(BREAKING, " ");
  if (out.includes("&")) out = out.replace(ENTITY, decoded);
  out = out.replace(CONTROLS, "").replace(WITHIN_WORD, "");
  if (/^[\x00-\x7f]*$/.test(out)) return out;
  out = canonicalText(out)
    .normalize("NFKC")
    .replace(MARKS, "")
    .replace(DIGIT, asciiDigit)
    .replace(/[ßẞ]/g, "ss");
  return LOOKALIKE.test(out) || OTHER_SCRIPT.test(out) ? out.replace(WORD, latinWord) : out;
}
