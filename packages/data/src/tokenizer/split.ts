// Splitters: from a text to the borders of its words, by a scanner where the expression is known, by RegExp otherwise.
import { NsaError } from "@nsa/core";
import { toRegExp } from "./expression.ts";
import type { PreTokenizerJson } from "./json.ts";
import { GPT2, literal } from "./pre-tokenizers.ts";
import { deepSeekScan, digitsScan, gpt2Scan, llama3Scan, o200kScan, qwen2Scan, type Scan } from "./scan.ts";

/** Writes the end of each word of `text` (its UTF-16 units are `codes[0 … n)`) into `ends`, returns how many. */
export type Splitter = (text: string, codes: Uint16Array, n: number, ends: Int32Array) => number;

export function scanSplitter({ segment, word }: Scan): Splitter {
  if (!segment) {
    return (_, codes, n, ends) => {
      let words = 0;
      for (let i = 0; i < n; words++) {
        i = word(codes, i, n);
        ends[words] = i;
      }
      return words;
    };
  }
  return (_, codes, n, ends) => {
    let words = 0;
    for (let i = 0; i < n; ) {
      const stop = segment(codes, i, n);
      for (; i < stop; words++) {
        i = word(codes, i, stop);
        ends[words] = i;
      }
    }
    return words;
  };
}

/** Each expression in turn splits the pieces the last one left; matches and what lies between them are pieces. */
export function regexSplitter(patterns: RegExp[]): Splitter {
  return (text, _codes, n, ends) => {
    let borders = [n];
    for (const pattern of patterns) {
      const next: number[] = [];
      let from = 0;
      for (const end of borders) {
        const piece = text.slice(from, end);
        let last = 0;
        for (const match of piece.matchAll(pattern)) {
          if (match[0] === "") continue;
          if (match.index > last) next.push(from + match.index);
          last = match.index + match[0].length;
          next.push(from + last);
        }
        if (last < piece.length) next.push(end);
        from = end;
      }
      borders = next;
    }
    ends.set(borders);
    return n === 0 ? 0 : borders.length;
  };
}

const CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const REST = "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const llama = (numbers: string) =>
  `${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${numbers}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|${REST}`;
const HEADS = "\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}";
const TAILS = "\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}";
const o200k =
  `[^\\r\\n\\p{L}\\p{N}]?[${HEADS}]*[${TAILS}]+${CONTRACTIONS}?|` +
  `[^\\r\\n\\p{L}\\p{N}]?[${HEADS}]+[${TAILS}]*${CONTRACTIONS}?|` +
  `\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|${REST}`;
const deepSeek = [
  "\\p{N}{1,3}",
  "[一-龥぀-ゟ゠-ヿ]+",
  "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+" +
    "| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+",
];

/** The expressions whose scanners are written by hand, joined by newlines where there are several. */
const known = new Map<string, Scan>([
  [llama("\\p{N}{1,3}"), llama3Scan],
  [llama("\\p{N}"), qwen2Scan],
  [o200k, o200kScan],
  [deepSeek.join("\n"), deepSeekScan],
]);

function unsupported(what: string, cause?: unknown): NsaError {
  return new NsaError({
    code: "tokenizer_unsupported",
    what,
    why: "byte-level BPE behind Split, Digits and ByteLevel pre-tokenizers is encoded here",
    fix: "train a tokenizer with `nsa tokenizer train`, or use a checkpoint with such a one",
    exitCode: 4,
    cause,
  });
}

/** The splitter of a `pre_tokenizer` entry. `regex` forces the expressions. Throws `tokenizer_unsupported` (exit 4). */
export function splitterOf(json: PreTokenizerJson | null | undefined, regex = false): Splitter {
  const parts = json?.type === "Sequence" ? (json.pretokenizers ?? []) : json ? [json] : [];
  const last = parts.at(-1);
  if (last?.type !== "ByteLevel") throw unsupported(`pre-tokenizer ${json?.type ?? "none"}`);
  if (last.add_prefix_space) throw unsupported("a pre-tokenizer that adds a space in front");
  const before = parts.slice(0, -1);
  if (last.use_regex !== false && !regex) {
    if (before.length === 0) return scanSplitter(gpt2Scan);
    if (before.length === 1 && before[0]!.type === "Digits" && before[0]!.individual_digits) {
      return scanSplitter(digitsScan);
    }
  }
  const sources = before.map((p) => {
    if (p.type === "Digits") return p.individual_digits ? "\\p{N}" : "\\p{N}+";
    // Where matches alone are kept, what lies between them is dropped: the known expressions leave nothing.
    const isolated =
      p.behavior === "Isolated" ||
      (p.behavior === "Removed" && p.invert && known.has(p.pattern?.Regex ?? ""));
    if (p.type !== "Split" || !isolated) throw unsupported(`pre-tokenizer ${p.type} ${p.behavior ?? ""}`);
    return p.pattern?.Regex ?? literal(p.pattern?.String ?? "");
  });
  const scan = regex ? undefined : known.get(sources.join("\n"));
  if (scan && last.use_regex === false) return scanSplitter(scan);
  const patterns = sources.map(toRegExp);
  if (last.use_regex !== false) patterns.push(GPT2);
  return regexSplitter(patterns);
}
