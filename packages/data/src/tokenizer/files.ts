// The files that travel with a model from folder to folder: tokenizer, chat template, and which tokens begin and end a text.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { specialTokenKeys } from "./special-tokens.ts";
import { Tokenizer } from "./tokenizer.ts";

const GENERATION = "generation_config.json";
const COPIED = ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja", GENERATION];

const toJson = (value: object) => `${JSON.stringify(value, null, 2)}\n`;

/**
 * tokenizer.json, generation_config.json where the tokens that begin and end a text are stated, not guessed, and
 * tokenizer_config.json where it says whether they are put around a text.
 */
export function tokenizerFiles(tokenizer: Tokenizer): Record<string, string> {
  const { stated } = tokenizer;
  const keys = specialTokenKeys(stated);
  const around = {
    ...(stated.addBos === undefined ? {} : { add_bos_token: stated.addBos }),
    ...(stated.addEos === undefined ? {} : { add_eos_token: stated.addEos }),
  };
  // The class that obeys a `false`.
  const config = { tokenizer_class: "LlamaTokenizerFast", ...around };
  return {
    "tokenizer.json": JSON.stringify(tokenizer.json),
    ...(Object.keys(around).length > 0 ? { "tokenizer_config.json": toJson(config) } : {}),
    ...(Object.keys(keys).length > 0 ? { [GENERATION]: toJson(keys) } : {}),
  };
}

/**
 * The files of a model's folder that a copy of the model needs, by name, as they are. generation_config.json also gets the tokens
 * that the folder states elsewhere; with `guessed`, it gets the end-of-text token even where no file states one. Throws as
 * {@link Tokenizer.load}.
 */
export function modelFiles(folder: string, options: { guessed?: boolean } = {}): Record<string, string> {
  const there = COPIED.filter((name) => existsSync(join(folder, name)));
  const files = Object.fromEntries(there.map((name) => [name, readFileSync(join(folder, name), "utf8")]));
  if (!("tokenizer.json" in files)) return files;
  const { stated, eosIds } = Tokenizer.load(folder);
  const keys = specialTokenKeys(options.guessed ? { ...stated, eosIds } : stated);
  if (Object.keys(keys).length === 0) return files;
  const own = files[GENERATION] === undefined ? {} : (JSON.parse(files[GENERATION]) as object);
  return { ...files, [GENERATION]: toJson({ ...own, ...keys }) };
}
