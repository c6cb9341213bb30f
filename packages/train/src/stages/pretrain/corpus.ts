// Texts of a recipe's sources, its tokenizer, and the split into training and validation documents.
import { NsaError, Rng } from "@nsa/core";
import {
  choices,
  type Documents,
  expandInputs,
  inMemory,
  type MixedPart,
  type MixStage,
  mathParagraph,
  proseParagraph,
  readDocuments,
  Tokenizer,
  trainBpe,
  wordProblem,
} from "@nsa/data";
import { familyDocuments, fillTemplate, readRecords } from "@nsa/tasks";
import type { PretrainConfig } from "./config.ts";

export const SPLIT_STREAM = 12;
const MAX_RECORD_BYTES = 64 * 2 ** 20;

/** A document of paragraphs; every third one is about numbers. */
function* stories(documents: number, seed: number): Generator<string> {
  const c = choices(seed);
  for (let i = 0; i < documents; i++) {
    const parts = Array.from({ length: c.int(2, 5) }, () => {
      const kind = c.int(0, 2);
      if (kind === 0) return mathParagraph(c);
      if (kind === 1) return proseParagraph(c);
      const p = wordProblem(c);
      return `Question: ${p.question}\nAnswer: ${p.solution} The answer is ${p.answer}.`;
    });
    yield parts.join("\n\n");
  }
}

async function readTexts(config: PretrainConfig, log: (text: string) => void): Promise<string[]> {
  const texts: string[] = [];
  let refused = 0;
  let reason = "";
  for (const source of config.data.sources) {
    if ("generate" in source) {
      for (const text of stories(source.documents, config.seed)) texts.push(text);
      continue;
    }
    if ("family" in source) {
      for (const text of familyDocuments({ ...source, seed: config.seed })) texts.push(text);
      continue;
    }
    const limit = texts.length + (source.maxDocuments ?? Number.POSITIVE_INFINITY);
    for (const path of expandInputs(source.files)) {
      if (source.template !== undefined) {
        for (const { record, place } of readRecords(path)) {
          if (texts.length < limit) texts.push(fillTemplate(source.template, record, place));
        }
        continue;
      }
      for await (const event of readDocuments(path, { maxRecordBytes: MAX_RECORD_BYTES })) {
        if (texts.length >= limit) break;
        if ("document" in event) texts.push(event.document.text);
        else if ("refusal" in event) {
          refused++;
          reason = `${event.refusal.reason} in ${event.refusal.file}`;
        }
      }
    }
  }
  if (refused > 0) log(`${refused} records were refused, the last one: ${reason}`);
  const useful = texts.filter((t) => t.trim() !== "");
  if (useful.length > 0) return useful;
  throw new NsaError({
    code: "corpus_empty",
    what: "there is no text to train on",
    why:
      refused > 0
        ? `all ${refused} records were refused, the last one: ${reason}`
        : "the sources of data.sources hold no usable document",
    fix: "name files with text in UTF-8, or use `generate: stories`",
    exitCode: 3,
  });
}

export interface Corpus {
  tokenizer: Tokenizer;
  /** Documents as ids, each ending with the end-of-text id. */
  train: Documents;
  /** Set where the corpus is mixed: the parts' training documents and the weights, stage by stage. */
  mix?: { parts: MixedPart[]; stages: MixStage[] };
  /** Tokens of the training documents; an estimate where they lie on disk. */
  trainTokens: number;
  validation: Int32Array[];
  /** UTF-8 bytes of the validation documents. */
  validationBytes: number;
  /** Releases the files behind the documents. */
  close(): void;
}

/** How many of the documents are held out for validation. Throws `corpus_empty` (exit 3) when none is left. */
export function heldOut(share: number, documents: number): number {
  const held = share > 0 ? Math.max(1, Math.round(documents * share)) : 0;
  if (held < documents) return held;
  throw new NsaError({
    code: "corpus_empty",
    what: "no document is left to train on",
    why: `all ${documents} are held out for validation`,
    fix: "lower data.validation_share or add text",
    exitCode: 3,
  });
}

/**
 * Reads, tokenizes and splits. With `tokenizerFrom` (a checkpoint folder) that tokenizer is used.
 * Throws NsaError `corpus_empty` and `data_*` (exit 3).
 */
export async function loadCorpus(
  config: PretrainConfig,
  options: { tokenizerFrom?: string; log: (text: string) => void },
): Promise<Corpus> {
  const { data, seed } = config;
  const texts = await readTexts(config, options.log);
  const order = new Rng(seed, SPLIT_STREAM).permutation(texts.length);
  const held = heldOut(data.validationShare, texts.length);
  const given = options.tokenizerFrom ?? data.tokenizer;
  const tokenizer = given
    ? Tokenizer.load(given)
    : new Tokenizer(
        trainBpe(
          Array.from(order.subarray(held, held + data.tokenizerDocuments), (i) => texts[i]!),
          { vocabSize: data.vocabSize, preTokenizer: data.preTokenizer, specialTokens: ["<|endoftext|>"] },
        ),
      );
  const encode = (i: number) => Int32Array.from([...tokenizer.encodeDocument(texts[i]!), tokenizer.eosId]);
  const validation: Int32Array[] = [];
  let tokens = 0;
  let bytes = 0;
  for (const i of order.subarray(0, held)) {
    if (tokens >= data.validationTokens) break;
    const ids = encode(i);
    validation.push(ids);
    tokens += ids.length;
    bytes += Buffer.byteLength(texts[i]!);
  }
  const train = Array.from(order.subarray(held), encode);
  return {
    tokenizer,
    train: inMemory(train),
    trainTokens: train.reduce((n, ids) => n + ids.length, 0),
    validation,
    validationBytes: bytes,
    close: () => {},
  };
}
