// Files of another shape, and parts that are not served.
import { expect, test } from "vitest";
import { Tokenizer } from "../src/index.ts";
import { A, bpe, type Json, special, template } from "./tokenizer-jsons.ts";

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
  [
    "continuing_subword_prefix",
    bpe({ model: { ...(bpe().model as Json), continuing_subword_prefix: "##", byte_fallback: true } }),
  ],
  ["dropout", bpe({ model: { ...(bpe().model as Json), dropout: 0.1 } })],
])("%s_is_refused_by_name", (name, json) => {
  const error = { code: "tokenizer_unsupported", exitCode: 4, message: expect.stringContaining(name) };
  expect(() => new Tokenizer(json)).toThrowError(expect.objectContaining(error));
});
