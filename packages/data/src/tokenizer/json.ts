// The shape of a tokenizer.json, as far as it is read here, and the check of it.
import { NsaError } from "@nsa/core";
import type { AddedToken } from "./added-tokens.ts";
import type { PostProcessorJson } from "./post-processor.ts";

export interface PreTokenizerJson {
  type: string;
  pretokenizers?: PreTokenizerJson[];
  individual_digits?: boolean;
  use_regex?: boolean;
  add_prefix_space?: boolean;
  pattern?: { Regex?: string; String?: string };
  behavior?: string;
  invert?: boolean;
  delimiter?: string;
  length?: number;
  replacement?: string;
  prepend_scheme?: string;
  split?: boolean;
}

export interface DecoderJson {
  type: string;
  decoders?: DecoderJson[];
  pattern?: { Regex?: string; String?: string };
  content?: string;
  start?: number;
  stop?: number;
  replacement?: string;
  prepend_scheme?: string;
  add_prefix_space?: boolean;
}

export interface NormalizerJson {
  type: string;
  normalizers?: NormalizerJson[];
  pattern?: { Regex?: string; String?: string };
  content?: string;
  prepend?: string;
  strip_left?: boolean;
  strip_right?: boolean;
  clean_text?: boolean;
  handle_chinese_chars?: boolean;
  strip_accents?: boolean | null;
  lowercase?: boolean;
}

export interface TokenizerJson {
  added_tokens?: AddedToken[] | null;
  pre_tokenizer?: PreTokenizerJson | null;
  normalizer?: NormalizerJson | null;
  post_processor?: PostProcessorJson | null;
  decoder?: DecoderJson | null;
  model: {
    type: string;
    vocab: Record<string, number>;
    merges: (string | [string, string])[];
    ignore_merges?: boolean;
    byte_fallback?: boolean;
    dropout?: number | null;
    continuing_subword_prefix?: string | null;
    end_of_word_suffix?: string | null;
  };
}

function invalid(what: string, why: string): NsaError {
  return new NsaError({
    code: "tokenizer_invalid",
    what: `${what} of tokenizer.json`,
    why,
    fix: "fetch tokenizer.json again, or train one with `nsa tokenizer train`",
    exitCode: 3,
  });
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
const isId = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0;

function checkPart(name: string, part: unknown): void {
  if (part === undefined || part === null) return;
  if (!isObject(part) || typeof part.type !== "string") throw invalid(name, "it is no object with a type");
  for (const key of ["normalizers", "pretokenizers", "processors", "decoders"]) {
    const list = part[key];
    if (list === undefined) continue;
    if (!Array.isArray(list)) throw invalid(name, `${key} is no list`);
    for (const inner of list) checkPart(name, inner ?? 0);
  }
  if (part.type !== "Split") return;
  const pattern = part.pattern;
  const one = isObject(pattern) ? (pattern.Regex ?? pattern.String) : undefined;
  if (typeof one !== "string") throw invalid(name, "a Split has no pattern, neither Regex nor String");
}

function checkModel(model: unknown): void {
  if (!isObject(model)) throw invalid("model", "it is no object");
  const { type, vocab, merges } = model;
  if (typeof type !== "string") throw invalid("model", "it has no type");
  if (Array.isArray(vocab)) {
    const wrong = vocab.findIndex(
      (e) => !Array.isArray(e) || typeof e[0] !== "string" || typeof e[1] !== "number",
    );
    if (wrong >= 0) throw invalid("model.vocab", `entry ${wrong} is no pair of token and score`);
  } else {
    if (!isObject(vocab)) throw invalid("model.vocab", "it is neither a map nor a list");
    const wrong = Object.entries(vocab).find(([, id]) => !isId(id));
    if (wrong)
      throw invalid("model.vocab", `the id of ${JSON.stringify(wrong[0])} is ${JSON.stringify(wrong[1])}`);
  }
  if (type !== "BPE") return;
  if (!Array.isArray(merges)) throw invalid("model.merges", "it is no list");
  const wrong = merges.findIndex(
    (m) =>
      !(typeof m === "string" && m.indexOf(" ", 1) > 0) &&
      !(Array.isArray(m) && m.length === 2 && m.every((x) => typeof x === "string")),
  );
  if (wrong >= 0) throw invalid("model.merges", `entry ${wrong} is no pair of tokens`);
}

/** Checks the shape of a tokenizer.json. Throws NsaError `tokenizer_invalid` (exit 3) naming the part. */
export function checkTokenizerJson(json: unknown): TokenizerJson {
  if (!isObject(json)) throw invalid("the root", "it is no object");
  checkModel(json.model);
  const added = json.added_tokens ?? [];
  if (!Array.isArray(added)) throw invalid("added_tokens", "it is no list");
  added.forEach((token, i) => {
    if (!isObject(token) || !isId(token.id) || typeof token.content !== "string" || token.content === "")
      throw invalid("added_tokens", `entry ${i} is no object with id and content`);
  });
  for (const name of ["normalizer", "pre_tokenizer", "post_processor", "decoder"])
    checkPart(name, json[name]);
  return json as unknown as TokenizerJson;
}
