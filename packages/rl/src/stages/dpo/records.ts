// Records of preference files as ids: pairs of texts, of messages or of ids, and sampled outputs.
import { ExitCode, firstComplaint, NsaError } from "@nsa/core";
import type { Tokenizer } from "@nsa/data";
import {
  type ChatMessage,
  type ChatTemplate,
  chainsOf,
  encodeAnswer,
  encodeSegments,
  type Segment,
} from "@nsa/tasks";
import { z } from "zod";
import { checkText, NULLED } from "../../task/same-text.ts";
import type { Answer, Pair } from "./pair.ts";

export interface PlacedRecord {
  record: Record<string, unknown>;
  /** `file:line`. */
  place: string;
}

/** An output of `nsa sample`. */
export interface SampledOutput {
  place: string;
  question: string;
  prompt: readonly number[];
  ids: readonly number[];
  /** 1 for each id that was sampled, 0 for those that a tool wrote; absent where all were sampled. */
  learned?: Uint8Array;
  right: boolean;
}

/** What records are read with. */
export interface RecordReader {
  tokenizer: Tokenizer;
  /** Template of conversations; made when the first one is met. */
  chat: () => ChatTemplate;
}

/** A record that nothing can be made of. */
export function invalid(place: string, why: string, fix: string, code = "preference_invalid"): NsaError {
  return new NsaError({ code, what: place, why, fix, exitCode: ExitCode.data });
}

const message = z.looseObject({ role: z.string(), content: z.string() });
const messages = z.array(message).min(1);

function idsOf(value: unknown, field: string, place: string, tokenizer: Tokenizer): number[] {
  if (!Array.isArray(value) || !value.every((id) => Number.isInteger(id)))
    throw invalid(place, `\`${field}\` is not a list of token ids`, "correct the record");
  const foreign = value.find((id) => !tokenizer.has(id));
  if (foreign === undefined) return value;
  throw invalid(
    place,
    `\`${field}\` holds the id ${foreign}, which the policy's tokenizer does not have`,
    "take files that were made with the tokenizer of init.checkpoint",
    "tokenizer_mismatch",
  );
}

/** Outputs to the same prompt answer one question, whatever the records call it: a family may ask the same sum twice. */
const questionOf = (prompt: ArrayLike<number>) => Array.from(prompt).join(",");

/** An output of `nsa sample`; undefined where the record is none. */
export function sampledOutput(
  { record, place }: PlacedRecord,
  { tokenizer }: RecordReader,
): SampledOutput | undefined {
  const { verdict, completion } = record;
  if (!("ids" in record && "prompt_ids" in record)) return undefined;
  if (verdict !== "right" && verdict !== "wrong" && verdict !== "unread")
    throw invalid(
      place,
      `\`verdict\` is ${JSON.stringify(verdict)}, and must be right, wrong or unread`,
      "grade the outputs with `nsa sample`",
    );
  const prompt = idsOf(record.prompt_ids, "prompt_ids", place, tokenizer);
  const ids = idsOf(record.ids, "ids", place, tokenizer);
  checkText(ids, { text: completion, field: "completion", place }, tokenizer);
  const learned = maskOf(record.mask, ids.length, place);
  const right = verdict === "right";
  return { place, question: questionOf(prompt), prompt, ids, ...(learned ? { learned } : {}), right };
}

function maskOf(mask: unknown, length: number, place: string): Uint8Array | undefined {
  if (mask === undefined) return undefined;
  if (Array.isArray(mask) && mask.length === length && mask.every((own) => own === 0 || own === 1))
    return Uint8Array.from(mask as number[]);
  throw invalid(place, "`mask` is not a 0 or 1 for each of `ids`", "correct the record");
}

function fromIds({ record, place }: PlacedRecord, { tokenizer }: RecordReader): Pair {
  const [prompt, chosen, rejected] = (["prompt", "chosen", "rejected"] as const).map((field) => {
    const ids = idsOf(record[`${field}_ids`], `${field}_ids`, place, tokenizer);
    if (field !== "prompt") checkText(ids, { text: record[field], field, place }, tokenizer);
    return ids;
  });
  return {
    place,
    question: questionOf(prompt!),
    prompt: prompt!,
    chosen: { ids: chosen! },
    rejected: { ids: rejected! },
  };
}

