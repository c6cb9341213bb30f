// Pre-tokenizers by name, as Rust's tokenizers have them: from a text to the words inside which a model makes tokens.
//
// The JavaScript library's own differ from them in classes of characters and in what becomes of matches.
import { NsaError } from "@nsa/core";
import { behaviorOf, cutAt } from "./behavior.ts";
import { byteChars } from "./bytes.ts";
import { toRegExp } from "./expression.ts";
import type { PreTokenizerJson } from "./json.ts";

export interface Place {
  /** The piece lies at the very beginning of the text. */
  first: boolean;
  /** The text continues another one: nothing marks its beginning. */
  inner: boolean;
}

export type PreTokenize = (text: string, place: Place) => string[];

const BLANKS = /\p{White_Space}+/gu;
const BLANK = /\p{White_Space}/gu;
/** `\w+|[^\w\s]+` of Rust's regex. */
const WORDS =
  /[\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}]+|[^\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\p{Join_Control}\p{White_Space}]+/gu;
/** Signs of ASCII that are no punctuation of Unicode count, too. */
const PUNCTUATION = /[\p{P}$+<=>^`|~]/gu;
const NUMBER = /\p{N}/gu;
/** GPT-2's expression. */
export const GPT2 =
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;

/** A text of a pattern as an expression. */
export const literal = (text: string) => text.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&");

/** The expression of a pattern, global. Throws as {@link toRegExp}. */
export const patternOf = (pattern: { Regex?: string; String?: string } | undefined): RegExp =>
  toRegExp(pattern?.Regex ?? literal(pattern?.String ?? ""));

/** A text as the characters of its bytes. */
export const bytesAsChars = (text: string): string =>
  Array.from(new TextEncoder().encode(text), (b) => byteChars[b]!).join("");

function unknown(type: string): NsaError {
  return new NsaError({
    code: "tokenizer_unsupported",
    what: `the pre-tokenizer ${type}`,
    why: "it is not served here",
    fix: "train a tokenizer with `nsa tokenizer train`, or use a checkpoint with another one",
    exitCode: 4,
  });
}

function metaspace(json: PreTokenizerJson): PreTokenize {
  const { replacement = "▁", split = true } = json;
  // Files from before `prepend_scheme` have a flag.
  const scheme = json.prepend_scheme ?? (json.add_prefix_space === false ? "never" : "always");
  const mark = new RegExp(literal(replacement), "gu");
  return (text, { first, inner }) => {
    const marked = text.replaceAll(" ", replacement);
    const begins = !inner && (scheme === "always" || (scheme === "first" && first));
    const whole = begins && !marked.startsWith(replacement) ? replacement + marked : marked;
    return split ? cutAt(whole, mark, "MergedWithNext") : [whole];
  };
}

function byteLevel(json: PreTokenizerJson): PreTokenize {
  return (text, { inner }) => {
    const whole = json.add_prefix_space && !inner && !text.startsWith(" ") ? ` ${text}` : text;
    const words = json.use_regex === false ? [whole] : cutAt(whole, GPT2, "Isolated");
    return words.map(bytesAsChars);
  };
}

function fixedLength(length: number): PreTokenize {
  return (text) => {
    const characters = Array.from(text);
    const count = Math.ceil(characters.length / length);
    return Array.from({ length: count }, (_, i) => characters.slice(i * length, (i + 1) * length).join(""));
  };
}

/** One after another: each cuts the pieces of the one before it. */
function sequence(parts: PreTokenize[]): PreTokenize {
  return (text, place) =>
    parts.reduce(
      (pieces, part) =>
        pieces.flatMap((piece, i) => part(piece, { ...place, first: place.first && i === 0 })),
      [text],
    );
}

/** The pre-tokenizer of a `pre_tokenizer` entry. Throws NsaError `tokenizer_unsupported`, `tokenizer_expression_unsupported` (exit 4). */
export function preTokenizerOf(json: PreTokenizerJson | null | undefined): PreTokenize {
  if (!json) return (text) => [text];
  switch (json.type) {
    case "Sequence":
      return sequence((json.pretokenizers ?? []).map(preTokenizerOf));
    case "Whitespace":
      return (text) => cutAt(text, WORDS, "Removed", true);
    case "WhitespaceSplit":
      return (text) => cutAt(text, BLANKS, "Removed");
    case "BertPreTokenizer":
      return (text) => cutAt(text, BLANK, "Removed").flatMap((word) => cutAt(word, PUNCTUATION, "Isolated"));
    case "CharDelimiterSplit": {
      const delimiter = new RegExp(literal(json.delimiter ?? ""), "gu");
      return (text) => cutAt(text, delimiter, "Removed");
    }
    case "FixedLength":
      return fixedLength(Math.max(1, json.length ?? 5));
    case "Punctuation": {
      const behavior = behaviorOf(json.behavior);
      return (text) => cutAt(text, PUNCTUATION, behavior);
    }
    case "Digits":
      return (text) => cutAt(text, NUMBER, json.individual_digits ? "Isolated" : "Contiguous");
    case "Split": {
      const [pattern, behavior] = [patternOf(json.pattern), behaviorOf(json.behavior)];
      return (text) => cutAt(text, pattern, behavior, json.invert ?? false);
    }
    case "Metaspace":
      return metaspace(json);
    case "ByteLevel":
      return byteLevel(json);
    default:
      throw unknown(json.type);
  }
}
