// Byte-level BPE encoder and decoder over a Hugging Face `tokenizer.json`: own scanners, merge loop and cache of words.
import { createHash } from "node:crypto";
import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { NsaError } from "@nsa/core";
import { byteChars, tokenBytes } from "./bytes.ts";
import { MergeTable } from "./merges.ts";
import { readSpecialTokens, type SpecialTokens } from "./special-tokens.ts";
import { type PreTokenizerJson, splitterOf } from "./split.ts";
import { WordEncoder } from "./word-encoder.ts";

interface AddedToken {
  id: number;
  content: string;
  special?: boolean;
  lstrip?: boolean;
  rstrip?: boolean;
  single_word?: boolean;
}

interface NormalizerJson {
  type: string;
  normalizers?: NormalizerJson[];
}

interface TokenizerJson {
  added_tokens?: AddedToken[];
  pre_tokenizer?: PreTokenizerJson | null;
  normalizer?: NormalizerJson | null;
  model: {
    type: string;
    vocab: Record<string, number>;
    merges: (string | [string, string])[];
    ignore_merges?: boolean;
    byte_fallback?: boolean;
  };
}

function unsupported(what: string): NsaError {
  return new NsaError({
    code: "tokenizer_unsupported",
    what,
    why: "only byte-level BPE, with NFC or no normalizer, is encoded here",
    fix: "train one with `nsa tokenizer train`",
    exitCode: 4,
  });
}

/** Whether the normalizer is NFC (true) or does nothing (false). */
function isNfc(json: NormalizerJson | null | undefined): boolean {
  if (!json) return false;
  if (json.type === "NFC") return true;
  if (json.type === "Sequence") return (json.normalizers ?? []).map(isNfc).includes(true);
  throw unsupported(`a tokenizer with the normalizer ${json.type}`);
}

function mergeTable(
  merges: TokenizerJson["model"]["merges"],
  vocab: ReadonlyMap<string, number>,
): MergeTable {
  const table = new MergeTable(merges.length);
  merges.forEach((merge, rank) => {
    const cut = typeof merge === "string" ? merge.indexOf(" ") : 0;
    const a = typeof merge === "string" ? merge.slice(0, cut) : merge[0];
    const b = typeof merge === "string" ? merge.slice(cut + 1) : merge[1];
    const [left, right, whole] = [vocab.get(a), vocab.get(b), vocab.get(a + b)];
    if (left !== undefined && right !== undefined && whole !== undefined) table.set(left, right, rank, whole);
  });
  return table;
}

/** Tokens that are text of their own: id by text. */
function wholeWords(vocab: Record<string, number>): Map<string, number> {
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  const words = new Map<string, number>();
  for (const [token, id] of Object.entries(vocab)) {
    try {
      words.set(decoder.decode(tokenBytes(token)), id);
    } catch {
      // Part of a character: no word is one.
    }
  }
  return words;
}

/** Texts up to this many ids share a buffer. */
const SHARED = 1 << 20;

export class Tokenizer {
  readonly vocabSize: number;
  /** SHA-256 of the tokenizer.json's contents: shards and checkpoints carry it. */
  readonly hash: string;
  /** Tokens that end an output; the first one ends a document. Where nothing states them, the first added token. */
  readonly eosIds: readonly number[];
  /** The token that begins a text, where one is stated. */
  readonly bosId: number | undefined;
  /** What the files beside tokenizer.json state. */
  readonly stated: SpecialTokens;
  private readonly tokens: string[] = [];
  private readonly added = new Map<string, number>();
  private readonly ids: ReadonlyMap<string, number>;
  private readonly addedPattern: RegExp | undefined;
  /** Added tokens that are marks, not text: `<|endoftext|>`, but not `<think>`. */
  private readonly special = new Set<number>();
  private readonly words: WordEncoder;
  private readonly nfc: boolean;
  private buffer = new Int32Array(0);
  private readonly pieces: (Uint8Array | undefined)[] = [];

  /** @param special which tokens begin and end a text, given the vocabulary */
  constructor(
    readonly json: Record<string, unknown>,
    special: (vocabulary: Pick<Tokenizer, "idOf" | "has">) => SpecialTokens = () => ({}),
  ) {
    const t = json as unknown as TokenizerJson;
    if (t.model?.type !== "BPE") throw unsupported(`a tokenizer of type ${t.model?.type}`);
    if (t.model.byte_fallback) throw unsupported("a tokenizer with byte fallback");
    this.nfc = isNfc(t.normalizer);
    this.hash = createHash("sha256").update(JSON.stringify(json)).digest("hex");
    const vocab = new Map(Object.entries(t.model.vocab));
    for (const [token, id] of vocab) this.tokens[id] = token;
    for (const a of t.added_tokens ?? []) {
      if (a.lstrip || a.rstrip || a.single_word)
        throw unsupported(`the added token ${a.content} that strips`);
      this.tokens[a.id] = a.content;
      this.added.set(a.content, a.id);
      if (a.special !== false) this.special.add(a.id);
    }
    this.vocabSize = this.tokens.length;
    this.ids = new Map([...vocab, ...this.added]);
    this.stated = special(this);
    const [first] = t.added_tokens ?? [];
    this.eosIds = this.stated.eosIds ?? (first ? [first.id] : []);
    this.bosId = this.stated.bosId;
    if (this.added.size > 0) {
      const literal = (s: string) => s.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
      const longest = [...this.added.keys()].sort((a, b) => b.length - a.length);
      this.addedPattern = new RegExp(`(${longest.map(literal).join("|")})`);
    }
    this.words = new WordEncoder(splitterOf(t.pre_tokenizer), {
      bytes: Int32Array.from(byteChars, (c) => vocab.get(c) ?? -1),
      merges: mergeTable(t.model.merges, vocab),
      whole: t.model.ignore_merges ? wholeWords(t.model.vocab) : undefined,
    });
  }

