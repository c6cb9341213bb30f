// Every tokenizer.json is encoded as its own library does it, by our codec or by the library's, or refused by what it has.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Tokenizer as Library } from "@huggingface/tokenizers";
import { afterAll, expect, test } from "vitest";
import { Tokenizer, tokenizerFiles, trainBpe } from "../src/index.ts";
import { toRegExp } from "../src/tokenizer/expression.ts";
import { edgeStrings } from "./edge-strings.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-tokenizer-kinds-"));
afterAll(() => rmSync(root, { recursive: true }));

type Json = Record<string, unknown>;
const corpus = ["the quick brown fox", "12 + 30 = 42", "naïve café, Größe", "数学は楽しい the the the"];
const bpe = (more: Json = {}): Json => ({
  ...trainBpe([...corpus, ...corpus], {
    vocabSize: 320,
    preTokenizer: "gpt2",
    specialTokens: ["<s>", "</s>"],
  }),
  ...more,
});
const oracleOf = (json: Json) => new Library(json, { clean_up_tokenization_spaces: false });
/** Texts that JavaScript and Rust read as the same characters: no half of a pair. */
const texts = [...corpus, ...edgeStrings(250)].filter((t) => !/\p{Surrogate}/u.test(t));

const special = (id: string) => ({ SpecialToken: { id, type_id: 0 } });
const A = { Sequence: { id: "A", type_id: 0 } };
const templateOf = (begin: number, end: number, ...single: object[]) => ({
  type: "TemplateProcessing",
  single,
  pair: [A],
  special_tokens: {
    "<s>": { id: "<s>", ids: [begin], tokens: ["<s>"] },
    "</s>": { id: "</s>", ids: [end], tokens: ["</s>"] },
  },
});
const template = (...single: object[]) => templateOf(0, 1, ...single);
const byteLevel = { type: "ByteLevel", add_prefix_space: true, trim_offsets: false, use_regex: true };
const pair = { sep: ["</s>", 1], cls: ["<s>", 0] };

test.each<[string, object, number[], number[]]>([
  ["begin", template(special("<s>"), A), [0], []],
  ["begin_and_end", template(special("<s>"), A, special("</s>")), [0], [1]],
  ["end", template(A, special("</s>")), [], [1]],
  ["nothing", template(A), [], []],
  ["byte_level", byteLevel, [], []],
  ["llama_3", { type: "Sequence", processors: [byteLevel, template(special("<s>"), A)] }, [0], []],
  [
    "two_templates",
    {
      type: "Sequence",
      processors: [template(special("<s>"), A, special("</s>")), template(special("</s>"), A)],
    },
    [1, 0],
    [1],
  ],
  ["bert", { type: "BertProcessing", ...pair }, [0], [1]],
  ["roberta", { type: "RobertaProcessing", ...pair, trim_offsets: true, add_prefix_space: false }, [0], [1]],
])("a_post_processor_%s_frames_texts_prompts_and_documents", (_, post_processor, before, after) => {
  const json = bpe({ post_processor });
  const [ours, oracle] = [new Tokenizer(json), oracleOf(json)];
  expect(ours.frame).toEqual({ before, after });
  for (const text of texts) {
    const ids = ours.encode(text);
    expect([...ids, ...after], text).toEqual([...oracle.encode(text).ids]);
    expect(ours.encode(text, { inner: true })).toEqual(ids.slice(before.length));
    expect(ours.decode(ids)).toBe(text);
  }
  // A template that writes the tokens itself does not get them twice.
  if (before.join() === "0") expect(ours.encode("<s>a")).toEqual([0, ...ours.encode("a", { inner: true })]);
  const document = [...ours.encodeDocument("<s>a")];
  expect(document.slice(0, before.length)).toEqual(before);
  expect(ours.decode(document)).toBe("<s>a");
});

