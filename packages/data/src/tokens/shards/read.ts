// Token shards read lazily: the borders of documents in memory, tokens by positioned reads.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { NsaError, SafetensorsReader } from "@nsa/core";
import type { Documents, SharedDocuments } from "../loader/documents.ts";
import type { TokenIndex } from "./write.ts";

interface Shard {
  file: SafetensorsReader;
  /** Index of the first document. */
  first: number;
  offsets: BigUint64Array;
}

function corrupt(file: string, why: string, cause?: unknown): NsaError {
  return new NsaError({
    code: "token_shard_corrupt",
    what: `${file} cannot be read`,
    why,
    fix: "remove its .part.json and run `nsa data tokenize` again",
    exitCode: 3,
    cause,
  });
}

/** Opens one shard and checks that it has the tensors of one. */
function openShard(path: string, first: number, index: TokenIndex): Shard {
  let file: SafetensorsReader;
  try {
    file = SafetensorsReader.open(path);
  } catch (cause) {
    throw corrupt(path, cause instanceof NsaError ? cause.why : (cause as Error).message, cause);
  }
  try {
    if (file.metadata.tokenizer_hash !== index.tokenizer_hash)
      throw new Error("it was made by another tokenizer");
    if (file.entry("tokens").dtype !== index.dtype || file.entry("doc_offsets").dtype !== "U64")
      throw new Error("its tensors have another dtype than index.json states");
    const offsets = new BigUint64Array(file.bytes("doc_offsets").buffer as ArrayBuffer);
    return { file, first, offsets };
  } catch (cause) {
    file.close();
    throw corrupt(path, (cause as Error).message, cause);
  }
}

/** The documents of a folder that `tokenizeFiles` wrote. Close it to release its files. */
export class TokenShards implements Documents {
  readonly length: number;
  private readonly shards: Shard[] = [];

  private constructor(
    readonly folder: string,
    readonly index: TokenIndex,
  ) {
    let first = 0;
    for (const s of index.shards) {
      this.shards.push(openShard(join(folder, s.file), first, index));
      first += s.documents;
    }
    this.length = first;
  }

  /** Throws NsaError `token_shards_missing`, `token_shard_corrupt` (exit 3). */
  static open(folder: string): TokenShards {
    let index: TokenIndex;
    try {
      index = JSON.parse(readFileSync(join(folder, "index.json"), "utf8"));
    } catch (cause) {
      throw new NsaError({
        code: "token_shards_missing",
        what: `${folder} holds no token shards`,
        why: (cause as Error).message,
        fix: "make them with `nsa data tokenize`",
        exitCode: 3,
        cause,
      });
    }
    return new TokenShards(folder, index);
  }

  /** Ids of one document, its end-of-text id included. */
  get(i: number): Int32Array {
    let [low, high] = [0, this.shards.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.shards[middle]!.first <= i) low = middle;
      else high = middle - 1;
    }
    const { file, first, offsets } = this.shards[low]!;
    const [from, to] = [Number(offsets[i - first]), Number(offsets[i - first + 1])];
    const wide = this.index.dtype === "U32";
    const ids = wide ? new Uint32Array(to - from) : new Uint16Array(to - from);
    const bytes = new Uint8Array(ids.buffer);
    try {
      file.readInto("tokens", bytes, from * ids.BYTES_PER_ELEMENT);
    } catch (cause) {
      throw corrupt(file.path, `document ${i} runs past its end`, cause);
    }
    return Int32Array.from(ids);
  }

  share(): SharedDocuments {
    return { kind: "shards", folder: this.folder };
  }

  close(): void {
    for (const { file } of this.shards) file.close();
  }
}