  /**
   * Loads `tokenizer.json`, given itself or its folder, and what the files beside it state of begin and end. Throws NsaError
   * `tokenizer_missing`, `special_token_invalid`, `tokenizer_config_invalid` (exit 3).
   */
  static load(path: string): Tokenizer {
    const file = existsSync(path) && statSync(path).isDirectory() ? join(path, "tokenizer.json") : path;
    let json: Record<string, unknown>;
    try {
      json = JSON.parse(readFileSync(file, "utf8"));
    } catch (cause) {
      throw new NsaError({
        code: "tokenizer_missing",
        what: `cannot read ${file}`,
        why: (cause as Error).message,
        fix: "name a tokenizer.json, or the folder that holds one",
        exitCode: 3,
        cause,
      });
    }
    return new Tokenizer(json, (vocabulary) => readSpecialTokens(dirname(file), vocabulary));
  }

  /** Ids of the text. Added tokens in the text become their ids unless `plain`. */
  encode(text: string, options: { plain?: boolean } = {}): number[] {
    return Array.from(this.encodeIds(text, options));
  }

  /** The same as a typed array, for much text. */
  encodeIds(text: string, options: { plain?: boolean } = {}): Int32Array {
    const source = this.nfc ? text.normalize("NFC") : text;
    let out = this.room(Math.max(text.length, source.length) * 3);
    if (!this.addedPattern || options.plain) return out.slice(0, this.words.encode(source, out, 0));
    // Added tokens are found before the normalizer, which may lengthen what lies between.
    let at = 0;
    for (const part of text.split(this.addedPattern)) {
      const id = this.added.get(part);
      const words = id === undefined && this.nfc ? part.normalize("NFC") : part;
      if (at + words.length * 3 + 1 > out.length) out = grown(out, at + words.length * 3 + 1);
      if (id !== undefined) out[at++] = id;
      else if (words !== "") at = this.words.encode(words, out, at);
    }
    return out.slice(0, at);
  }

  private room(ids: number): Int32Array<ArrayBuffer> {
    if (ids > SHARED) return new Int32Array(ids);
    if (this.buffer.length < ids) this.buffer = new Int32Array(ids * 2);
    return this.buffer;
  }

  /** Bytes of one token. */
  bytesOf(id: number): Uint8Array {
    const known = this.pieces[id];
    if (known) return known;
    const token = this.tokens[id] ?? "";
    const bytes = this.added.get(token) === id ? new TextEncoder().encode(token) : tokenBytes(token);
    this.pieces[id] = bytes;
    return bytes;
  }

  /** The token that ends a document. Throws NsaError `tokenizer_no_end` (exit 3) where there is none. */
  get eosId(): number {
    const [id] = this.eosIds;
    if (id !== undefined) return id;
    throw new NsaError({
      code: "tokenizer_no_end",
      what: "no token ends a text",
      why: "tokenizer.json has no added token, and no file beside it states eos_token_id or eos_token",
      fix: "state eos_token_id in generation_config.json beside tokenizer.json",
      exitCode: 3,
    });
  }

  /** Whether the token ends an output. */
  isEnd(id: number): boolean {
    return this.eosIds.includes(id);
  }

  /** The id of a token by its text in the vocabulary. */
  idOf(token: string): number | undefined {
    return this.ids.get(token);
  }

  has(id: number): boolean {
    return this.tokens[id] !== undefined;
  }

  isSpecial(id: number): boolean {
    return this.special.has(id);
  }

  /** Text of the ids; invalid UTF-8 becomes U+FFFD. Special tokens are left out unless asked for. */
  decode(ids: Iterable<number>, options: { special?: boolean } = {}): string {
    const parts: Uint8Array[] = [];
    for (const id of ids) if (options.special || !this.isSpecial(id)) parts.push(this.bytesOf(id));
    return new TextDecoder().decode(Buffer.concat(parts));
  }

  /** A decoder for streams: `push` returns the text that is complete so far, `end` the rest. */
  stream(): { push(id: number): string; end(): string } {
    const decoder = new TextDecoder();
    return {
      push: (id) => (this.isSpecial(id) ? "" : decoder.decode(this.bytesOf(id), { stream: true })),
      end: () => decoder.decode(),
    };
  }

  idToToken(id: number): string | undefined {
    return this.tokens[id];
  }
}

function grown(ids: Int32Array<ArrayBuffer>, length: number): Int32Array<ArrayBuffer> {
  const wide = new Int32Array(Math.max(length, ids.length * 2));
  wide.set(ids);
  return wide;
}
