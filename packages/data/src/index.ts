// Public surface of @nsa/data.
export * from "./decontaminate/index.ts";
export * from "./dedup/index.ts";
export * from "./extract/index.ts";
export * from "./fasttext/index.ts";
export * from "./generate/index.ts";
export * from "./jobs/index.ts";
export * from "./loader/index.ts";
export * from "./loop/index.ts";
export { hasNative } from "./native.ts";
export * from "./pack/index.ts";
export * from "./readers/index.ts";
export { classifierLine, wordLines, wordsOf } from "./text/lines.ts";
export * from "./token-shards/index.ts";
export * from "./tokenizer/index.ts";
