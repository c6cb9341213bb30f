// A pretraining corpus from token shards: validation documents in memory, training documents left on disk.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { NsaError, Rng } from "@nsa/core";
import { subset, Tokenizer, TokenShards } from "@nsa/data";
import type { PretrainConfig } from "./config.ts";
import { type Corpus, heldOut, SPLIT_STREAM } from "./corpus.ts";

/** The documents of the shards end with a token; it must be the one that the model learns as the end. */
function checkEnd(folder: string, tokenizer: Tokenizer): void {
  if (!existsSync(join(folder, "tokenizer.json"))) return;
  const { eosId } = Tokenizer.load(folder);
  if (eosId === tokenizer.eosId) return;
  const name = (id: number) => `${tokenizer.idToToken(id)} (${id})`;
  throw new NsaError({
    code: "tokenizer_mismatch",
    what: `the documents of ${folder} end with ${name(eosId)}, those of the checkpoint with ${name(tokenizer.eosId)}`,
    why: "the model would learn a second end of text",
    fix: "run `nsa data tokenize` again with the checkpoint's folder as the tokenizer",
    exitCode: 3,
  });
}

/** Whether the hashes of shards are compared, and who is given a line where that takes a while. */
export type ShardCheck = Parameters<typeof TokenShards.open>[1];

/** Throws NsaError `token_shards_missing`, `token_shard_corrupt`, `tokenizer_mismatch`, `corpus_empty` (exit 3). */
export function openShards(
  folder: string,
  { data, seed }: PretrainConfig,
  tokenizerFrom?: string,
  check: ShardCheck = {},
): Corpus {
  const shards = TokenShards.open(folder, check);
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
    checkEnd(folder, tokenizer);
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
      validationBytes: bytes,
      close: () => shards.close(),
    };
  } catch (error) {
    shards.close();
    throw error;
  }
}
