// Token shards read lazily: the borders of documents in memory, tokens by positioned reads.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  firstComplaint,
  isIntact,
  NsaError,
  SafetensorsReader,
  sealSchema,
  sha256OfFileSync,
} from "@nsa/core";
import { z } from "zod";
import type { Documents, SharedDocuments } from "../loader/documents.ts";
import type { ShardEntry, TokenIndex } from "./write.ts";

const count = z.number().int().min(0);
/** What readers rely on; files written before there were seals have neither seal nor hashes. */
const indexSchema = z.looseObject({
  format: z.literal(1),
  tokenizer_hash: z.string(),
  vocab_size: z.number().int().min(1),
  dtype: z.enum(["U16", "U32"]),
  shards: z.array(
    z.looseObject({
      file: z.string().regex(/^[^/\\]+$/, "is not the name of a file in the folder"),
      documents: count,
      tokens: count,
      sha256: sealSchema.optional(),
    }),
  ),
});

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
    fix: "run `nsa data tokenize` again with the same inputs: it makes what is damaged again",
    exitCode: 3,
    cause,
  });
}

/** Borders of documents run from 0 to the number of tokens and never back. */
function checkBorders(offsets: BigUint64Array, { documents, tokens }: ShardEntry): void {
  if (offsets.length !== documents + 1 || offsets[0] !== 0n || offsets.at(-1) !== BigInt(tokens))
    throw new Error("its borders of documents are not those that index.json counts");
  for (let i = 1; i < offsets.length; i++)
    if (offsets[i]! < offsets[i - 1]!)
      throw new Error(`the border of document ${i} lies before the one of ${i - 1}`);
}

/** Opens one shard and checks that it is what was written, where `verify`, and has the tensors of one. */
function openShard(
  path: string,
  first: number,
  index: TokenIndex,
  entry: ShardEntry,
  verify: boolean,
): Shard {
  let file: SafetensorsReader;
  try {
    if (verify && entry.sha256 !== undefined && sha256OfFileSync(path) !== entry.sha256)
      throw new Error("it is not what was written (its SHA-256 differs)");
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
    checkBorders(offsets, entry);
    return { file, first, offsets };
  } catch (cause) {
    file.close();
    throw corrupt(path, (cause as Error).message, cause);
  }
}

function parseIndex(path: string, bytes: Buffer): TokenIndex {
  let json: unknown;
  try {
    json = JSON.parse(bytes.toString("utf8"));
  } catch (cause) {
    throw corrupt(path, "it is not JSON", cause);
  }
  const parsed = indexSchema.safeParse(json);
  if (!parsed.success) {
    const issue = firstComplaint(parsed.error, json);
    throw corrupt(
      path,
      `it is not what was written: ${issue.path === "" ? "" : `${issue.path}: `}${issue.why}`,
    );
  }
  if ("seal" in (json as object) && !isIntact(bytes, json as object))
    throw corrupt(path, "it is not what was written (its seal differs)");
  return json as TokenIndex;
}

/** The documents of a folder that `tokenizeFiles` wrote. Close it to release its files. */
export class TokenShards implements Documents {
  readonly length: number;
  private readonly shards: Shard[] = [];

  private constructor(
    readonly folder: string,
    readonly index: TokenIndex,
    verify: boolean,
  ) {
    let first = 0;
    try {
      for (const s of index.shards) {
        this.shards.push(openShard(join(folder, s.file), first, index, s, verify));
        first += s.documents;
      }
    } catch (error) {
      this.close();
      throw error;
    }
    this.length = first;
  }

  /**
   * Opens the shards; `verify` reads all of each once and compares its hash, which another thread or rank need not do again. `log` is
   * given a line where that takes a while.
   * Throws NsaError `token_shards_missing`, `token_shard_corrupt` (exit 3).
   */
  static open(
    folder: string,
    { verify = true, log }: { verify?: boolean; log?: (text: string) => void } = {},
  ): TokenShards {
    const path = join(folder, "index.json");
    let bytes: Buffer;
    try {
      bytes = readFileSync(path);
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
    const index = parseIndex(path, bytes);
    const gib = (index.tokens * (index.dtype === "U32" ? 4 : 2)) / 2 ** 30;
    if (verify && gib > 1) log?.(`comparing ${gib.toFixed(1)} GiB of ${folder} with their hashes`);
    return new TokenShards(folder, index, verify);
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
    // An id that the model has no row for would be read from beyond its embedding.
    const { vocab_size: size } = this.index;
    for (const id of ids)
      if (id >= size)
        throw corrupt(file.path, `document ${i} has the id ${id}, and the tokenizer has ${size}`);
    return Int32Array.from(ids);
  }

  share(): SharedDocuments {
    return { kind: "shards", folder: this.folder };
  }

  close(): void {
    for (const { file } of this.shards) file.close();
  }
}
