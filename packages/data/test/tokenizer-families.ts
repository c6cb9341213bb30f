// tokenizer.json of the families over one small vocabulary, and one of each part, whose words the ids show.
import { byteChars } from "../src/tokenizer/bytes.ts";
import { A, bpe, type Json, kinds, special, template } from "./tokenizer-jsons.ts";

const byteLevelOf = (use_regex: boolean, add_prefix_space = false) => ({
  ...{ type: "ByteLevel", add_prefix_space, trim_offsets: true, use_regex },
});
const splits = (...patterns: (string | object)[]) => ({
  type: "Sequence",
  pretokenizers: [
    ...patterns.map((p) =>
      typeof p === "string"
        ? { type: "Split", pattern: { Regex: p }, behavior: "Isolated", invert: false }
        : p,
    ),
    byteLevelOf(false),
  ],
});
const contraction = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const llama = (digits: string) =>
  `${contraction}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`;
const model = bpe().model as Json;
const decoder = { type: "ByteLevel", add_prefix_space: true, trim_offsets: true, use_regex: true };

/** Pre-tokenizers, normalizers and post-processors of the families over one small vocabulary. */
export const families: Record<string, Json> = {
  "GPT-2": bpe({ pre_tokenizer: byteLevelOf(true), decoder }),
  "Llama 3": bpe({
    model: { ...model, ignore_merges: true },
    pre_tokenizer: splits(llama("\\p{N}{1,3}")),
    post_processor: { type: "Sequence", processors: [decoder, template(special("<s>"), A)] },
    decoder,
  }),
  Qwen2: bpe({ normalizer: { type: "NFC" }, pre_tokenizer: splits(llama("\\p{N}")), decoder }),
  "DeepSeek LLM": bpe({
    pre_tokenizer: splits("[\r\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", "[一-龥ࠀ-一가-퟿]+", {
      type: "Digits",
      individual_digits: true,
    }),
    decoder,
  }),
  "DeepSeek Coder": bpe({
    pre_tokenizer: splits(
      "[\r\n]",
      "\\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕ]+",
      "\\s?[!-/:-~！-／：-～‘-‟　-。]+",
      "\\s+$",
      "[一-龥ࠀ-一가-퟿]+",
      { type: "Digits", individual_digits: true },
    ),
    decoder,
  }),
  "DeepSeek V3": bpe({
    pre_tokenizer: splits(
      "\\p{N}{1,3}",
      "[一-龥぀-ゟ゠-ヿ]+",
      "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+",
    ),
    decoder,
  }),
  "GPT-4 and o200k": bpe({
    pre_tokenizer: splits(
      "[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
    ),
    decoder,
  }),
  StarCoder: bpe({
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [{ type: "Digits", individual_digits: true }, byteLevelOf(true)],
    },
    decoder,
  }),
  "punctuation apart": bpe({
    pre_tokenizer: splits({ type: "Punctuation", behavior: "Isolated" }),
    decoder,
  }),
  ...kinds,
};

/** Every byte alone, or as the last one of a word: ids show where words end. */
const words = [...byteChars, ...byteChars.map((c) => `${c}</w>`)];
const marked = {
  ...{
    type: "BPE",
    dropout: null,
    unk_token: null,
    continuing_subword_prefix: null,
    end_of_word_suffix: "</w>",
  },
  ...{ fuse_unk: false, byte_fallback: false, ignore_merges: false, merges: [] },
  vocab: Object.fromEntries(words.map((c, i) => [c, i])),
};
const asBytes = byteLevelOf(false);
const cut = (part: object): Json =>
  bpe({
    added_tokens: [],
    model: marked,
    pre_tokenizer: { type: "Sequence", pretokenizers: [part, asBytes] },
    decoder: null,
  });
const normalized = (normalizer: object, pre_tokenizer: object | null = asBytes): Json =>
  bpe({ added_tokens: [], model: marked, normalizer, pre_tokenizer, decoder: null });

const behaviors = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"];
const flags = [false, true];
const named = <T>(list: readonly T[], of: (one: T) => Record<string, Json>) =>
  Object.assign({}, ...list.map(of)) as Record<string, Json>;
const digitsOrLetters = { Regex: "\\d+|[a-e]" };

