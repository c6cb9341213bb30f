// What a post-processor and the configuration put around texts.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Tokenizer as Library } from "@huggingface/tokenizers";
import { afterAll, expect, test } from "vitest";
import { Tokenizer, tokenizerFiles } from "../src/index.ts";
import { A, bpe, byteLevel, type Json, pair, special, template, texts } from "./tokenizer-jsons.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-tokenizer-frames-"));
afterAll(() => rmSync(root, { recursive: true }));

const oracleOf = (json: Json) => new Library(json, { clean_up_tokenization_spaces: false });

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
