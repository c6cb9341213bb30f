// Public vocabularies: ids equal to @huggingface/tokenizers', scanners equal to their expressions, long words.
import { Tokenizer as Oracle } from "@huggingface/tokenizers";
import { NsaError } from "@nsa/core";
import { expect, test } from "vitest";
import { publicVocabularies } from "../bench/support/vocabularies.ts";
import { Tokenizer } from "../src/index.ts";
import type { PreTokenizerJson } from "../src/tokenizer/json.ts";
import { splitterOf } from "../src/tokenizer/split.ts";
import { edgeStrings } from "./edge-strings.ts";

const edges = edgeStrings(400);

for (const { name, json } of publicVocabularies()) {
  test(`ids_of_${name}_equal_the_library_and_decode_to_the_text`, { timeout: 180_000 }, () => {
    const ours = new Tokenizer(json);
    const oracle = new Oracle(json as never, {} as never);
    for (const text of [...edges, `${"=".repeat(300)}${"ab".repeat(200)} ${"数学".repeat(90)}`]) {
      const ids = ours.encode(text, { inner: true });
      expect(ids, JSON.stringify(text)).toEqual([...oracle.encode(text, { add_special_tokens: false }).ids]);
      const framed = [...ours.encode(text), ...ours.frame.after];
      expect(framed, JSON.stringify(text)).toEqual([...oracle.encode(text).ids]);
      const normal = name === "qwen3" ? text.normalize("NFC") : text;
      expect(ours.decode(ids, { special: true })).toBe(Buffer.from(normal).toString());
    }
    const joined = edges.join("");
    expect(ours.encode(joined), "warm as cold").toEqual(new Tokenizer(json).encode(joined));
  });

  // GPT-2's expression is built into ByteLevel; it is compared through its ids.
  if (name === "gpt2") continue;
  test(`the_scanner_of_${name}_splits_as_its_expression`, () => {
    const pre = json.pre_tokenizer as PreTokenizerJson;
    const [fast, slow] = [splitterOf(pre), splitterOf(pre, true)];
    for (const text of edges) {
      const codes = Uint16Array.from({ length: text.length }, (_, i) => text.charCodeAt(i));
      const borders = [fast, slow].map((split) => {
        const ends = new Int32Array(text.length);
        return [...ends.subarray(0, split(text, codes, text.length, ends))];
      });
      expect(borders[0], JSON.stringify(text)).toEqual(borders[1]);
    }
  });
}

test("an_unknown_expression_is_encoded_by_regexp_and_an_impossible_one_refused", () => {
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, use_regex: false };
  const split = (Regex: string) => ({ type: "Split", pattern: { Regex }, behavior: "Isolated" });
  const by = splitterOf({ type: "Sequence", pretokenizers: [split("\\s+|(?i:ab)"), byteLevel] });
  const ends = new Int32Array(16);
  expect([...ends.subarray(0, by("xAb  y", new Uint16Array(0), 6, ends))]).toEqual([1, 3, 5, 6]);
  expect(() => splitterOf({ type: "Sequence", pretokenizers: [split("a++"), byteLevel] })).toThrow(NsaError);
  expect(() => splitterOf({ type: "Metaspace" })).toThrow(/Metaspace/);
});
