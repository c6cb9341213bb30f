// Byte-level BPE: training, encoding, decoding.

export { modelFiles, tokenizerFiles } from "./files.ts";
export { runTokenizer, tokenizerSchema, trainTokenizerFrom } from "./from-files.ts";
export { type PreTokenizer, preTokenize } from "./pretokenize.ts";
export { Tokenizer } from "./tokenizer.ts";
export { type BpeTraining, trainBpe } from "./train.ts";
