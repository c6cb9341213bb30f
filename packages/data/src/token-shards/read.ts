// Token shards read lazily: the borders of documents in memory, tokens by positioned reads.
import { closeSync, openSync, readFileSync, readSync } from "node:fs";
import { join } from "node:path";
import { NsaError } from "@nsa/core";
import type { Documents, SharedDocuments } from "../loader/documents.ts";
import type { TokenIndex } from "./write.ts";

interface Shard {
  fd: number;
  /** First document's index, and where the tokens begin in the file. */
  first: number;
  tokensAt: number;
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

/** Opens one shard and checks that its tensors are where the header says. */
function openShard(file: string, first: number, index: TokenIndex): Shard {
  const fd = openSync(file, "r");
  try {
    const bytes = (n: number, at: number) => {
      const buffer = Buffer.alloc(n);
      if (readSync(fd, buffer, 0, n, at) !== n) throw new Error("it ends too early");
      return buffer;
    };
    const length = Number(bytes(8, 0).readBigUInt64LE());
    if (length > 2 ** 24) throw new Error("its header is not one of safetensors");
    const header = JSON.parse(bytes(length, 8).toString());
    if (header.__metadata__?.tokenizer_hash !== index.tokenizer_hash) {
      throw new Error("it was made by another tokenizer");
    }
    const [from, to] = header.doc_offsets.data_offsets as [number, number];
    const raw = bytes(to - from, 8 + length + from);
    const offsets = new BigUint64Array(raw.buffer.slice(raw.byteOffset, raw.byteOffset + raw.byteLength));
    return { fd, first, tokensAt: 8 + length + header.tokens.data_offsets[0], offsets };
  } catch (cause) {
    closeSync(fd);
    throw corrupt(file, (cause as Error).message, cause);
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
    const { fd, first, tokensAt, offsets } = this.shards[low]!;
    const [from, to] = [Number(offsets[i - first]), Number(offsets[i - first + 1])];
    const wide = this.index.dtype === "U32";
    const ids = wide ? new Uint32Array(to - from) : new Uint16Array(to - from);
    const got = readSync(fd, ids, 0, ids.byteLength, tokensAt + from * ids.BYTES_PER_ELEMENT);
    if (got !== ids.byteLength)
      throw corrupt(this.index.shards[low]!.file, `document ${i} runs past its end`);
    return Int32Array.from(ids);
  }

  share(): SharedDocuments {
    return { kind: "shards", folder: this.folder };
  }

  close(): void {
    for (const { fd } of this.shards) closeSync(fd);
  }
}
