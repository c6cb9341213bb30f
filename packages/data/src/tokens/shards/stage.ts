// The `tokenize` stage of a pipeline: corpus files to token shards, as `nsa data tokenize` makes them.
import { join } from "node:path";
import { defineStage, outputsNamed, type StageRunner } from "@nsa/core";
import { z } from "zod";
import { expandInputs } from "../../corpus/readers/inputs.ts";
import { Tokenizer } from "../../tokenizer/tokenizer.ts";
import { type TokenIndex, tokenizeFiles } from "./write.ts";

export const tokenizeSchema = z.strictObject({
  name: z.string().default("tokenize").describe("Part of the run folder's name"),
  files: z.array(z.string()).min(1).describe("Corpus files; `*` matches in names"),
  tokenizer: z.string().describe("tokenizer.json, or a folder that holds one"),
});

type TokenizeConfig = z.output<typeof tokenizeSchema>;

/** Outputs `shards` (a folder for `data.shards` of `nsa pretrain`) and `index`. */
export const runTokenize: StageRunner<TokenizeConfig> = async (config, context) => {
  const files = expandInputs(config.files);
  context.emit({ type: "start", totalSteps: files.length, step: 0 });
  const shards = join(context.runDir, "shards");
  const outputs = { shards, index: join(shards, "index.json") };
  let step = 0;
  let index: TokenIndex;
  try {
    index = await tokenizeFiles(files, {
      tokenizer: Tokenizer.load(config.tokenizer),
      out: shards,
      onFile: ({ files: done, of, documents, tokens }) => {
        step = done;
        const metrics = { "tokenize/documents": documents, "tokenize/tokens": tokens };
        context.emit({ type: "step", step, totalSteps: of, metrics });
        // Files that are done keep their shards, so that stopping here loses nothing.
        context.signal.throwIfAborted();
      },
    });
  } catch (error) {
    if (!context.interrupted()) throw error;
    return { status: "interrupted", step, metrics: {}, outputs: {} };
  }
  const metrics = {
    "tokenize/documents": index.documents,
    "tokenize/tokens": index.tokens,
    "tokenize/bytes_per_token": index.bytes / index.tokens,
  };
  context.emit({ type: "done", step, metrics });
  return { status: "completed", step, metrics, outputs };
};

export const tokenizeStage = defineStage({
  name: "tokenize",
  about: "encode corpus files into token shards",
  schema: tokenizeSchema,
  run: runTokenize,
  estimate: () => ({}),
  plannedOutputs: outputsNamed("shards", "index"),
  overview: { result: "{tokenize/tokens:count} tokens" },
});
