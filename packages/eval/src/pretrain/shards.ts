// A pretraining corpus from token shards: validation documents in memory, training documents left on disk.
import { NsaError, Rng } from "@nsa/core";
import { subset, Tokenizer, TokenShards } from "@nsa/data";
import type { PretrainConfig } from "./config.ts";
import { type Corpus, heldOut, SPLIT_STREAM } from "./corpus.ts";

/** Throws NsaError `token_shards_missing`, `token_shard_corrupt`, `tokenizer_mismatch`, `corpus_empty` (exit 3). */
export function openShards(folder: string, { data, seed }: PretrainConfig, tokenizerFrom?: string): Corpus {
  const shards = TokenShards.open(folder);
  try {
    const tokenizer = Tokenizer.load(tokenizerFrom ?? folder);
    if (shards.index.tokenizer_hash !== tokenizer.hash) {
      throw new NsaError({
        code: "tokenizer_mismatch",
        what: `${folder} was tokenized with another tokenizer than the checkpoint's`,
        why: "its ids mean other texts",
        fix: "run `nsa data tokenize` with the checkpoint's tokenizer.json",
        exitCode: 3,
      });
    }
    const held = heldOut(data.validationShare, shards.length);
    const order = new Rng(seed, SPLIT_STREAM).permutation(shards.length);
    const validation: Int32Array[] = [];
    let [tokens, bytes] = [0, 0];
    for (const i of order.subarray(0, held)) {
      if (tokens >= data.validationTokens) break;
      const ids = shards.get(i);
      validation.push(ids);
      tokens += ids.length;
      for (const id of ids) bytes += tokenizer.isSpecial(id) ? 0 : tokenizer.bytesOf(id).length;
    }
    const rest = order.subarray(held);
    const { index } = shards;
    return {
      tokenizer,
      train: subset(shards, rest),
      trainTokens: Math.round((index.tokens * rest.length) / shards.length),
      validation,
      bytesPerToken: tokens > 0 ? bytes / tokens : index.bytes / index.tokens,
      close: () => shards.close(),
    };
  } catch (error) {
    shards.close();
    throw error;
  }
}
