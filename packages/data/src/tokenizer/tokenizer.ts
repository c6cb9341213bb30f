// Text to ids and back over a Hugging Face `tokenizer.json`: byte-level BPE by our codec, everything else by the library's; added
// tokens, the tokens around a text, and those that end one.
import { createHash } from "node:crypto";
import { existsSync, readFileSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { NsaError } from "@nsa/core";
import { AddedTokens } from "./added-tokens.ts";
import { ByteLevelCodec } from "./byte-level.ts";
import type { Codec } from "./codec.ts";
import { checkExpressions } from "./expression.ts";
import { checkTokenizerJson, type TokenizerJson } from "./json.ts";
import { LibraryCodec } from "./library.ts";
import { type Frame, frameOf, statedFrame } from "./post-processor.ts";
import { readSpecialTokens, type SpecialTokens } from "./special-tokens.ts";

/** Our codec where it serves the tokenizer, the library's otherwise. */
function codecOf(json: TokenizerJson): Codec {
  const added = json.added_tokens ?? [];
  if (json.model.dropout) return new LibraryCodec(json, added);
  try {
    return new ByteLevelCodec(json, added);
  } catch (error) {
    if (!(error instanceof NsaError) || error.code !== "tokenizer_unsupported") throw error;
    return new LibraryCodec(json, added);
  }
}

export interface EncodeOptions {
  /** Added tokens in the text are text. */
  plain?: boolean;
  /** The text continues another one: no token is put in front, and nothing marks its beginning. */
  inner?: boolean;
}

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
  /** Ids that belong in front of a text and behind it, by the post-processor. */
  readonly frame: Frame;
  private readonly tokens: string[] = [];
  private readonly ids: ReadonlyMap<string, number>;
  /** Added tokens that are marks, not text: `<|endoftext|>`, but not `<think>`. */
  private readonly special = new Set<number>();
  private readonly added: AddedTokens;
  private readonly codec: Codec;

  /**
   * @param special which tokens begin and end a text, given the vocabulary
   * @throws NsaError `tokenizer_invalid` (exit 3), `tokenizer_unsupported` (exit 4)
   */
  constructor(
    readonly json: Record<string, unknown>,
    special: (vocabulary: Pick<Tokenizer, "idOf" | "has">) => SpecialTokens = () => ({}),
  ) {
    const t = checkTokenizerJson(json);
    checkExpressions(json);
    const added = t.added_tokens ?? [];
    this.hash = createHash("sha256").update(JSON.stringify(json)).digest("hex");
    const { vocab } = t.model;
    const entries: [string, number][] = Array.isArray(vocab)
      ? vocab.map(([token], id) => [token as string, id])
      : Object.entries(vocab);
    for (const [token, id] of entries) this.tokens[id] = token;
    for (const a of added) {
      this.tokens[a.id] = a.content;
      if (a.special !== false) this.special.add(a.id);
    }
    this.vocabSize = this.tokens.length;
    this.ids = new Map([...entries, ...added.map((a): [string, number] => [a.content, a.id])]);
    this.stated = special(this);
    const [first] = added;
    this.eosIds = this.stated.eosIds ?? (first ? [first.id] : []);
    this.bosId = this.stated.bosId;
    this.frame = statedFrame(frameOf(t.post_processor), this.stated);
    this.codec = codecOf(t);
    this.added = new AddedTokens(added, this.codec.normalize);
  }

  /**
   * Loads `tokenizer.json`, given itself or its folder, and what the files beside it state of begin and end. Throws NsaError
   * `tokenizer_missing`, `tokenizer_invalid`, `special_token_invalid`, `tokenizer_config_invalid` (exit 3),
   * `tokenizer_unsupported` (exit 4).
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
        why: existsSync(file) ? (cause as Error).message : "there is no such file",
        fix: "name a tokenizer.json, or a folder that holds one; a checkpoint needs that of its model beside its weights",
        exitCode: 3,
        cause,
      });
    }
    return new Tokenizer(json, (vocabulary) => readSpecialTokens(dirname(file), vocabulary));
  }

  /** Ids of the text, behind those that the tokenizer puts in front of it. Added tokens in the text become their ids. */
  encode(text: string, options: EncodeOptions = {}): number[] {
    return Array.from(this.encodeIds(text, options));
  }

  /** The same as a typed array, for much text. */
  encodeIds(text: string, { plain = false, inner = false }: EncodeOptions = {}): Int32Array {
    const ids = this.codec.encode(this.added.split(text, { plain, inner }), inner);
    const { before } = this.frame;
    // A template may have written them.
    if (inner || before.length === 0 || before.every((id, i) => ids[i] === id)) return ids;
    const framed = new Int32Array(before.length + ids.length);
    framed.set(before);
    framed.set(ids, before.length);
    return framed;
  }

  /** Ids of a document of a corpus without its end: added tokens in it are text. */
  encodeDocument(text: string): Int32Array {
    const ids = this.encodeIds(text, { plain: true });
    const { after } = this.frame;
    const behind = after.length > 0 && this.isEnd(after.at(-1)!) ? after.slice(0, -1) : after;
    return behind.length === 0 ? ids : Int32Array.from([...ids, ...behind]);
  }

  /** Bytes of one token. */
  bytesOf(id: number): Uint8Array {
    return this.codec.bytesOf(id);
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
    return this.codec.decode(Array.from(ids).filter((id) => options.special || !this.isSpecial(id)));
  }

  /** A decoder for streams: `push` returns the text that is complete so far, `end` the rest. */
  stream(): { push(id: number): string; end(): string } {
    const stream = this.codec.stream();
    return { push: (id) => (this.isSpecial(id) ? "" : stream.push(id)), end: () => stream.end() };
  }

  idToToken(id: number): string | undefined {
    return this.tokens[id];
  }
}