test("added_tokens_in_the_configuration_decide_over_the_post_processor", () => {
  const files = (config: Json, post_processor: object | null) => {
    const folder = mkdtempSync(join(root, "f-"));
    writeFileSync(join(folder, "tokenizer.json"), JSON.stringify(bpe({ post_processor })));
    const stated = { bos_token: "<s>", eos_token: "</s>", ...config };
    writeFileSync(join(folder, "tokenizer_config.json"), JSON.stringify(stated));
    return Tokenizer.load(folder);
  };
  const llama = { tokenizer_class: "LlamaTokenizerFast" };
  const plain = template(A);
  const begin = template(special("<s>"), A);
  expect(files({ ...llama, add_bos_token: true }, plain).frame.before).toEqual([0]);
  expect(files({ ...llama, add_bos_token: true }, begin).frame.before).toEqual([0]);
  expect(files({ ...llama, add_bos_token: false }, begin).frame.before).toEqual([]);
  expect(files({ ...llama, add_eos_token: true }, null).frame.after).toEqual([1]);
  expect(files({ tokenizer_class: "Qwen2Tokenizer", add_bos_token: false }, begin).frame.before).toEqual([0]);
  expect(files({ add_bos_token: true }, null).frame.before).toEqual([0]);
  // What was stated travels with the tokenizer.
  const folder = mkdtempSync(join(root, "copy-"));
  const original = files({ ...llama, add_bos_token: false }, begin);
  for (const [name, content] of Object.entries(tokenizerFiles(original)))
    writeFileSync(join(folder, name), content);
  expect(Tokenizer.load(folder).frame).toEqual(original.frame);
});

/** Ids 400 … are added; the rules are those of Rust's AddedVocabulary. */
const added = (...tokens: Json[]) =>
  bpe({ added_tokens: tokens.map((t, i) => ({ id: 400 + i, special: false, normalized: false, ...t })) });
function shown(json: Json, text: string): string[] {
  const t = new Tokenizer(json);
  const parts: (string | number[])[] = [];
  for (const id of t.encode(text)) {
    const last = parts.at(-1);
    if (id >= 400) parts.push(`<${id}>`);
    else if (Array.isArray(last)) last.push(id);
    else parts.push([id]);
  }
  return parts.map((part) => (typeof part === "string" ? part : t.decode(part)));
}

test.each<[string, Json[], string, string[]]>([
  ["plain", [{ content: "[X]" }], "a [X] b", ["a ", "<400>", " b"]],
  ["lstrip", [{ content: "[X]", lstrip: true }], "a \n[X] b", ["a", "<400>", " b"]],
  ["rstrip", [{ content: "[X]", rstrip: true }], "a [X] \t\u3000b", ["a ", "<400>", "b"]],
  ["both", [{ content: "[X]", lstrip: true, rstrip: true }], " [X] [X] ", ["<400>", "<400>"]],
  [
    "single_word",
    [{ content: "to", single_word: true }],
    "to tomato, to_ to",
    ["<400>", " tomato, to_ ", "<400>"],
  ],
  ["single_word_unicode", [{ content: "to", single_word: true }], "éto to·", ["éto ", "<400>", "·"]],
  ["not_single", [{ content: "to" }], "atoto", ["a", "<400>", "<400>"]],
  ["longest", [{ content: "ab" }, { content: "abc" }], "abcab", ["<401>", "<400>"]],
  ["leftmost", [{ content: "ab" }, { content: "bcd" }], "abcd", ["<400>", "cd"]],
  ["expression_signs", [{ content: "a.*[b" }], "a.*[b axxb", ["<400>", " axxb"]],
  ["blank", [{ content: "  " }], "a   b", ["a", "<400>", " b"]],
])("added_tokens_%s", (_, tokens, text, expected) => {
  expect(shown(added(...tokens), text)).toEqual(expected);
});

test("normalized_added_tokens_are_found_behind_the_normalizer", () => {
  const nfc = { normalizer: { type: "NFC" } };
  const late = { ...added({ content: "é", normalized: true }), ...nfc };
  const early = { ...added({ content: "é", normalized: false }), ...nfc };
  expect(shown(late, "xe\u0301y")).toEqual(["x", "<400>", "y"]);
  expect(shown(early, "xe\u0301y")).toEqual(["xéy"]);
  const lower = { ...added({ content: "Hey", normalized: true }), normalizer: { type: "Lowercase" } };
  expect(shown(lower, "A HEY b")).toEqual(["a ", "<400>", " b"]);
});

