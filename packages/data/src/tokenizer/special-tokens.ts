// Which tokens begin and end a text: as the files beside tokenizer.json state it, not guessed from the vocabulary.
//
// For each of begin (bos), end (eos) and padding (pad), the first file that states it decides: generation_config.json, config.json,
// tokenizer_config.json, special_tokens_map.json. Files of ids may list several ends; files of tokens name one.
import { existsSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { NsaError } from "@nsa/core";

export interface SpecialTokens {
  bosId?: number;
  /** All of them end an output; the first one ends a document. */
  eosIds?: readonly number[];
  padId?: number;
  /** Whether the token that begins a text is put in front, and the one that ends it behind, where tokenizer_config.json says so. */
  addBos?: boolean;
  addEos?: boolean;
}

/** How a vocabulary answers: the id of a token, and whether there is a token with an id. */
interface Vocabulary {
  idOf(token: string): number | undefined;
  has(id: number): boolean;
}

const CONFIG = "tokenizer_config.json";
const FILES = ["generation_config.json", "config.json", CONFIG, "special_tokens_map.json"];

const ROLES = { bos: "begins a text", eos: "ends a text", pad: "fills up batches" } as const;
type Role = keyof typeof ROLES;

function invalid(path: string, what: string, why: string): NsaError {
  return new NsaError({
    code: "special_token_invalid",
    what: `${path}: ${what}`,
    why,
    fix: "correct the file, or put the files of one model into the folder",
    exitCode: 3,
  });
}

function readJson(path: string): Record<string, unknown> {
  let json: unknown;
  let why = "it is not a JSON object";
  try {
    json = JSON.parse(readFileSync(path, "utf8"));
  } catch (cause) {
    why = (cause as Error).message;
  }
  if (typeof json === "object" && json !== null && !Array.isArray(json))
    return json as Record<string, unknown>;
  throw new NsaError({
    code: "tokenizer_config_invalid",
    what: path,
    why,
    fix: "correct the file, or remove it",
    exitCode: 3,
  });
}

/** Ids that a file states under `<role>_token_id`; undefined where it states none: absent, null, an empty list, −1. */
function statedIds(path: string, role: Role, value: unknown, vocabulary: Vocabulary): number[] | undefined {
  if (value === undefined || value === null) return undefined;
  const key = `${role}_token_id`;
  const list = Array.isArray(value) ? value : [value];
  // −1 stands in files for "none" (the padding of Llama 1 and 2).
  if (list.length === 0 || (list.length === 1 && list[0] === -1)) return undefined;
  // Nothing here pads, and many folders name a padding token that their vocabulary lacks.
  if (role === "pad" && list.length === 1 && Number.isInteger(list[0]) && !vocabulary.has(list[0]))
    return undefined;
  if (role !== "eos" && list.length > 1)
    throw invalid(path, `${key} is a list of ${list.length}`, `one token ${ROLES[role]}`);
  for (const id of list) {
    if (!Number.isInteger(id))
      throw invalid(path, `${key} is ${JSON.stringify(value)}`, "ids are whole numbers");
    if (!vocabulary.has(id))
      throw invalid(path, `${key} is ${id}`, "tokenizer.json has no token with this id");
  }
  return [...new Set(list as number[])];
}

/** The id of the token that a file names under `<role>_token`: text, or an object with `content`. */
function namedId(path: string, role: Role, value: unknown, vocabulary: Vocabulary): number[] | undefined {
  if (value === undefined || value === null || value === "") return undefined;
  const key = `${role}_token`;
  const token = typeof value === "object" ? (value as { content?: unknown }).content : value;
  if (typeof token !== "string")
    throw invalid(
      path,
      `${key} is ${JSON.stringify(value)}`,
      "it is neither a text nor an object with `content`",
    );
  const id = vocabulary.idOf(token);
  if (id === undefined)
    throw invalid(path, `${key} is ${JSON.stringify(token)}`, "tokenizer.json has no such token");
  return [id];
}

/**
 * `add_bos_token` and `add_eos_token`. Only the tokenizers after Llama's obey a `false`; others have their frame from the
 * post-processor alone.
 */
function addedBy(json: Record<string, unknown>): Pick<SpecialTokens, "addBos" | "addEos"> {
  const obeys = /^(Code)?(Llama|Gemma|Cohere)/.test(String(json.tokenizer_class ?? ""));
  const said = (key: string) =>
    json[key] === true || (json[key] === false && obeys) ? json[key] : undefined;
  const [bos, eos] = [said("add_bos_token"), said("add_eos_token")] as (boolean | undefined)[];
  return { ...(bos === undefined ? {} : { addBos: bos }), ...(eos === undefined ? {} : { addEos: eos }) };
}

/** What the files of a folder state. Throws NsaError `special_token_invalid`, `tokenizer_config_invalid` (exit 3). */
export function readSpecialTokens(folder: string, vocabulary: Vocabulary): SpecialTokens {
  const files = FILES.map((name) => join(folder, name))
    .filter((path) => existsSync(path))
    .map((path) => ({ path, json: readJson(path) }));
  const find = (role: Role): number[] | undefined => {
    for (const { path, json } of files) {
      const ids =
        statedIds(path, role, json[`${role}_token_id`], vocabulary) ??
        namedId(path, role, json[`${role}_token`], vocabulary);
      if (ids) return ids;
    }
    return undefined;
  };
  const [bos, eos, pad] = [find("bos"), find("eos"), find("pad")];
  return {
    ...(bos ? { bosId: bos[0]! } : {}),
    ...(eos ? { eosIds: eos } : {}),
    ...(pad ? { padId: pad[0]! } : {}),
    ...addedBy(files.find(({ path }) => basename(path) === CONFIG)?.json ?? {}),
  };
}

/** The keys of generation_config.json and config.json that state the tokens; one end is a number, several are a list. */
export function specialTokenKeys({
  bosId,
  eosIds,
  padId,
}: SpecialTokens): Record<string, number | readonly number[]> {
  return {
    ...(bosId === undefined ? {} : { bos_token_id: bosId }),
    ...(eosIds?.length ? { eos_token_id: eosIds.length === 1 ? eosIds[0]! : eosIds } : {}),
    ...(padId === undefined ? {} : { pad_token_id: padId }),
  };
}
