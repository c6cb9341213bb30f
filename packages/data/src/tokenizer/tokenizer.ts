// Byte-level BPE encoder and decoder over a Hugging Face `tokenizer.json`: own merge loop with a cache of words.
import { createHash } from "node:crypto";
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { NsaError } from "@nsa/core";
import { byteChars, tokenBytes } from "./bytes.ts";
import { type PreTokenizer, preTokenize } from "./pretokenize.ts";

interface TokenizerJson {
  added_tokens?: { id: number; content: string; special?: boolean }[];
  pre_tokenizer?: { type: string; pretokenizers?: { type: string; individual_digits?: boolean }[] } | null;
  normalizer?: unknown;
  model: { type: string; vocab: Record<string, number>; merges: (string | [string, string])[] };
}

const CACHE_LIMIT = 200_000;

function unsupported(what: string): NsaError {
  return new NsaError({
    code: "tokenizer_unsupported",
    what,
    why: "only byte-level BPE with the GPT-2 or the digit-splitting pre-tokenizer is encoded here",
    fix: "train one with `nsa tokenizer train`",
    exitCode: 4,
  });
}

function preTokenizerOf(json: TokenizerJson): PreTokenizer {
  const p = json.pre_tokenizer;
  if (json.normalizer) throw unsupported("a tokenizer with a normalizer");
  if (p?.type === "ByteLevel") return "gpt2";
  const parts = p?.type === "Sequence" ? (p.pretokenizers ?? []) : [];
  if (parts.length === 2 && parts[0]!.type === "Digits" && parts[0]!.individual_digits) return "digits";
  throw unsupported(`pre-tokenizer ${p?.type ?? "none"}`);
}

export class Tokenizer {
  readonly vocabSize: number;
  /** SHA-256 of the tokenizer.json's contents: shards and checkpoints carry it. */
  readonly hash: string;
  /** End of text: the first special token. */
  readonly eosId: number;
  private readonly tokens: string[] = [];
  private readonly special = new Map<string, number>();
  private readonly specialPattern: RegExp | undefined;
  private readonly bytes = new Int32Array(256);
  /** Rank and result of a pair of ids. */
  private readonly pairs = new Map<number, { rank: number; id: number }>();
  private readonly cache = new Map<string, Int32Array>();
  private readonly pre: PreTokenizer;
  private readonly pieces: Uint8Array[];

  constructor(readonly json: Record<string, unknown>) {
    const t = json as unknown as TokenizerJson;
    if (t.model?.type !== "BPE") throw unsupported(`a tokenizer of type ${t.model?.type}`);
    this.pre = preTokenizerOf(t);
    this.hash = createHash("sha256").update(JSON.stringify(json)).digest("hex");
    for (const [token, id] of Object.entries(t.model.vocab)) this.tokens[id] = token;
    for (const a of t.added_tokens ?? []) {
      this.tokens[a.id] = a.content;
      this.special.set(a.content, a.id);
    }
    this.vocabSize = this.tokens.length;
    this.eosId = t.added_tokens?.[0]?.id ?? -1;
    if (this.special.size > 0) {
      const literal = (s: string) => s.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
      const longest = [...this.special.keys()].sort((a, b) => b.length - a.length);
      this.specialPattern = new RegExp(`(${longest.map(literal).join("|")})`);
    }
    byteChars.forEach((c, b) => {
      this.bytes[b] = t.model.vocab[c] ?? -1;
    });
    t.model.merges.forEach((merge, rank) => {
      const [a, b] = typeof merge === "string" ? (merge.split(" ") as [string, string]) : merge;
      const vocab = t.model.vocab;
      this.pairs.set(vocab[a]! * 2 ** 24 + vocab[b]!, { rank, id: vocab[a + b]! });
    });
    this.pieces = this.tokens.map((token) =>
      this.special.has(token) ? new TextEncoder().encode(token) : tokenBytes(token ?? ""),
    );
  }

  /** Loads `tokenizer.json`, given itself or its folder. Throws NsaError `tokenizer_missing` (exit 3). */
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
    return new Tokenizer(json);
  }

  /** Ids of the text. Special tokens in the text become their ids unless `plain`. */
  encode(text: string, options: { plain?: boolean } = {}): number[] {
    const out: number[] = [];
    if (!this.specialPattern || options.plain) {
      this.encodeInto(text, out);
      return out;
    }
    for (const part of text.split(this.specialPattern)) {
      const id = this.special.get(part);
      if (id !== undefined) out.push(id);
      else if (part !== "") this.encodeInto(part, out);
    }
    return out;
  }

  private encodeInto(text: string, out: number[]): void {
    for (const word of preTokenize(text, this.pre)) {
      let ids = this.cache.get(word);
      if (!ids) {
        ids = this.merge(word);
        if (this.cache.size >= CACHE_LIMIT) this.cache.clear();
        this.cache.set(word, ids);
      }
      for (const id of ids) out.push(id);
    }
  }

  /** BPE of one word: the pair of lowest rank first, leftmost among equals. */
  private merge(word: string): Int32Array {
    const ids = Array.from(Buffer.from(word), (b) => this.bytes[b]!);
    for (;;) {
      let best: { rank: number; id: number } | undefined;
      let at = -1;
      for (let i = 1; i < ids.length; i++) {
        const pair = this.pairs.get(ids[i - 1]! * 2 ** 24 + ids[i]!);
        if (pair && (!best || pair.rank < best.rank)) {
          best = pair;
          at = i - 1;
        }
      }
      if (!best) return Int32Array.from(ids);
      ids.splice(at, 2, best.id);
    }
  }

  /** Bytes of one token. */
  bytesOf(id: number): Uint8Array {
    return this.pieces[id] ?? new Uint8Array(0);
  }

  isSpecial(id: number): boolean {
    return this.special.get(this.tokens[id]!) === id;
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
