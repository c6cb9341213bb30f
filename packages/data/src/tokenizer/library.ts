// The codec of every tokenizer that is no byte-level BPE of ours: Unigram, WordPiece, BPE with byte fallback, other normalizers and
// pre-tokenizers. The models are those of @huggingface/tokenizers; what comes before them and behind them is ours.
import { Tokenizer as Library } from "@huggingface/tokenizers";
import { NsaError } from "@nsa/core";
import type { AddedToken, TextPart } from "./added-tokens.ts";
import type { Codec } from "./codec.ts";
import { type Decode, decoderOf } from "./decoders.ts";
import type { TokenizerJson } from "./json.ts";
import { normalizerOf } from "./normalizers.ts";
import { type PreTokenize, preTokenizerOf } from "./pre-tokenizers.ts";

/** The library's model alone: what comes before it and behind it is ours. */
function openModel(json: TokenizerJson): Library {
  try {
    return new Library(
      {
        ...json,
        normalizer: null,
        pre_tokenizer: null,
        post_processor: null,
        decoder: null,
        added_tokens: [],
      },
      { clean_up_tokenization_spaces: false },
    );
  } catch (cause) {
    throw new NsaError({
      code: "tokenizer_unsupported",
      what: "a tokenizer.json that no reader here serves",
      why: (cause as Error).message,
      fix: "train a tokenizer with `nsa tokenizer train`, or use a checkpoint with such a one",
      exitCode: 4,
      cause,
    });
  }
}

const BYTE = /^<0x([0-9A-Fa-f]{2})>$/;

export class LibraryCodec implements Codec {
  readonly normalize: ((text: string, inner?: boolean) => string) | undefined;
  private readonly library: Library;
  private readonly split: PreTokenize;
  private readonly decoder: Decode | undefined;
  private readonly added: ReadonlyMap<number, string>;
  private readonly fallback: boolean;
  /** A token that others are decoded behind. */
  private anchor: string | undefined;

  /** Throws NsaError `tokenizer_unsupported` (exit 4) for what the library does not serve either. */
  constructor(
    private readonly json: TokenizerJson,
    added: readonly AddedToken[],
  ) {
    const { model } = json;
    if (!["BPE", "Unigram", "WordPiece"].includes(model.type)) {
      throw new NsaError({
        code: "tokenizer_unsupported",
        what: `a tokenizer of type ${model.type}`,
        why: "BPE, Unigram and WordPiece are served",
        fix: "train a tokenizer with `nsa tokenizer train`",
        exitCode: 4,
      });
    }
    if (model.dropout) {
      throw new NsaError({
        code: "tokenizer_unsupported",
        what: `model.dropout: ${model.dropout} in tokenizer.json`,
        why: "its ids are drawn at random, and no draw is made here",
        fix: "set dropout to null",
        exitCode: 4,
      });
    }
    if (model.type === "BPE" && model.continuing_subword_prefix) {
      throw new NsaError({
        code: "tokenizer_unsupported",
        what: `model.continuing_subword_prefix: ${JSON.stringify(model.continuing_subword_prefix)} in tokenizer.json`,
        why: "merges of pieces with a mark in front are not served in a BPE",
        fix: "train a tokenizer with `nsa tokenizer train`",
        exitCode: 4,
      });
    }
    this.split = preTokenizerOf(json.pre_tokenizer);
    if (json.decoder) this.decoder = decoderOf(json.decoder);
    const normalize = normalizerOf(json.normalizer);
    if (normalize) this.normalize = (text, inner = false) => normalize(text, inner);
    this.library = openModel(json);
    this.added = new Map(added.map(({ id, content }) => [id, content]));
    this.fallback = JSON.stringify(json.decoder ?? null).includes('"ByteFallback"');
  }

  encode(parts: readonly TextPart[], inner: boolean): Int32Array {
    const ids: number[] = [];
    parts.forEach((part, i) => {
      if (typeof part === "number") ids.push(part);
      else for (const id of this.idsOf(part, i, inner)) ids.push(id);
    });
    return Int32Array.from(ids);
  }

  /** Normalized text, the `index`-th part of the text. */
  private idsOf(text: string, index: number, inner: boolean): number[] {
    const { model } = this.library;
    const words = this.split(text, { first: index === 0, inner }).filter((word) => word !== "");
    if (words.length === 0) return [];
    const unknown = (model as unknown as { unk_token_id?: number }).unk_token_id;
    // Word by word: the library joins unknown characters to one across words, Rust inside a word alone.
    return words
      .flatMap((word) => model!([word]) as string[])
      .flatMap((token) => model!.tokens_to_ids.get(token) ?? this.bytesIds(token) ?? unknown)
      .filter((id): id is number => id !== undefined);
  }

  /** Ids of an unknown text's bytes, where a Unigram falls back on them, which the library leaves out. */
  private bytesIds(text: string): number[] | undefined {
    const { model } = this.json;
    if (model.type !== "Unigram" || !model.byte_fallback) return undefined;
    const ids = Array.from(new TextEncoder().encode(text), (b) =>
      this.library.token_to_id(`<0x${b.toString(16).toUpperCase().padStart(2, "0")}>`),
    );
    return ids.every((id) => id !== undefined) ? (ids as number[]) : undefined;
  }

  private tokenOf(id: number): string {
    return this.added.get(id) ?? this.library.id_to_token(id) ?? "";
  }

  private textOf(tokens: string[]): string {
    if (tokens.length === 0) return "";
    return this.decoder ? this.decoder(tokens).join("") : tokens.join(" ");
  }

  bytesOf(id: number): Uint8Array {
    const added = this.added.get(id);
    if (added !== undefined) return new TextEncoder().encode(added);
    const token = this.tokenOf(id);
    const byte = this.fallback ? BYTE.exec(token) : null;
    if (byte) return Uint8Array.of(Number.parseInt(byte[1]!, 16));
    this.anchor ??= (this.library.model!.vocab as string[]).find((t) => /^[a-zA-Z]$/.test(t)) ?? "";
    const before = this.anchor === "" ? [] : [this.anchor];
    return new TextEncoder().encode(this.textOf([...before, token]).slice(this.textOf(before).length));
  }

  decode(ids: readonly number[]): string {
    return this.textOf(ids.map((id) => this.tokenOf(id)));
  }

  stream(): { push(id: number): string; end(): string } {
    const ids: number[] = [];
    // Text of ids[0 … read) has been given; it is made again from ids[from …), a token or more before, for what is between tokens.
    let [from, read] = [0, 0];
    const rest = () => {
      const given = this.decode(ids.slice(from, read));
      const now = this.decode(ids.slice(from));
      return now.startsWith(given) ? now.slice(given.length) : "";
    };
    return {
      push: (id) => {
        ids.push(id);
        const text = rest();
        if (text === "" || text.endsWith("\ufffd")) return "";
        from = read;
        read = ids.length;
        return text;
      },
      end: () => {
        const text = rest();
        from = read = ids.length;
        return text;
      },
    };
  }
}
