// `nsa tokenizer`: trains a vocabulary from any corpus files, and shows ids.
import { type PreTokenizer, Tokenizer, trainTokenizerFrom } from "@nsa/data";

export async function trainTokenizer(
  files: string[],
  options: { out: string; vocabSize: number; preTokenizer: PreTokenizer },
): Promise<void> {
  const { tokenizer, documents } = await trainTokenizerFrom(files, options.out, options);
  console.log(`${tokenizer.vocabSize} ids from ${documents} documents: ${options.out}`);
}

export async function encodeText(path: string, text: string): Promise<void> {
  const tokenizer = Tokenizer.load(path);
  console.log([...tokenizer.encode(text), ...tokenizer.frame.after].join(" "));
}
