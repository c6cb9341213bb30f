// Whether a few words that every text may contain ("general relativity predicts that") stand on a page by themselves, as a
// copied question does, and are no part of a longer sentence.

/** What may stand between a sentence and its end: blanks, quotes, brackets, marks of formulas and of emphasis. */
const AROUND = String.raw`[\s\p{Pi}\p{Pf}\p{Ps}\p{Pe}\p{So}"'*_~\x60$<>\\=]*`;
const END = String.raw`[.!?:;…。।؟¿¡|•]|\n`;
/** Words that only name the kind of text: TeX's, and labels of questions. */
const LABEL = String.raw`(?:(?:\\(?:text|mathrm|textbf|mbox))\s*)?`;

const escaped = (c: string) => c.replace(/[\\^$.*+?()[\]{}|/]/g, String.raw`\$&`);

/** `text` in the form of `comparableText`, `letters` those of the few words, without blanks. */
export function standsAlone(text: string, letters: string): boolean {
  const own = [...letters].map(escaped).join(String.raw`[^\p{L}\p{N}]*`);
  const before = new RegExp(`(?:^|${END})${AROUND}${LABEL}${AROUND}$`, "u");
  const after = new RegExp(`^${AROUND}(?:$|${END}|[,\\p{Lu}])`, "u");
  for (const match of text.matchAll(new RegExp(`(?<![\\p{L}\\p{N}])${own}(?![\\p{L}\\p{N}])`, "giu"))) {
    const end = match.index + match[0].length;
    if (
      before.test(text.slice(Math.max(0, match.index - 100), match.index)) &&
      after.test(text.slice(end, end + 100))
    )
      return true;
  }
  return false;
}