function fromTexts({ record, place }: PlacedRecord, { tokenizer }: RecordReader): Pair {
  const [prompt, chosen, rejected] = ["prompt", "chosen", "rejected"].map((field) => {
    const value = record[field];
    if (typeof value === "string") return value;
    throw invalid(
      place,
      value === null
        ? `\`${field}\` is null, and must be a text${NULLED}`
        : value === undefined
          ? `\`${field}\` is missing; the record has ${Object.keys(record).join(", ")}`
          : `\`${field}\` is not a text as the record's other fields are`,
      "give prompt, chosen and rejected, all of them texts or all of them lists of messages",
    );
  });
  const answer = (text: string): Answer => {
    // No answer at all would be learned as an end alone.
    if (text === "") return { ids: [] };
    const { ids, learned } = encodeAnswer(tokenizer, text);
    return { ids: [...ids, tokenizer.eosId], learned: [...learned, 1] };
  };
  const ids = tokenizer.encode(prompt!);
  return {
    place,
    question: questionOf(ids),
    prompt: ids,
    chosen: answer(chosen!),
    rejected: answer(rejected!),
  };
}

function messagesOf(value: unknown, field: string, place: string): ChatMessage[] {
  const list = typeof value === "string" ? [{ role: "assistant", content: value }] : value;
  const parsed = messages.safeParse(list);
  if (parsed.success) return parsed.data as ChatMessage[];
  const { path, why } = firstComplaint(parsed.error, list);
  throw invalid(
    [place, field, path.replaceAll(".", " ")].join(" ").trimEnd(),
    why,
    "give a list of {role, content}, or for chosen and rejected the text of the answer",
  );
}

/** The chain that the answer, message `first` and those behind it, is learned in. Throws `chat_template_unstable` (exit 2). */
function answerChain(
  template: ChatTemplate,
  all: readonly ChatMessage[],
  first: number,
  place: string,
): Segment[] {
  const chains = chainsOf(template, all, place);
  const last = chains.at(-1) ?? [];
  const before = chains.slice(0, -1).flat();
  if (before.every(({ turn = -1 }) => turn < first)) return last;
  throw new NsaError({
    code: "chat_template_unstable",
    what: `${place}: the chat template rewrites earlier turns`,
    why: "an answer of several turns does not stay one text, and one answer is compared with another",
    fix: "use another template, or one turn per answer",
    exitCode: ExitCode.usage,
  });
}

/** The prompt ends where generation of the next turn begins; what follows, the end of the turn included, is the output. */
function fromMessages({ record, place }: PlacedRecord, { tokenizer, chat }: RecordReader): Pair {
  const template = chat();
  const before = messagesOf(record.prompt, "prompt", place);
  const start = template.render(before, true);
  const encode = (field: string) => {
    const after = messagesOf(record[field], field, place);
    if (after[0]!.role !== "assistant")
      throw invalid(
        `${place} ${field}`,
        "it does not begin with a turn of the assistant",
        "move the other turns to prompt",
      );
    const segments = answerChain(template, [...before, ...after], before.length, place);
    const cut = segments.findIndex(({ turn }) => turn === before.length);
    const at = cut < 0 ? segments.length : cut;
    // An answer without a text has no segment; what it would answer is still its prompt.
    const context = cut < 0 ? [{ text: start, learned: false }] : segments.slice(0, at);
    const prompt = encodeSegments(tokenizer, context).ids;
    const { ids, learned } = encodeSegments(tokenizer, segments.slice(at), { inner: true });
    const empty = after.every(({ content }) => content === "");
    return { prompt, answer: empty ? { ids: [] } : { ids, learned } };
  };
  const chosen = encode("chosen");
  const rejected = encode("rejected");
  return {
    place,
    question: questionOf(chosen.prompt),
    prompt: chosen.prompt,
    chosen: chosen.answer,
    rejected: rejected.answer,
  };
}

/**
 * The pair of a record. Throws NsaError `preference_invalid`, `tokenizer_mismatch` (exit 3) with the record's place, and what chat
 * templates throw.
 */
export function pairOf(at: PlacedRecord, reader: RecordReader): Pair {
  const { record } = at;
  if ("chosen_ids" in record || "rejected_ids" in record) return fromIds(at, reader);
  return Array.isArray(record.prompt) ? fromMessages(at, reader) : fromTexts(at, reader);
}
