// Token shards: written by `nsa data tokenize`, read lazily by the trainer.
export { TokenShards } from "./read.ts";
export { runTokenize, tokenizeSchema } from "./stage.ts";
export { type TokenIndex, tokenizeFiles } from "./write.ts";
