// Ways of writing a text so that a reader sees the same and a comparison of bytes does not; and changes that make it another.

const between = (mark: string) => (s: string) => [...s].join(mark);
const blanks = (mark: string) => (s: string) => s.replace(/ /g, mark);
const words = (of: (word: string, i: number) => string) => (s: string) => {
  let i = 0;
  return s.replace(/\p{L}{2,}/gu, (word) => of(word, i++));
};
const letters = (of: (c: string) => string) => (s: string) => s.replace(/[A-Za-z]/g, of);
const shifted = (small: number, capital: number) =>
  letters((c) =>
    String.fromCodePoint(c >= "a" ? small + c.charCodeAt(0) - 97 : capital + c.charCodeAt(0) - 65),
  );
const digits = (zero: number) => (s: string) =>
  s.replace(/\d/g, (d) => String.fromCodePoint(zero + Number(d)));
const homoglyphs = (pairs: string) => (s: string) => {
  const map = new Map(pairs.split(" ").map((pair) => [[...pair][0]!, [...pair][1]!]));
  return [...s].map((c) => map.get(c) ?? c).join("");
};
const everyThird = (open: string, close: string) =>
  words((word, i) => (i % 3 === 0 ? open + word + close : word));

/** Texts that are copies all the same. */
export const DISGUISES: Record<string, (text: string) => string> = {
  exact: (s) => s,
  capitals: (s) => s.toUpperCase(),
  "small letters": (s) => s.toLowerCase(),
  "other punctuation": (s) => s.replace(/[.,?!]/g, " ; "),
  "no punctuation": (s) => s.replace(/[,?!]/g, ""),
  "quotes around words": words((w) => `“${w}”`),
  "lines of words": blanks("\n"),
  "runs of blanks": blanks("   "),
  tabs: blanks("\t"),
  "no-break blanks": blanks("\u00a0"),
  "thin blanks": blanks("\u2009"),
  "narrow no-break blanks": blanks("\u202f"),
  "ideographic blanks": blanks("\u3000"),
  "no-break entities": blanks("&nbsp;"),
  "numbered entities": blanks("&#160;"),
  "TeX blanks": blanks("\\ "),
  ties: blanks("~"),
  emoji: blanks(" 🙂 "),
  bold: everyThird("<b>", "</b>"),
  "spans with classes": everyThird('<span class="x y">', "</span>"),
  "links around words": everyThird('<a href="https://a.org/b?c=d">', "</a>"),
  "tags within words": words((w) => `${w[0]}<i>${w.slice(1)}</i>`),
  "line-break tags": blanks("<br>"),
  "Markdown bold": everyThird("**", "**"),
  "Markdown bold within words": words((w) => (w.length > 3 ? `${w.slice(0, 2)}**${w.slice(2)}**` : w)),
  "Markdown italics": everyThird("_", "_"),
  "struck out": everyThird("~~", "~~"),
  code: everyThird("`", "`"),
  "TeX text": (s) => `\\text{${s}}`,
  "zero-width blanks": between("\u200b"),
  "zero-width joiners": between("\u200d"),
  "zero-width non-joiners": between("\u200c"),
  "soft hyphens": between("\u00ad"),
  "word joiners": between("\u2060"),
  "byte order marks": between("\ufeff"),
  "grapheme joiners": between("\u034f"),
  "variation selectors": between("\ufe0f"),
  "direction marks": between("\u200e"),
  "direction overrides": (s) => `\u202e${s}\u202c`,
  "Mongolian vowel separators": between("\u180e"),
  "tags of language": between("\u{e0061}"),
  "invisible times": between("\u2062"),
  "Hangul fillers": between("\u3164"),
  controls: between("\u0001"),
  deletes: between("\u007f"),
  "entities of soft hyphens": words((w) => `${w[0]}&shy;${w.slice(1)}`),
  "full-width": (s) =>
    [...s].map((c) => (c > " " && c < "\x7f" ? String.fromCharCode(c.charCodeAt(0) + 0xfee0) : c)).join(""),
  "mathematical bold": shifted(0x1d41a, 0x1d400),
  "mathematical monospace": shifted(0x1d68a, 0x1d670),
  "mathematical sans": shifted(0x1d5ba, 0x1d5a0),
  circled: shifted(0x24d0, 0x24b6),
  decomposed: (s) => s.normalize("NFD"),
  underlined: letters((c) => `${c}\u0332`),
  "struck letters": letters((c) => `${c}\u0336`),
  "Cyrillic letters among Latin": homoglyphs("aа eе oо pр cс xх"),
  "Greek letters among Latin": homoglyphs("oο AΑ EΕ TΤ"),
  "small capitals": homoglyphs("aᴀ eᴇ oᴏ tᴛ nɴ"),
  "capitals among Cyrillic letters": (s) => homoglyphs("aа eе oо pр cс xх")(s).toUpperCase(),
  "letters with blanks between": between(" "),
  "letters with hyphens between": words((w) => [...w].join("-")),
  "words without blanks": (s) => s.replace(/ /g, ""),
  "words divided at lines": words((w) => (w.length > 4 ? `${w.slice(0, 3)}-\n${w.slice(3)}` : w)),
  "no marks of punctuation": (s) => s.replace(/[.,;:?!'"“”‘’()（），。？！；：、…]/g, ""),
  "marks between all words": blanks(" … "),
  "numbers without commas": (s) => s.replace(/(?<=\d),(?=\d{3})/g, ""),
};

/** The same in other digits, where the question has a number. */
export const DIGITS: Record<string, (text: string) => string> = {
  "Arabic digits": digits(0x660),
  "Devanagari digits": digits(0x966),
  "full-width digits": digits(0xff10),
  "mathematical digits": digits(0x1d7ce),
};

/** Words, and single characters of scripts without blanks between words. */
const TOKEN = /[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[\p{L}\p{M}\p{N}]+/gu;

/** Texts that are others. */
export const CHANGES: Record<string, (text: string) => string> = {
  "other numbers": (s) => s.replace(/\d+/g, (n) => String(BigInt(n) * 2n + 3n)),
  "one other number": (s) => s.replace(/\d+/, (n) => String(BigInt(n) * 2n + 3n)),
  "every fourth word": (s) => {
    let i = 0;
    return s.replace(TOKEN, (word) =>
      i++ % 4 === 3 ? (/^[\u3040-\ud7af]$/.test(word) ? "另" : "another") : word,
    );
  },
  "word order": (s) => (s.match(TOKEN) ?? []).reverse().join(" "),
};
