// Pre-tokenizers: the split of text into words inside which BPE merges.

/** `gpt2`: GPT-2's expression. `digits`: every digit alone first, so that numbers are read digit by digit. */
export type PreTokenizer = "gpt2" | "digits";

const GPT2 = /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+/gu;

/** Words of the text in order; their concatenation is the text. */
export function preTokenize(text: string, kind: PreTokenizer): string[] {
  if (kind === "gpt2") return text.match(GPT2) ?? [];
  const words: string[] = [];
  for (const piece of text.split(/(\p{Nd})/u)) {
    if (piece !== "") words.push(...(piece.match(GPT2) ?? []));
  }
  return words;
}
