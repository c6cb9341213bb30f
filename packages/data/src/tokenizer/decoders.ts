// Decoders by name, as Rust's tokenizers have them: from tokens to the parts of a text, which are joined.
import * as library from "@huggingface/tokenizers";
import { NsaError } from "@nsa/core";
import { tokenBytes } from "./bytes.ts";
import type { DecoderJson } from "./json.ts";
import { patternOf } from "./pre-tokenizers.ts";

export type Decode = (tokens: readonly string[]) => string[];

const BYTE = /^<0x([0-9A-Fa-f]{2})>$/;

/** Bytes that are no text become U+FFFD, one each. */
function textOfBytes(bytes: number[]): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Uint8Array.from(bytes));
  } catch {
    return "\ufffd".repeat(bytes.length);
  }
}

/** Runs of bytes become the text that they are together. */
function byteFallback(tokens: readonly string[]): string[] {
  const parts: string[] = [];
  let bytes: number[] = [];
  const flush = () => {
    if (bytes.length > 0) parts.push(textOfBytes(bytes));
    bytes = [];
  };
  for (const token of tokens) {
    const byte = BYTE.exec(token);
    if (byte) bytes.push(Number.parseInt(byte[1]!, 16));
    else {
      flush();
      parts.push(token);
    }
  }
  flush();
  return parts;
}

/** Takes `content` off the front of each part up to `start` times, off its end up to `stop` times. */
function strip({ content = " ", start = 0, stop = 0 }: DecoderJson): Decode {
  return (tokens) =>
    tokens.map((token) => {
      let [from, to] = [0, token.length];
      for (let i = 0; i < start && from < to && token.startsWith(content, from); i++) from += content.length;
      for (let i = 0; i < stop && to > from && token.endsWith(content, to); i++) to -= content.length;
      return token.slice(from, to);
    });
}

function metaspace(json: DecoderJson): Decode {
  const { replacement = "▁" } = json;
  const scheme = json.prepend_scheme ?? (json.add_prefix_space === false ? "never" : "always");
  return (tokens) =>
    tokens.map((token, i) => token.replaceAll(replacement, i === 0 && scheme !== "never" ? "" : " "));
}

function byteLevel(tokens: readonly string[]): string[] {
  const bytes = Buffer.concat(tokens.map(tokenBytes));
  return [new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes)];
}

type LibraryDecoder = new (json: object) => { decode_chain(tokens: string[]): string[] };
// The library's types leave its parts out.
const { WordPieceDecoder, BPEDecoder } = library as unknown as Record<string, LibraryDecoder>;

/** The decoder of a `decoder` entry. Throws NsaError `tokenizer_unsupported`, `tokenizer_expression_unsupported` (exit 4). */
export function decoderOf(json: DecoderJson): Decode {
  switch (json.type) {
    case "Sequence": {
      const parts = (json.decoders ?? []).map(decoderOf);
      return (tokens) => parts.reduce<string[]>((t, part) => part(t), [...tokens]);
    }
    case "ByteFallback":
      return byteFallback;
    case "Fuse":
      return (tokens) => [tokens.join("")];
    case "Strip":
      return strip(json);
    case "Replace": {
      const [pattern, content] = [patternOf(json.pattern), json.content ?? ""];
      return (tokens) => tokens.map((token) => token.replace(pattern, () => content));
    }
    case "Metaspace":
      return metaspace(json);
    case "ByteLevel":
      return byteLevel;
    case "WordPiece":
    case "BPEDecoder": {
      const decoder = new (json.type === "WordPiece" ? WordPieceDecoder! : BPEDecoder!)(json);
      return (tokens) => decoder.decode_chain([...tokens]);
    }
    default:
      throw new NsaError({
        code: "tokenizer_unsupported",
        what: `the decoder ${json.type}`,
        why: "it is not served here",
        fix: "train a tokenizer with `nsa tokenizer train`, or use a checkpoint with another one",
        exitCode: 4,
      });
  }
}
