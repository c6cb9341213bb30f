// Our codec: byte-level BPE with own scanners, merge loop and cache of words.
import { NsaError } from "@nsa/core";
import type { AddedToken, TextPart } from "./added-tokens.ts";
import { byteChars, tokenBytes } from "./bytes.ts";
import type { Codec } from "./codec.ts";
import type { NormalizerJson, TokenizerJson } from "./json.ts";
import { MergeTable } from "./merges.ts";
import { splitterOf } from "./split.ts";
import { WordEncoder } from "./word-encoder.ts";

/** Texts up to this many ids share a buffer. */
const SHARED = 1 << 20;

function unserved(what: string): NsaError {
  return new NsaError({
    code: "tokenizer_unsupported",
    what,
    why: "it is no byte-level BPE behind Split, Digits and ByteLevel pre-tokenizers",
    fix: "train a tokenizer with `nsa tokenizer train`, or use a checkpoint with such a one",
    exitCode: 4,
  });
}

const FORMS = new Set(["NFC", "NFD", "NFKC", "NFKD"]);

/** The Unicode forms of a normalizer, in order. */
function formsOf(json: NormalizerJson | null | undefined): string[] {
  if (!json) return [];
  if (FORMS.has(json.type)) return [json.type];
  if (json.type === "Sequence") return (json.normalizers ?? []).flatMap(formsOf);
  throw unserved(`the normalizer ${json.type}`);
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

export class ByteLevelCodec implements Codec {
  readonly normalize: ((text: string) => string) | undefined;
  private readonly words: WordEncoder;
  private readonly tokens: string[] = [];
  private readonly added: ReadonlyMap<number, string>;
  private readonly pieces: (Uint8Array | undefined)[] = [];
  private buffer = new Int32Array(0);

  /** Throws NsaError `tokenizer_unsupported` (exit 4) for what is no byte-level BPE of our kind. */
  constructor(json: TokenizerJson, added: readonly AddedToken[]) {
    const { model } = json;
    if (model.type !== "BPE") throw unserved(`a tokenizer of type ${model.type}`);
    if (model.byte_fallback) throw unserved("a tokenizer with byte fallback");
    if (model.continuing_subword_prefix || model.end_of_word_suffix)
      throw unserved("marks of parts of words");
    if (json.decoder && json.decoder.type !== "ByteLevel") throw unserved(`the decoder ${json.decoder.type}`);
    const forms = formsOf(json.normalizer);
    if (forms.length > 0) this.normalize = (text) => forms.reduce((t, form) => t.normalize(form), text);
    const splitter = splitterOf(json.pre_tokenizer);
    const vocab = new Map(Object.entries(model.vocab));
    if (byteChars.some((c) => !vocab.has(c))) throw unserved("a vocabulary without all bytes");
    for (const [token, id] of vocab) this.tokens[id] = token;
    this.added = new Map(added.map(({ id, content }) => [id, content]));
    this.words = new WordEncoder(splitter, {
      bytes: Int32Array.from(byteChars, (c) => vocab.get(c)!),
      merges: mergeTable(model.merges, vocab),
      whole: model.ignore_merges ? wholeWords(model.vocab) : undefined,
    });
  }

  encode(parts: readonly TextPart[]): Int32Array {
    // A unit of UTF-16 has up to three bytes, and so ids.
    const most = parts.reduce<number>(
      (sum, part) => sum + (typeof part === "number" ? 1 : part.length * 3),
      0,
    );
    const out = this.room(most);
    let at = 0;
    for (const part of parts) {
      if (typeof part === "number") out[at++] = part;
      else at = this.words.encode(part, out, at);
    }
    return out.slice(0, at);
  }

  private room(ids: number): Int32Array<ArrayBuffer> {
    if (ids > SHARED) return new Int32Array(ids);
    if (this.buffer.length < ids) this.buffer = new Int32Array(ids * 2);
    return this.buffer;
  }

  bytesOf(id: number): Uint8Array {
    const known = this.pieces[id];
    if (known) return known;
    const text = this.added.get(id);
    const bytes = text === undefined ? tokenBytes(this.tokens[id] ?? "") : new TextEncoder().encode(text);
    this.pieces[id] = bytes;
    return bytes;
  }

  decode(ids: readonly number[]): string {
    const bytes = Buffer.concat(ids.map((id) => this.bytesOf(id)));
    return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
  }

  stream(): { push(id: number): string; end(): string } {
    const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
    return {
      push: (id) => decoder.decode(this.bytesOf(id), { stream: true }),
      end: () => decoder.decode(),
    };
  }
}