/** Every pre-tokenizer that is served. */
const cutters: Record<string, Json> = {
  ...named(["Whitespace", "WhitespaceSplit", "BertPreTokenizer"], (type) => ({ [type]: cut({ type }) })),
  CharDelimiterSplit: cut({ type: "CharDelimiterSplit", delimiter: "-" }),
  FixedLength: cut({ type: "FixedLength", length: 3 }),
  ...named(behaviors, (behavior) => ({
    [`Punctuation ${behavior}`]: cut({ type: "Punctuation", behavior }),
    ...named(flags, (invert) => ({
      [`Split ${behavior} ${invert}`]: cut({ type: "Split", pattern: digitsOrLetters, behavior, invert }),
      [`Split at blanks ${behavior} ${invert}`]: cut({
        type: "Split",
        pattern: { String: " " },
        behavior,
        invert,
      }),
    })),
  })),
  ...named(flags, (individual_digits) => ({
    [`Digits ${individual_digits}`]: cut({ type: "Digits", individual_digits }),
  })),
  ...named(["always", "never", "first"], (prepend_scheme) =>
    named(flags, (split) => ({
      [`Metaspace ${prepend_scheme} ${split}`]: cut({
        type: "Metaspace",
        replacement: "▁",
        prepend_scheme,
        split,
      }),
    })),
  ),
  ...named(flags, (use_regex) => ({
    [`ByteLevel ${use_regex}`]: { ...cut({}), pre_tokenizer: byteLevelOf(use_regex, true) },
  })),
};

/** Every normalizer that is served. */
const normalizers: Record<string, Json> = {
  ...named(["NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Nmt"], (type) => ({
    [type]: normalized({ type }),
  })),
  ...named(flags, (strip_left) =>
    named(flags, (strip_right) => ({
      [`Strip ${strip_left} ${strip_right}`]: normalized({ type: "Strip", strip_left, strip_right }),
    })),
  ),
  ...named(flags, (clean_text) =>
    named([null, true, false], (strip_accents) =>
      named(flags, (lowercase) => ({
        [`BertNormalizer ${clean_text} ${strip_accents} ${lowercase}`]: normalized({
          ...{
            type: "BertNormalizer",
            clean_text,
            handle_chinese_chars: clean_text,
            strip_accents,
            lowercase,
          },
        }),
      })),
    ),
  ),
  Prepend: normalized({ type: "Prepend", prepend: "▁" }),
  "Replace a text": normalized({ type: "Replace", pattern: { String: " " }, content: "▁" }),
  "Replace by an expression": normalized({ type: "Replace", pattern: { Regex: " {2,}" }, content: "$1▁" }),
  "normalizer ByteLevel": normalized({ type: "ByteLevel" }, null),
  "normalizers in order": normalized({
    type: "Sequence",
    normalizers: [
      { type: "NFKC" },
      { type: "Lowercase" },
      { type: "Replace", pattern: { Regex: "\\s+" }, content: " " },
    ],
  }),
};

const decodedBy = (decoder: object | null): Json => ({
  ...kinds["BPE of Llama 2"]!,
  ...{ decoder, post_processor: null, normalizer: null, pre_tokenizer: null },
});
const bytes = [{ type: "ByteFallback" }, { type: "Fuse" }];

/** Every decoder that is served. */
const decoders: Record<string, Json> = {
  ...named(["always", "never", "first"], (prepend_scheme) => ({
    [`decoder Metaspace ${prepend_scheme}`]: decodedBy({
      type: "Metaspace",
      replacement: "▁",
      prepend_scheme,
      split: true,
    }),
  })),
  ...named(flags, (cleanup) => ({
    [`decoder WordPiece ${cleanup}`]: decodedBy({ type: "WordPiece", prefix: "##", cleanup }),
  })),
  "decoder BPEDecoder": decodedBy({ type: "BPEDecoder", suffix: "k" }),
  "decoder ByteFallback": decodedBy({ type: "Sequence", decoders: bytes }),
  "decoder Strip": decodedBy({
    type: "Sequence",
    decoders: [...bytes, { type: "Strip", content: "t", start: 2, stop: 0 }],
  }),
  "decoder Replace": decodedBy({
    type: "Sequence",
    decoders: [{ type: "Replace", pattern: { String: "▁" }, content: " " }, ...bytes],
  }),
  "no decoder": decodedBy(null),
};

export const parts: Record<string, Json> = { ...cutters, ...normalizers, ...decoders };
