// Which runs of words are distinctive enough to prove that a page copied a benchmark: a formula alone, a run of numbers or
// the phrases of every exam ("which of the following is true") also stand on pages that copied nothing.

const names = (text: string) => new Set(text.split(" "));

/** Words that every text has, and those that every exam has. */
const COMMON = names(
  "the and for are was were has had have been being its his her their our your you she they not but from with that this these those into onto than then there here what which who whom whose where when why how can could will would shall should may might must does did done all any each every some both one two three first second about according among between over under after before more most less least same other another such only very also out off per via " +
    "following statement statements true false correct incorrect except none above below option options choose answer answers question questions",
);

/** TeX commands and functions as words: they are marks of a formula. */
const TEX = names(
  "frac dfrac tfrac cfrac sqrt left right begin end array matrix pmatrix bmatrix vmatrix cases aligned align hline text textbf mathrm mathbf mathbb mathcal operatorname cdot cdots ldots dots times div pm leq geq neq approx equiv infty quad qquad sum prod int lim log ln sin cos tan cot sec csc arcsin arccos arctan alpha beta gamma delta epsilon theta lambda mu pi rho sigma tau phi psi omega circ degree overline underline mathrm displaystyle",
);

const alphabetic = /^[\p{Script=Latin}\p{Script=Cyrillic}\p{Script=Greek}\p{N}]+$/u;
const letters = /\p{L}/gu;
const unsplit = /[^\p{Script=Latin}\p{Script=Cyrillic}\p{Script=Greek}\P{L}]/gu;

/** Whether a word is a character of a script that is written without blanks (see `wordsOf`). */
export const isUnsplit = (word: string) =>
  word.length === 1 && /[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]/.test(word);

/** Content words of a word: 1, 0, or for scripts that `wordsOf` does not split into words, half of its characters. */
function contentOf(word: string): number {
  if (!alphabetic.test(word)) return (word.match(unsplit)?.length ?? 0) / 2;
  if ((word.match(letters)?.length ?? 0) < 3) return 0;
  return COMMON.has(word) || TEX.has(word) ? 0 : 1;
}

/** Words of meaning: of three letters or more, neither common nor part of a formula's code. */
export function contentWords(words: readonly string[]): number {
  return words.reduce((n, word) => n + contentOf(word), 0);
}

/**
 * Whether a text of few words can be recognised by them: two content words among at least five words, or one among at least
 * four words, numbers and symbols that are not common ("simplify 10 4 n 5").
 */
export function isDistinctive(words: readonly string[]): boolean {
  const content = contentWords(words);
  const carrying = words.filter((word) => !COMMON.has(word)).length;
  return (content >= 2 && words.length >= 5) || (content >= 1 && carrying >= 4);
}
