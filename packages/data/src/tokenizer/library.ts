// The codec of every tokenizer that is no byte-level BPE of ours: Unigram, WordPiece, BPE with byte fallback, other normalizers and
// pre-tokenizers. The work is done by @huggingface/tokenizers; added tokens and what frames a text are ours.
import { Tokenizer as Library } from "@huggingface/tokenizers";
import { NsaError } from "@nsa/core";
import type { AddedToken, TextPart } from "./added-tokens.ts";
import type { Codec } from "./codec.ts";
import type { TokenizerJson } from "./json.ts";

const PARTS = ["normalizer", "pre_tokenizer", "post_processor", "decoder"] as const;

type Json = Record<string, unknown>;

/** The same part without what marks the beginning of a text: a prepended blank. */
function withoutPrefix(part: unknown): unknown {
  if (Array.isArray(part)) {
    return part.filter((p) => (p as Json | null)?.type !== "Prepend").map(withoutPrefix);
  }
  if (typeof part !== "object" || part === null) return part;
  const changed = Object.entries(part as Json).map(([key, value]): [string, unknown] => {
    if (key === "prepend_scheme") return [key, "never"];
    if (key === "add_prefix_space") return [key, false];
    return [key, withoutPrefix(value)];
  });
  const same = Object.fromEntries(changed);
  if (same.type === "Metaspace") return { ...same, prepend_scheme: "never" };
  return same;
}

/** Metaspace of files from before `prepend_scheme`: a flag. */
function withScheme(part: unknown): unknown {
  if (Array.isArray(part)) return part.map(withScheme);
  if (typeof part !== "object" || part === null) return part;
  const same = Object.fromEntries(
    Object.entries(part as Json).map(([key, value]) => [key, withScheme(value)]),
  );
  if (same.type === "Metaspace" && same.prepend_scheme === undefined && same.add_prefix_space === false)
    return { ...same, prepend_scheme: "never" };
  return same;
}

function open(json: TokenizerJson, change: (part: unknown) => unknown): Library {
  const parts = Object.fromEntries(PARTS.map((name) => [name, change(json[name] ?? null)]));
  const alone = (part: unknown) => ((part as Json | null)?.type === "Prepend" ? null : part);
  const normalizer = change === withoutPrefix ? alone(parts.normalizer) : parts.normalizer;
  try {
    return new Library(
      { ...json, ...parts, normalizer, post_processor: null, added_tokens: [] },
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
  private continuing: Library | undefined;
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
    this.library = open(json, withScheme);
    this.added = new Map(added.map(({ id, content }) => [id, content]));
    this.fallback = JSON.stringify(json.decoder ?? null).includes('"ByteFallback"');
    if (this.library.normalizer)
      this.normalize = (text, inner = false) => this.at(inner).normalizer?.(text) ?? text;
  }

  encode(parts: readonly TextPart[], inner: boolean): Int32Array {
    const ids: number[] = [];
    parts.forEach((part, i) => {
      if (typeof part === "number") ids.push(part);
      else for (const id of this.idsOf(part, i, inner)) ids.push(id);
    });
    return Int32Array.from(ids);
  }

  /** The library's tokenizer for texts that begin, or for those that continue others. */
  private at(inner: boolean): Library {
    if (!inner) return this.library;
    this.continuing ??= open(this.json, withoutPrefix);
    return this.continuing;
  }

  /** Normalized text, the `index`-th part of the text. */
  private idsOf(text: string, index: number, inner: boolean): number[] {
    const { pre_tokenizer: split, model } = this.at(inner);
    const words = split ? split(text, { section_index: index } as never) : [text];
    const unknown = (model as unknown as { unk_token_id?: number }).unk_token_id;
    return (model!(words) as string[])
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
    return this.library.decoder ? this.library.decoder(tokens) : tokens.join(" ");
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
