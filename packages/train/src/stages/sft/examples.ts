// Examples of fine-tuning from JSONL files: templates filled, tokenized, the prompt's length kept.
import { counted, firstComplaint, keptNothing, NsaError } from "@nsa/core";
import { expandInputs, type Tokenizer } from "@nsa/data";
import type { ChatTemplate } from "@nsa/tasks";
import {
  chainsOf,
  conversationSchema,
  encodeAnswer,
  encodeSegments,
  fillTemplate,
  type Label,
  labelsInForce,
  readLabels,
  readRecords,
} from "@nsa/tasks";
import { z } from "zod";
import type { SftConfig } from "./config.ts";
import type { Example } from "./source.ts";

type Configured = SftConfig["data"]["sources"][number];
/** A source of a recipe; outputs of tools are masked where it does not say. */
export type Source = Omit<Configured, "maskOutputs" | "weight" | "labels"> &
  Partial<Pick<Configured, "maskOutputs" | "weight" | "labels">>;

const answered = conversationSchema.refine(
  (all) => all.some((m) => m.role === "assistant"),
  "no turn of the assistant",
);

/** Errors of one record, which is left out where others can be used. */
export const ONE_RECORD = ["chat_refused", "data_not_a_conversation"];

/** Throws NsaError `sft_source_invalid` (exit 2). */
export function checkSource(source: Source): void {
  const templates = source.prompt !== undefined && source.completion !== undefined;
  const neither = source.prompt === undefined && source.completion === undefined;
  if (source.messages === undefined ? !templates : !neither) throw sourceError(source);
}

/** Why an example cannot be used; undefined where it can. */
export function usability(
  { ids, learned, promptLength }: Example,
  seqLen: number,
): "empty" | "long" | undefined {
  const learns = learned ? learned.indexOf(1, 1) > 0 : Math.max(1, promptLength) < ids.length;
  if (!learns) return "empty";
  return ids.length - 1 > seqLen ? "long" : undefined;
}

function sourceError(source: Source): NsaError {
  return new NsaError({
    code: "sft_source_invalid",
    what: `the source ${source.files.join(", ")}`,
    why: "it must have `prompt` and `completion`, or `messages`, and not all of them",
    fix: "leave out one or the other",
    exitCode: 2,
  });
}

interface Encoded {
  example: Example;
  /** Whether an output of a tool has no end, so that nothing behind its opening is learned. */
  open: boolean;
}

/**
 * Records of a label file that are learned: verdicts `right` that no later row on the same output corrects; preferences are passed over unread.
 * Throws NsaError `data_not_a_label` (exit 3).
 */
function learnedLabels(path: string): { record: Record<string, unknown>; place: string }[] {
  const rows = readLabels(path, "verdict");
  const placeOf = new Map(rows.map(({ label, place }) => [label, place]));
  return labelsInForce([...placeOf.keys()], "verdict").flatMap((label) =>
    label.kind === "verdict" && label.verdict === "right"
      ? [{ record: label as unknown as Record<string, unknown>, place: placeOf.get(label)! }]
      : [],
  );
}

/** One record as examples, by templates or as a conversation, which is several where its template rewrites earlier turns. */
export function examplesOf(
  source: Source,
  record: Record<string, unknown>,
  place: string,
  tokenizer: Tokenizer,
  chat: ChatTemplate | undefined,
): Encoded[] {
  const { format } = source;
  const masks = source.maskOutputs !== false;
  if (source.messages === undefined) {
    const prompt = fillTemplate(source.prompt!, record, place);
    const head = tokenizer.encode(prompt);
    const answer = fillTemplate(source.completion!, record, place);
    const tail = encodeAnswer(tokenizer, answer);
    const ids = Int32Array.from([...head, ...tail.ids, tokenizer.eosId]);
    const open = masks && tail.open;
    const example = { ids, promptLength: head.length, format, prompt };
    if (!masks || tail.learned.every((l) => l === 1)) return [{ example, open }];
    const learned = Uint8Array.from([...head.map(() => 0), ...tail.learned, 1]);
    return [{ example: { ...example, learned }, open }];
  }
  const messages = answered.safeParse(record[source.messages]);
  if (!messages.success) {
    const { path, why } = firstComplaint(messages.error, record[source.messages]);
    throw new NsaError({
      code: "data_not_a_conversation",
      what: [place, source.messages, path.replaceAll(".", " ")].join(" ").trimEnd(),
      why,
      fix: "give a list of {role, content} with at least one turn of the assistant",
      exitCode: 3,
    });
  }
  const tools = Array.isArray(record.tools) ? record.tools : [];
  return chainsOf(chat!, messages.data, place, tools).map((segments) => {
    const { ids, learned, open } = encodeSegments(tokenizer, segments, { maskOutputs: masks });
    const example = { ids, learned, promptLength: learned.indexOf(1), format, prompt: segments[0]!.text };
    return { example, open: masks && open };
  });
}

/** Records that cannot be rendered. */
class Refusals {
  first: NsaError | undefined;
  private count = 0;

  catch(body: () => Encoded[]): Encoded[] {
    try {
      return body();
    } catch (error) {
      if (!(error instanceof NsaError && ONE_RECORD.includes(error.code))) throw error;
      this.first ??= error;
      this.count++;
      return [];
    }
  }

  report(log: (text: string) => void): void {
    if (!this.first) return;
    const { what, why } = this.first;
    log(`${this.count} conversations that cannot be rendered were left out; the first: ${what}: ${why}`);
  }
}

/**
 * Examples of the sources as ids, those of more than `seqLen` positions or without a token to learn left out with a remark.
 * Conversations that cannot be rendered are left out, too, unless none can.
 * Throws NsaError `corpus_empty`, `data_*` (exit 3), `sft_source_invalid`, `chat_refused` (exit 2).
 */
export function readExamples(
  from: { sources: readonly Source[]; seqLen: number; chat?: ChatTemplate },
  tokenizer: Tokenizer,
  log: (text: string) => void,
): Example[] {
  const examples: Example[] = [];
  let [long, empty, open] = [0, 0, 0];
  const refusals = new Refusals();
  for (const [number, source] of from.sources.entries()) {
    checkSource(source);
    const limit = examples.length + (source.maxExamples ?? Number.POSITIVE_INFINITY);
    for (const path of expandInputs(source.files)) {
      for (const { record, place } of source.labels ? learnedLabels(path) : readRecords(path)) {
        if (examples.length >= limit) break;
        for (const encoded of refusals.catch(() => examplesOf(source, record, place, tokenizer, from.chat))) {
          const { example } = encoded;
          if (encoded.open) open++;
          const fault = usability(example, from.seqLen);
          if (fault === "empty") empty++;
          else if (fault === "long") long++;
          else examples.push({ ...example, source: number });
        }
      }
    }
  }
  if (long > 0) log(`${long} examples longer than ${from.seqLen} tokens were left out`);
  if (empty > 0) log(`${empty} examples without a token to learn were left out`);
  if (open > 0)
    log(`${open} examples have a tool's output without an end: nothing after its opening is learned`);
  refusals.report(log);
  if (examples.length >= 2) return examples;
  // No record at all could be used: its fault is the recipe's or the file's.
  if (examples.length === 0 && refusals.first) throw refusals.first;
  throw new NsaError({
    code: "corpus_empty",
    what: `there ${examples.length === 1 ? "is" : "are"} ${counted(examples.length, "usable example")}`,
    why: "training and validation need at least two",
    fix: "name files with examples, or allow longer ones",
    ...keptNothing(from.sources.flatMap(({ files }) => expandInputs(files))),
    exitCode: 3,
  });
}
