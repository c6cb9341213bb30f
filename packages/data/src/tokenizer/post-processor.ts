// What a tokenizer's post-processor, and the files beside it, put in front of a text and behind it.
import { NsaError } from "@nsa/core";
import type { SpecialTokens } from "./special-tokens.ts";

/** Ids around the ids of a text. */
export interface Frame {
  before: readonly number[];
  after: readonly number[];
}

const NONE: Frame = { before: [], after: [] };

interface Template {
  SpecialToken?: { id?: unknown };
  Sequence?: { id?: unknown };
}

export interface PostProcessorJson {
  type?: unknown;
  processors?: unknown;
  single?: unknown;
  special_tokens?: unknown;
  cls?: unknown;
  sep?: unknown;
}

function invalid(why: string): NsaError {
  return new NsaError({
    code: "tokenizer_invalid",
    what: "the post_processor of tokenizer.json",
    why,
    fix: "fetch tokenizer.json again",
    exitCode: 3,
  });
}

function templateFrame(json: PostProcessorJson): Frame {
  const { single, special_tokens: tokens } = json;
  if (!Array.isArray(single)) throw invalid("TemplateProcessing has no list `single`");
  const at = (single as Template[]).findIndex((piece) => piece?.Sequence);
  const sequences = (single as Template[]).filter((piece) => piece?.Sequence);
  if (sequences.length !== 1) throw invalid(`its template has the text ${sequences.length} times`);
  const idsOf = (pieces: Template[]) =>
    pieces.flatMap((piece) => {
      const name = piece?.SpecialToken?.id;
      const ids = (tokens as Record<string, { ids?: unknown }> | undefined)?.[String(name)]?.ids;
      if (Array.isArray(ids) && ids.every(Number.isInteger)) return ids as number[];
      throw invalid(`its special_tokens have no ids of ${JSON.stringify(name)}`);
    });
  return { before: idsOf(single.slice(0, at)), after: idsOf(single.slice(at + 1)) };
}

function pairId(value: unknown, key: string): number {
  if (Array.isArray(value) && Number.isInteger(value[1])) return value[1] as number;
  throw invalid(`${key} is no pair of token and id`);
}

/** Throws NsaError `tokenizer_invalid` (exit 3), `tokenizer_unsupported` (exit 4). */
export function frameOf(json: PostProcessorJson | null | undefined): Frame {
  if (json === null || json === undefined) return NONE;
  switch (json.type) {
    case "ByteLevel":
      return NONE;
    case "TemplateProcessing":
      return templateFrame(json);
    case "BertProcessing":
    case "RobertaProcessing":
      return { before: [pairId(json.cls, "cls")], after: [pairId(json.sep, "sep")] };
    case "Sequence": {
      if (!Array.isArray(json.processors)) throw invalid("Sequence has no list `processors`");
      // Each one frames what the ones before it made.
      return (json.processors as PostProcessorJson[]).map(frameOf).reduce(
        (inner, outer) => ({
          before: [...outer.before, ...inner.before],
          after: [...inner.after, ...outer.after],
        }),
        NONE,
      );
    }
    default:
      throw new NsaError({
        code: "tokenizer_unsupported",
        what: `a tokenizer with the post-processor ${String(json.type)}`,
        why: "it may put tokens around a text, and is not served here",
        fix: "use a tokenizer.json with TemplateProcessing, BertProcessing, RobertaProcessing or ByteLevel",
        exitCode: 4,
      });
  }
}

/** The frame after `add_bos_token` and `add_eos_token` of tokenizer_config.json, which speak of the stated tokens alone. */
export function statedFrame({ before, after }: Frame, stated: SpecialTokens): Frame {
  const { bosId, eosIds, addBos, addEos } = stated;
  const end = eosIds?.[0];
  const front =
    bosId === undefined || addBos === undefined
      ? before
      : [...(addBos ? [bosId] : []), ...before.filter((id) => id !== bosId)];
  const back =
    end === undefined || addEos === undefined
      ? after
      : [...after.filter((id) => id !== end), ...(addEos ? [end] : [])];
  return { before: front, after: back };
}
