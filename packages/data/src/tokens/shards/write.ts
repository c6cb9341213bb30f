// Token shards on disk: `nsa data tokenize`. Each input file gets its shards; a rerun makes only what is missing.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import {
  atomicConcat,
  atomicWriteFile,
  fsyncPath,
  NsaError,
  removePartial,
  sealJson,
  sha256OfFileSync,
  writeSafetensors,
} from "@nsa/core";
import { checkQuarantine } from "../../corpus/readers/quarantine.ts";
import { readDocuments } from "../../corpus/readers/read.ts";
import { JsonlWriter } from "../../corpus/readers/write.ts";
import { tokenizerFiles } from "../../tokenizer/files.ts";
import type { Tokenizer } from "../../tokenizer/tokenizer.ts";

/** One shard: `tokens` (U16, or U32 for large vocabularies) and `doc_offsets` (U64, [documents + 1]). */
export interface ShardEntry {
  file: string;
  documents: number;
  tokens: number;
  /** Absent in shards written before this field existed. */
  sha256?: string;
}

/** What one input file became; written last, so that its presence means the shards are whole. */
interface Part {
  key: string;
  shards: ShardEntry[];
  refused: number;
  reasons: Record<string, number>;
  bytes: number;
  /** Documents by length: bin i holds 2^i to 2^(i+1) − 1 tokens. */
  lengths: number[];
}

export interface TokenIndex {
  format: 1;
  tokenizer_hash: string;
  vocab_size: number;
  dtype: "U16" | "U32";
  shards: ShardEntry[];
  documents: number;
  tokens: number;
  bytes: number;
  refused: number;
  /** Refused records by reason; each is in `quarantine.jsonl`. */
  reasons: Record<string, number>;
  /** Documents by length: bin i holds 2^i to 2^(i+1) − 1 tokens. */
  length_histogram: number[];
}

export interface TokenizeOptions {
  tokenizer: Tokenizer;
  out: string;
  /** A shard is closed when it holds this many tokens. */
  shardTokens?: number;
  maxRecordBytes?: number;
  /** More refused records than this share are an error; 0.05 where it is not given. */
  maxQuarantineShare?: number;
  /** Called after each input file with what there is so far. */
  onFile?: (done: {
    files: number;
    of: number;
    documents: number;
    tokens: number;
    bytes: number;
    made: boolean;
  }) => void;
}

/** Raised when the files of a part change, so that old ones are made again. */
const FORMAT = 2;
const SHARD_TOKENS = 2 ** 26;
const MAX_RECORD_BYTES = 64 * 2 ** 20;

/** Tokens and borders of the shard being filled. */
class Open {
  tokens: Uint16Array | Uint32Array;
  used = 0;
  offsets: number[] = [0];

  constructor(private readonly wide: boolean) {
    this.tokens = wide ? new Uint32Array(1 << 16) : new Uint16Array(1 << 16);
  }

  add(ids: Int32Array, eos: number): void {
    const end = this.used + ids.length + 1;
    if (end > this.tokens.length) {
      const size = Math.max(end, this.tokens.length * 2);
      const next = this.wide ? new Uint32Array(size) : new Uint16Array(size);
      next.set(this.tokens);
      this.tokens = next;
    }
    this.tokens.set(ids, this.used);
    this.tokens[end - 1] = eos;
    this.used = end;
    this.offsets.push(end);
  }

  clear(): void {
    this.used = 0;
    this.offsets = [0];
  }
}

/**
 * What a part of shards is made of, hashed. Tokens that shards have besides those of their texts count where there are any, so that
 * parts of before they were stated stay valid for other tokenizers.
 */
function keyOf(path: string, tokenizer: Tokenizer, shardTokens: number): string {
  const { size, mtimeMs } = statSync(path);
  const { before, after } = tokenizer.frame;
  const ends = tokenizer.stated.eosIds ? [tokenizer.eosId] : [];
  const around = before.length + after.length > 0 ? [`${before}|${after}`] : [];
  const made = [FORMAT, tokenizer.hash, shardTokens, basename(path), size, mtimeMs, ...ends, ...around];
  return createHash("sha256").update(made.join("\n")).digest("hex");
}

/** The part that an earlier run made of an input file, if it is of this key and its shards are what was written. */
function wholePart(out: string, name: string, key: string): Part | undefined {
  let part: Part;
  try {
    part = JSON.parse(readFileSync(join(out, `${name}.part.json`), "utf8"));
    if (part.key !== key || !existsSync(join(out, `${name}.quarantine.jsonl`))) return undefined;
    const sound = part.shards.every(({ file, sha256 }) => {
      const there = existsSync(join(out, file));
      return there && (sha256 === undefined || sha256OfFileSync(join(out, file)) === sha256);
    });
    return sound ? part : undefined;
  } catch {
    // Absent or damaged: it is made again.
    return undefined;
  }
}

/**
 * Tokenizes files into shards under `out`, each document ending with the end-of-text id, and writes `index.json` and
 * the tokenizer beside them. Throws NsaError `corpus_empty` (exit 3) when no file holds a document.
 */
