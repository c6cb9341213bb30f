// The view of a text that duplicate and contamination checks share: lower-case words of letters and digits, one
// space between; Han, kana and Hangul characters count as words of their own.

const CJK = /[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]/;
const CJK_ALL = /[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]/g;

export function wordsOf(text: string): string {
  const words = text
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, " ")
    .trim();
  return CJK.test(words) ? words.replace(CJK_ALL, " $& ").replace(/ {2,}/g, " ").trim() : words;
}
