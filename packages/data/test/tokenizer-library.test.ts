// Kinds of tokenizers that the library encodes: ids, texts, streams and bytes.
import { Tokenizer as Library } from "@huggingface/tokenizers";
import { expect, test } from "vitest";
import { Tokenizer } from "../src/index.ts";
import { bpe, type Json, kinds, texts } from "./tokenizer-jsons.ts";

const oracleOf = (json: Json) => new Library(json, { clean_up_tokenization_spaces: false });

/** Where the library itself differs from Rust's: rust-tokenizers.test.ts has the right ids. */
const OTHERWISE = ["WordPiece", "BPE with marks of word ends"];

test.each(Object.entries(kinds))("%s_is_encoded_decoded_and_streamed_by_the_library", (name, json) => {
  const [ours, oracle] = [new Tokenizer(json), oracleOf(json)];
  const { before, after } = ours.frame;
  for (const text of ["the quick fox", "thethe 12", " a  the", "x<s>the", "数学 naïve 😀", ...texts]) {
    const ids = ours.encode(text);
    const theirs = OTHERWISE.includes(name) ? [...ids, ...after] : [...oracle.encode(text).ids];
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

test.each([
  [true, [0, 0, 1, 0, 1]],
  [false, [0, 0, 0, 0, 1, 0, 1]],
])("unknown_characters_are_one_inside_a_word_alone fuse_unk: %s", (fuse, ids) => {
  const model = { type: "BPE", vocab: { "<unk>": 0, a: 1 }, merges: [], unk_token: "<unk>", fuse_unk: fuse };
  const t = new Tokenizer({ model, pre_tokenizer: { type: "WhitespaceSplit" }, added_tokens: [] } as never);
  expect([...t.encodeIds("xx yy aza")]).toEqual(ids);
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

test("a_mark_of_byte_order_in_front_stays", () => {
  const t = new Tokenizer(bpe());
  for (const text of ["\ufeffabc", "\ufeff", "a\ufeff", "\ufeff\ufeff数"]) {
    const stream = t.stream();
    const ids = t.encode(text);
    expect(t.decode(ids)).toBe(text);
    expect(ids.map((id) => stream.push(id)).join("") + stream.end()).toBe(text);
  }
});
