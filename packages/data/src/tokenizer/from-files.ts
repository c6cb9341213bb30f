// A vocabulary from corpus files: `nsa tokenizer train`, and the `tokenizer` stage of a pipeline.
import { join } from "node:path";
import { atomicWriteFile, defineStage, outputsNamed, type StageRunner } from "@nsa/core";
import { z } from "zod";
import { expandInputs } from "../corpus/readers/inputs.ts";
import { readDocuments } from "../corpus/readers/read.ts";
import type { PreTokenizer } from "./pretokenize.ts";
import { Tokenizer } from "./tokenizer.ts";
import { trainBpe } from "./train.ts";

const MAX_RECORD_BYTES = 64 * 2 ** 20;

export interface TokenizerTraining {
  vocabSize: number;
  preTokenizer: PreTokenizer;
  addedTokens?: string[];
  /** Takes the first so many documents; all where it is not given. */
  maxDocuments?: number;
}

/**
 * Learns a vocabulary from the documents of `files` (paths; `*` in file names) and writes it to `out`.
 * Throws NsaError `input_missing`, `corpus_empty` (exit 3), `vocab_too_small` (exit 2).
 */
export async function trainTokenizerFrom(
  files: string[],
  out: string,
  { vocabSize, preTokenizer, addedTokens, maxDocuments = Number.POSITIVE_INFINITY }: TokenizerTraining,
): Promise<{ tokenizer: Tokenizer; documents: number }> {
  const texts: string[] = [];
  for (const path of expandInputs(files)) {
    for await (const event of readDocuments(path, { maxRecordBytes: MAX_RECORD_BYTES })) {
      if (texts.length >= maxDocuments) break;
      if ("document" in event) texts.push(event.document.text);
    }
  }
  const specialTokens = ["<|endoftext|>"];
  const json = trainBpe(texts, { vocabSize, preTokenizer, specialTokens, addedTokens });
  atomicWriteFile(out, JSON.stringify(json));
  return { tokenizer: new Tokenizer(json), documents: texts.length };
}

export const tokenizerSchema = z.strictObject({
  name: z.string().default("tokenizer").describe("Part of the run folder's name"),
  files: z.array(z.string()).min(1).describe("Corpus files to learn from; `*` matches in names"),
  vocabSize: z.int().min(257).default(8192).describe("Ids"),
  preTokenizer: z.enum(["gpt2", "digits"]).default("digits").describe("digits: every digit is a token"),
  addedTokens: z.array(z.string().min(1)).default([]).describe("Texts with an id of their own, e.g. <think>"),
  maxDocuments: z.int().min(1).optional().describe("Takes the first so many documents"),
});

type TokenizerConfig = z.output<typeof tokenizerSchema>;

/** Output `file`: the tokenizer.json. */
export const runTokenizer: StageRunner<TokenizerConfig> = async (config, context) => {
  context.emit({ type: "start", totalSteps: 1, step: 0 });
  const file = join(context.runDir, "tokenizer.json");
  const { tokenizer, documents } = await trainTokenizerFrom(config.files, file, config);
  const metrics = { "tokenizer/ids": tokenizer.vocabSize, "tokenizer/documents": documents };
  context.emit({ type: "step", step: 1, totalSteps: 1, metrics });
  context.emit({ type: "done", step: 1, metrics });
  return { status: "completed", step: 1, metrics, outputs: { file } };
};

export const tokenizerStage = defineStage({
  name: "tokenizer",
  about: "train a tokenizer on corpus files",
  schema: tokenizerSchema,
  run: runTokenizer,
  estimate: () => ({}),
  plannedOutputs: outputsNamed("file"),
  overview: { result: "{tokenizer/ids} ids" },
});
