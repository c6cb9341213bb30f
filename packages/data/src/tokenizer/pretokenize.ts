// Pre-tokenizers of the vocabularies trained here: the split of text into words inside which BPE merges.
import { digitsScan, gpt2Scan } from "./scan.ts";
import { scanSplitter } from "./split.ts";

/** `gpt2`: GPT-2's expression. `digits`: every digit alone first, so that numbers are read digit by digit. */
export type PreTokenizer = "gpt2" | "digits";

const splitters = { gpt2: scanSplitter(gpt2Scan), digits: scanSplitter(digitsScan) };

/** UTF-16 units of a text in a buffer that may be used again. */
export function unitsOf(text: string, into: Uint16Array<ArrayBuffer>): Uint16Array<ArrayBuffer> {
  const codes = into.length >= text.length ? into : new Uint16Array(text.length * 2);
  Buffer.from(codes.buffer, codes.byteOffset).write(text, "utf16le");
  return codes;
}

/** Words of the text in order; their concatenation is the text. */
export function preTokenize(text: string, kind: PreTokenizer): string[] {
  const ends = new Int32Array(text.length);
  const count = splitters[kind](text, unitsOf(text, new Uint16Array(0)), text.length, ends);
  return Array.from({ length: count }, (_, i) => text.slice(i === 0 ? 0 : ends[i - 1], ends[i]));
}
