// Byte-level BPE against @huggingface/tokenizers on a vocabulary trained here, and packing that resumes to the token.
import { Tokenizer as Oracle } from "@huggingface/tokenizers";
import { expect, test } from "vitest";
import { PackedSource, Tokenizer, trainBpe } from "../src/index.ts";

const text = [
  "The quick brown fox jumps over the lazy dog. It's 12345 o'clock, isn't it?",
  "def add(a, b):\n    return a + b\n\n\nprint(add(12, 30))\t# 42",
  "数学は楽しい。La théorie des nombres — naïve café 😀 ½ ３４",
  "<think> 12 + 30 = 42 </think> <answer> 42 </answer>",
];
const edge = [
  "",
  " ",
  "\n\n  x",
  "a  1",
  "1 2  3",
  "don't 'S",
  "\u0000\u00ff",
  "👩‍👩‍👧 e\u0301",
  "x\r\n y ",
  "９9",
];

for (const preTokenizer of ["gpt2", "digits"] as const) {
  test(`ids_equal_the_library_for_${preTokenizer}`, () => {
    const json = trainBpe([...text, ...text], {
      vocabSize: 400,
      preTokenizer,
      specialTokens: ["<|endoftext|>"],
    });
    const ours = new Tokenizer(json);
    const oracle = new Oracle(json as never, {} as never);
    expect(ours.vocabSize).toBeGreaterThan(300);
    for (const s of [...text, ...edge, `a<|endoftext|>b${text[2]}`]) {
      expect(ours.encode(s), JSON.stringify(s)).toEqual([...oracle.encode(s).ids]);
      expect(ours.decode(ours.encode(s, { plain: true }))).toBe(s);
    }
  });
}

test("added_tokens_have_one_id_equal_the_library_and_stay_in_decoded_text", () => {
  const json = trainBpe([...text, ...text], {
    vocabSize: 400,
    preTokenizer: "digits",
    specialTokens: ["<|endoftext|>"],
    addedTokens: ["<think>", "</think>"],
  });
  const ours = new Tokenizer(json);
  const oracle = new Oracle(json as never, {} as never);
  expect(ours.eosId).toBe(0);
  expect(ours.encode("<think></think><|endoftext|>")).toEqual([1, 2, 0]);
  for (const s of [...text, "a<think>b </think> c<|endoftext|>"]) {
    const ids = ours.encode(s);
    expect(ids, s).toEqual([...oracle.encode(s).ids]);
    expect(ours.decode(ids)).toBe(s.replace("<|endoftext|>", ""));
    expect(ours.decode(ids, { special: true })).toBe(s);
    expect(ours.decode(ours.encode(s, { plain: true }))).toBe(s);
  }
});

test("digits_are_never_merged_with_the_digit_pre_tokenizer", () => {
  const json = trainBpe(Array(50).fill("12 12 12 12"), {
    vocabSize: 300,
    preTokenizer: "digits",
    specialTokens: ["<|endoftext|>"],
  });
  expect(new Tokenizer(json).encode("1212")).toHaveLength(4);
});

test("a_streamed_decoder_waits_for_whole_characters", () => {
  const t = new Tokenizer(
    trainBpe(text, { vocabSize: 257, preTokenizer: "gpt2", specialTokens: ["<|endoftext|>"] }),
  );
  const stream = t.stream();
  const parts = t.encode("é😀").map((id) => stream.push(id));
  expect(parts).toEqual(["", "é", "", "", "", "😀"]);
  expect(stream.end()).toBe("");
});

test("too_small_a_vocabulary_and_an_empty_corpus_are_refused", () => {
  const options = { vocabSize: 10, preTokenizer: "gpt2", specialTokens: [] } as const;
  expect(() => trainBpe(text, { ...options, specialTokens: [] })).toThrow(/256/);
  expect(() => trainBpe([], { ...options, vocabSize: 300, specialTokens: [] })).toThrow(/no words/);
});

const documents = Array.from({ length: 7 }, (_, d) =>
  Array.from({ length: 3 + d * 4 }, (_, i) => d * 100 + i),
);
const options = { microBatchTokens: 16, microBatches: 2, maxLength: 10, seed: 5 };

test("packed_targets_follow_their_tokens_and_never_cross_documents", () => {
  const source = new PackedSource(documents, options);
  for (let s = 0; s < 10; s++) {
    const { microBatches, weightSum } = source.next();
    expect(weightSum).toBe(32);
    for (const b of microBatches) {
      expect(b.cuSeqlens.at(-1)).toBe(16);
      for (let t = 0; t < 16; t++) expect(b.targets[t]).toBe(b.tokens[t]! + 1);
      for (let i = 0; i + 1 < b.cuSeqlens.length; i++) expect(b.positions[b.cuSeqlens[i]!]).toBe(0);
    }
  }
});

test("every_target_of_an_epoch_is_seen_once", () => {
  const source = new PackedSource(documents, { ...options, microBatchTokens: 1, microBatches: 1 });
  const total = documents.reduce((a, d) => a + d.length - 1, 0);
  const seen = new Set<number>();
  for (let i = 0; i < total; i++) seen.add(source.next().microBatches[0]!.targets[0]!);
  expect(seen.size).toBe(total);
  expect(source.epoch).toBe(1);
});

test("a_resumed_source_goes_on_at_the_exact_token", () => {
  const a = new PackedSource(documents, options);
  for (let i = 0; i < 7; i++) a.next();
  const b = new PackedSource(documents, options);
  b.load(JSON.parse(JSON.stringify(a.save())));
  for (let i = 0; i < 9; i++) expect(b.next()).toEqual(a.next());
});