test.each<[string, object]>([
  ...["NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents"].map((type): [string, object] => [
    type,
    { type },
  ]),
  ["Strip", { type: "Strip", strip_left: true, strip_right: true }],
  ["Replace", { type: "Replace", pattern: { String: "the" }, content: "THE" }],
  ["Replace_by_expression", { type: "Replace", pattern: { Regex: "\\d+" }, content: "#" }],
  ["Prepend", { type: "Prepend", prepend: "_" }],
  [
    "Sequence",
    { type: "Sequence", normalizers: [{ type: "NFKD" }, { type: "StripAccents" }, { type: "Lowercase" }] },
  ],
])("the_normalizer_%s_equals_the_library", (_, normalizer) => {
  const json = bpe({ normalizer, added_tokens: [] });
  const [ours, oracle] = [new Tokenizer(json), oracleOf(json)];
  for (const text of texts) expect(ours.encode(text), text).toEqual([...oracle.encode(text).ids]);
});

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
const metaspace = (prepend_scheme: string) => ({
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
  id,
  content,
  special: true,
  normalized: false,
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
const kinds: Record<string, Json> = {
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
    pre_tokenizer: { type: "ByteLevel", add_prefix_space: true, use_regex: true },
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

test.each(Object.entries(kinds))("%s_is_encoded_decoded_and_streamed_by_the_library", (name, json) => {
  const [ours, oracle] = [new Tokenizer(json), oracleOf(json)];
  const { before, after } = ours.frame;
  for (const text of ["the quick fox", "thethe 12", " a  the", "x<s>the", "数学 naïve 😀", ...texts]) {
    const ids = ours.encode(text);
    const theirs = [...oracle.encode(text).ids];
    // The library knows no bytes of a Unigram.
    const unknown = name === "Unigram with bytes" && theirs.includes(0);
    if (!unknown) expect([...ids, ...after], JSON.stringify(text)).toEqual(theirs);
    else expect(ids.includes(0), JSON.stringify(text)).toBe(false);
    if (ids.length === before.length) continue;
    const plain = ids.filter((id) => !ours.isSpecial(id));
    const whole = plain.length === 0 ? "" : oracle.decode(plain);
    expect(ours.decode(ids), JSON.stringify(text)).toBe(whole);
    const stream = ours.stream();
    expect(ids.map((id) => stream.push(id)).join("") + stream.end(), JSON.stringify(text)).toBe(whole);
  }
  expect(ours.vocabSize).toBeGreaterThan(8);
});

test("a_text_that_continues_another_has_no_mark_of_its_beginning", () => {
  for (const name of [
    "BPE of Llama 2",
    "BPE with a blank in front of the first part",
    "Unigram",
    "Unigram with bytes",
  ]) {
    const t = new Tokenizer(kinds[name]!);
    for (const [head, tail] of [
      ["the", " quick"],
      ["a", "the fox"],
      ["the fox", "12"],
    ] as const) {
      const joined = [...t.encode(head), ...t.encode(tail, { inner: true })];
      expect(t.decode(joined), name).toBe(head + tail);
    }
  }
});

test("bytes_of_tokens_join_to_the_text", () => {
  for (const name of [
    "BPE of Llama 2",
    "Unigram with bytes",
    "BPE with a blank in front of the first part",
  ]) {
    const t = new Tokenizer(kinds[name]!);
    const text = "the quick 数é fox";
    const joined = Buffer.concat(t.encode(text, { inner: true }).map((id) => t.bytesOf(id)));
    expect(joined.toString(), name).toBe(text);
  }
});

const split = (Regex: string) =>
  bpe({
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [
        { type: "Split", pattern: { Regex }, behavior: "Isolated", invert: false },
        { type: "ByteLevel", add_prefix_space: false, use_regex: false },
      ],
    },
  });

/** By Oniguruma: letters, digits and blanks of Unicode, `.` all but a line feed, `^` and `$` at every line. */
test.each<[string, string, string[]]>([
  ["\\d{1,3}|\\w+|\\s+|[^\\w\\s]+", "naïve ٣٤ été", ["naïve", " ", "٣٤", " ", "été"]],
  [".+|\\n", "a\r\nb c", ["a\r", "\n", "b c"]],
  [".+|\\n", "a\u2028b\nc", ["a\u2028b", "\n", "c"]],
  ["\\W+|\\w+", "дом_1, кот", ["дом_1", ", ", "кот"]],
  ["\\D+|\\d", "x٣4", ["x", "٣", "4"]],
  ["\\S+|\\s", "a\u0085b\ufeffc", ["a", "\u0085", "b\ufeffc"]],
  ["[\\w]+|[^\\w]+", "été!!x", ["été", "!!", "x"]],
  ["[[:alpha:]]+|[[:digit:]]", "été12", ["été", "1", "2"]],
  ["(?i:don't|é)|.", "DON'TÉé", ["DON'T", "É", "é"].slice(0, 1).concat(["É", "é"])],
  ["\\p{Han}+|\\P{Han}+", "数学abc", ["数学", "abc"]],
  ["^.|.$|.", "ab\ncd", ["a", "b", "\n", "c", "d"]],
  ["\\bto\\b|\\w+|\\W", "to éto", ["to", " ", "éto"]],
  ["\\h+|\\H+", "beefgh", ["beef", "gh"]],
])("the_expression_%s_has_its_own_engine_s_meaning", (regex, text, expected) => {
  const found = [...text.matchAll(toRegExp(regex))].map((m) => m[0]);
  const covered: string[] = [];
  let at = 0;
  for (const word of found) {
    const index = text.indexOf(word, at);
    if (index > at) covered.push(text.slice(at, index));
    covered.push(word);
    at = index + word.length;
  }
  expect(covered).toEqual(expected);
  const t = new Tokenizer(split(regex));
  expect(t.decode(t.encode(text))).toBe(text);
});

test.each([
  ["a++", "possessive"],
  ["[^\\r\\n]?+x", "possessive"],
  ["(?>a|ab)c", "atomic"],
  ["(?x) a", "option"],
  ["(?i)abc", "option"],
  ["(?m:a.b)", "option"],
  ["(a)\\1", "reference"],
  ["a\\Rb", "escape"],
  ["a\\Kb", "escape"],
  ["a(", "something"],
])("the_expression_%s_is_refused_by_name", (regex, what) => {
  const error = {
    code: "tokenizer_expression_unsupported",
    exitCode: 4,
    what: expect.stringContaining(what),
  };
  expect(() => new Tokenizer(split(regex))).toThrowError(expect.objectContaining(error));
});

test("plus_signs_in_classes_and_behind_braces_are_none", () => {
  for (const regex of ["[*+]+|x", "a{2}+|.", "\\++|.", "[+?+]"]) expect(() => toRegExp(regex)).not.toThrow();
});

test.each<[string, Json]>([
  ["added_tokens", bpe({ added_tokens: [null] })],
  ["added_tokens", bpe({ added_tokens: [{ id: -1, content: "a" }] })],
  ["added_tokens", bpe({ added_tokens: {} })],
  ["model.vocab", bpe({ model: { type: "BPE", vocab: { a: "0" }, merges: [] } })],
  ["model.vocab", bpe({ model: { type: "Unigram", vocab: [["a"]] } })],
  ["model.merges", bpe({ model: { type: "BPE", vocab: { a: 0 }, merges: ["ab"] } })],
  ["model.merges", bpe({ model: { type: "BPE", vocab: { a: 0 } } })],
  ["model", bpe({ model: null })],
  ["pre_tokenizer", bpe({ pre_tokenizer: { type: "Sequence", pretokenizers: [{ type: "Split" }] } })],
  ["pre_tokenizer", bpe({ pre_tokenizer: { type: "Sequence", pretokenizers: [null] } })],
  ["pre_tokenizer", bpe({ pre_tokenizer: "ByteLevel" })],
  ["post_processor", bpe({ post_processor: template(special("<s>")) })],
  ["post_processor", bpe({ post_processor: template(special("<x>"), A) })],
  ["post_processor", bpe({ post_processor: { type: "BertProcessing" } })],
])("a_broken_%s_is_an_error_of_the_file", (part, json) => {
  const error = { code: "tokenizer_invalid", exitCode: 3, what: expect.stringContaining(part) };
  expect(() => new Tokenizer(json)).toThrowError(expect.objectContaining(error));
});

test.each<[string, Json]>([
  ["WordLevel", bpe({ model: { type: "WordLevel", vocab: { a: 0 }, unk_token: "a" } })],
  ["Unheard", bpe({ post_processor: { type: "Unheard" } })],
  ["Unheard", bpe({ pre_tokenizer: { type: "Unheard" } })],
  ["Unheard", bpe({ normalizer: { type: "Unheard" } })],
  ["dropout", bpe({ model: { ...(bpe().model as Json), dropout: 0.1 } })],
])("%s_is_refused_by_name", (name, json) => {
  const error = { code: "tokenizer_unsupported", exitCode: 4, message: expect.stringContaining(name) };
  expect(() => new Tokenizer(json)).toThrowError(expect.objectContaining(error));
});

test("a_mark_of_byte_order_in_front_stays", () => {
  const t = new Tokenizer(bpe());
  for (const text of ["\ufeffabc", "\ufeff", "a\ufeff", "\ufeff\ufeff数"]) {
    const stream = t.stream();
    const ids = t.encode(text);
    expect(t.decode(ids)).toBe(text);
    expect(ids.map((id) => stream.push(id)).join("") + stream.end()).toBe(text);
  }
});
