// tokenizer.json of many kinds, made here, for tests that hold readers against one another.
import { trainBpe } from "../src/index.ts";
import { edgeStrings } from "./edge-strings.ts";

export type Json = Record<string, unknown>;
export const corpus = [
  "the quick brown fox",
  "12 + 30 = 42",
  "naïve café, Größe",
  "数学は楽しい the the the",
];
export const bpe = (more: Json = {}): Json => ({
  ...trainBpe([...corpus, ...corpus], {
    vocabSize: 320,
    preTokenizer: "gpt2",
    specialTokens: ["<s>", "</s>"],
  }),
  ...more,
});
/** Texts that JavaScript and Rust read as the same characters: no half of a pair. */
export const texts = [...corpus, ...edgeStrings(250)].filter((t) => !/\p{Surrogate}/u.test(t));

export const special = (id: string) => ({ SpecialToken: { id, type_id: 0 } });
export const A = { Sequence: { id: "A", type_id: 0 } };
export const templateOf = (begin: number, end: number, ...single: object[]) => ({
  type: "TemplateProcessing",
  single,
  pair: [A],
  special_tokens: {
    "<s>": { id: "<s>", ids: [begin], tokens: ["<s>"] },
    "</s>": { id: "</s>", ids: [end], tokens: ["</s>"] },
  },
});
export const template = (...single: object[]) => templateOf(0, 1, ...single);
export const byteLevel = { type: "ByteLevel", add_prefix_space: true, trim_offsets: false, use_regex: true };
export const pair = { sep: ["</s>", 1], cls: ["<s>", 0] };

const replacement = "▁";
const pieces = [
  "▁the",
  "▁quick",
  "▁",
  "t",
  "h",
  "e",
  "q",
  "u",
  "i",
  "c",
  "k",
  "▁fox",
  "n",
  "12",
  "▁+",
  "a",
  "b",
  "on",
];
const bytes = Array.from({ length: 256 }, (_, b) => `<0x${b.toString(16).toUpperCase().padStart(2, "0")}>`);
const sentencePieceTokens = ["<unk>", "<s>", "</s>", ...bytes, ...pieces];
export const metaspace = (prepend_scheme: string) => ({
  type: "Metaspace",
  replacement,
  prepend_scheme,
  split: false,
});
const blanks = {
  type: "Sequence",
  decoders: [
    { type: "Replace", pattern: { String: replacement }, content: " " },
    { type: "ByteFallback" },
    { type: "Fuse" },
    { type: "Strip", content: " ", start: 1, stop: 0 },
  ],
};
const empty = { normalizer: null, pre_tokenizer: null, post_processor: null, decoder: null };
const ends = ["<unk>", "<s>", "</s>"].map((content, id) => ({
  ...{ id, content, special: true, normalized: false },
  ...{ single_word: false, lstrip: false, rstrip: false },
}));
const fallbackBpe = {
  type: "BPE",
  unk_token: "<unk>",
  fuse_unk: true,
  byte_fallback: true,
  vocab: Object.fromEntries([...sentencePieceTokens, "th", "▁th"].map((t, i) => [t, i])),
  merges: ["t h", "▁ th", "▁th e", "o n"].filter((m) => m !== "o n"),
};
const unigram = (byte_fallback: boolean) => ({
  type: "Unigram",
  unk_id: 0,
  byte_fallback,
  vocab: sentencePieceTokens.map((t, i) => [t, i < 259 ? 0 : -1 - t.length / 7 - i / 1000]),
});
const wordPieceTokens = [
  "[UNK]",
  "[CLS]",
  "[SEP]",
  "the",
  "quick",
  "fox",
  "##es",
  "##s",
  "12",
  "##3",
  "+",
  ",",
  "naive",
  "数",
  "a",
];
export const kinds: Record<string, Json> = {
  "BPE of Llama 2": {
    ...empty,
    added_tokens: ends,
    normalizer: {
      type: "Sequence",
      normalizers: [
        { type: "Prepend", prepend: replacement },
        { type: "Replace", pattern: { String: " " }, content: replacement },
      ],
    },
    post_processor: templateOf(1, 2, special("<s>"), A),
    decoder: blanks,
    model: fallbackBpe,
  },
  "BPE with a blank in front of the first part": {
    ...empty,
    added_tokens: ends,
    pre_tokenizer: metaspace("first"),
    post_processor: templateOf(1, 2, special("<s>"), A),
    decoder: blanks,
    model: fallbackBpe,
  },
  Unigram: {
    ...empty,
    added_tokens: ends,
    normalizer: { type: "NFKC" },
    pre_tokenizer: metaspace("always"),
    decoder: metaspace("always"),
    model: unigram(false),
  },
  "Unigram with bytes": {
    ...empty,
    added_tokens: ends,
    pre_tokenizer: metaspace("first"),
    decoder: blanks,
    model: unigram(true),
  },
  WordPiece: {
    ...empty,
    added_tokens: [],
    normalizer: {
      type: "BertNormalizer",
      clean_text: true,
      handle_chinese_chars: true,
      strip_accents: null,
      lowercase: true,
    },
    pre_tokenizer: { type: "BertPreTokenizer" },
    post_processor: { type: "BertProcessing", sep: ["[SEP]", 2], cls: ["[CLS]", 1] },
    decoder: { type: "WordPiece", prefix: "##", cleanup: false },
    model: {
      type: "WordPiece",
      unk_token: "[UNK]",
      continuing_subword_prefix: "##",
      max_input_chars_per_word: 100,
      vocab: Object.fromEntries(wordPieceTokens.map((t, i) => [t, i])),
    },
  },
  "byte-level BPE behind a blank": bpe({
    pre_tokenizer: byteLevel,
  }),
  "BPE with marks of word ends": {
    ...empty,
    added_tokens: [],
    normalizer: { type: "Lowercase" },
    pre_tokenizer: { type: "Whitespace" },
    decoder: { type: "BPEDecoder", suffix: "</w>" },
    model: {
      type: "BPE",
      unk_token: "<unk>",
      end_of_word_suffix: "</w>",
      vocab: Object.fromEntries(
        ["<unk>", "t", "h", "e", "e</w>", "th", "the</w>", "x", "x</w>"].map((t, i) => [t, i]),
      ),
      merges: ["t h", "th e</w>"],
    },
  },
};
