// `nsa tokenizer`: trains a vocabulary from any corpus files, and shows ids.
import { atomicWriteFile } from "@nsa/core";
import { expandInputs, type PreTokenizer, readDocuments, Tokenizer, trainBpe } from "@nsa/data";

export async function trainTokenizer(
  files: string[],
  options: { out: string; vocabSize: number; preTokenizer: PreTokenizer },
): Promise<void> {
  const texts: string[] = [];
  for (const path of expandInputs(files)) {
    for await (const event of readDocuments(path, { maxRecordBytes: 64 * 2 ** 20 })) {
      if ("document" in event) texts.push(event.document.text);
    }
  }
  const json = trainBpe(texts, {
    vocabSize: options.vocabSize,
    preTokenizer: options.preTokenizer,
    specialTokens: ["<|endoftext|>"],
  });
  atomicWriteFile(options.out, JSON.stringify(json));
  console.log(`${new Tokenizer(json).vocabSize} ids from ${texts.length} documents: ${options.out}`);
}

export async function encodeText(path: string, text: string): Promise<void> {
  console.log(Tokenizer.load(path).encode(text).join(" "));
}