export async function tokenizeFiles(files: string[], options: TokenizeOptions): Promise<TokenIndex> {
  const { tokenizer, out, onFile } = options;
  const shardTokens = options.shardTokens ?? SHARD_TOKENS;
  const wide = tokenizer.vocabSize > 65_536;
  mkdirSync(out, { recursive: true });
  const index: TokenIndex = {
    format: 1,
    tokenizer_hash: tokenizer.hash,
    vocab_size: tokenizer.vocabSize,
    dtype: wide ? "U32" : "U16",
    shards: [],
    documents: 0,
    tokens: 0,
    bytes: 0,
    refused: 0,
    reasons: {},
    length_histogram: [],
  };
  const quarantine: string[] = [];
  for (const [n, path] of files.entries()) {
    const key = keyOf(path, tokenizer, shardTokens);
    const name = String(n).padStart(5, "0");
    const partFile = join(out, `${name}.part.json`);
    let part = wholePart(out, name, key);
    const whole = part !== undefined;
    if (!part) {
      try {
        part = await tokenizeFile(path, name, key, { ...options, shardTokens, wide });
      } catch (error) {
        removePartial(join(out, `${name}.quarantine.jsonl.tmp`));
        throw error;
      }
      atomicWriteFile(partFile, JSON.stringify(part));
    }
    index.shards.push(...part.shards);
    index.documents += part.shards.reduce((a, s) => a + s.documents, 0);
    index.tokens += part.shards.reduce((a, s) => a + s.tokens, 0);
    index.bytes += part.bytes;
    index.refused += part.refused;
    for (const [reason, k] of Object.entries(part.reasons))
      index.reasons[reason] = (index.reasons[reason] ?? 0) + k;
    for (const [bin, k] of part.lengths.entries())
      index.length_histogram[bin] = (index.length_histogram[bin] ?? 0) + k;
    quarantine.push(join(out, `${name}.quarantine.jsonl`));
    const { documents, tokens, bytes } = index;
    onFile?.({ files: n + 1, of: files.length, documents, tokens, bytes, made: !whole });
  }
  const refusals = join(out, "quarantine.jsonl");
  atomicConcat(refusals, quarantine);
  checkQuarantine(index, options.maxQuarantineShare ?? 0.05, {
    what: "the inputs",
    path: refusals,
    fix: "mend the inputs",
  });
  if (index.documents === 0) {
    throw new NsaError({
      code: "corpus_empty",
      what: "there is nothing to tokenize",
      why: `${files.length} files hold no usable document, ${index.refused} records were refused`,
      fix: "check the inputs with `nsa data stats`",
      exitCode: 3,
    });
  }
  for (const [name, content] of Object.entries(tokenizerFiles(tokenizer)))
    atomicWriteFile(join(out, name), content);
  atomicWriteFile(join(out, "index.json"), sealJson(index));
  return index;
}

async function tokenizeFile(
  path: string,
  name: string,
  key: string,
  options: TokenizeOptions & { shardTokens: number; wide: boolean },
): Promise<Part> {
  const { tokenizer, out, shardTokens, wide } = options;
  const part: Part = { key, shards: [], refused: 0, reasons: {}, bytes: 0, lengths: [] };
  const quarantine = join(out, `${name}.quarantine.jsonl`);
  const refusals = new JsonlWriter(`${quarantine}.tmp`);
  const open = new Open(wide);
  const close = () => {
    const documents = open.offsets.length - 1;
    if (documents === 0) return;
    const file = `${name}-${String(part.shards.length).padStart(3, "0")}.safetensors`;
    const offsets = BigUint64Array.from(open.offsets, BigInt);
    writeSafetensors(
      join(out, `${file}.tmp`),
      [
        { name: "doc_offsets", dtype: "U64", shape: [documents + 1], data: () => offsets },
        {
          name: "tokens",
          dtype: wide ? "U32" : "U16",
          shape: [open.used],
          data: () => open.tokens.subarray(0, open.used),
        },
      ],
      { tokenizer_hash: tokenizer.hash },
    );
    // On disk before the part that lists it: a power cut must not leave a list of empty shards.
    fsyncPath(join(out, `${file}.tmp`));
    renameSync(join(out, `${file}.tmp`), join(out, file));
    const sha256 = sha256OfFileSync(join(out, file));
    part.shards.push({ file, documents, tokens: open.used, sha256 });
    open.clear();
  };
  const limits = { maxRecordBytes: options.maxRecordBytes ?? MAX_RECORD_BYTES };
  for await (const event of readDocuments(path, limits)) {
    if ("refusal" in event) {
      const { reason } = event.refusal;
      part.refused++;
      part.reasons[reason] = (part.reasons[reason] ?? 0) + 1;
      refusals.write(event.refusal);
    }
    if (!("document" in event)) continue;
    const { text } = event.document;
    part.bytes += Buffer.byteLength(text);
    const ids = tokenizer.encodeDocument(text);
    open.add(ids, tokenizer.eosId);
    const bin = Math.floor(Math.log2(ids.length + 1));
    while (part.lengths.length <= bin) part.lengths.push(0);
    part.lengths[bin]!++;
    if (open.used >= shardTokens) close();
  }
  close();
  refusals.close();
  renameSync(`${quarantine}.tmp`, quarantine);
  return part;
}
