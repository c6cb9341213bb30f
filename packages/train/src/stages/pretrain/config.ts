// The recipe of `nsa pretrain`.
import { loggingSchema } from "@nsa/core";
import { memoryLimitMb } from "@nsa/kernels";
import { modelConfigSchema } from "@nsa/model";
import { z } from "zod";
import { loopSchema } from "../../loop.ts";
import { trainerSchema } from "../../trainer.ts";

const source = z.union([
  z.strictObject({
    files: z
      .array(z.string())
      .min(1)
      .describe("Paths (`*` in file names): text, JSONL, WARC, Parquet, also .gz"),
    template: z
      .string()
      .optional()
      .describe("JSONL only: text made of a record's fields, e.g. `Question: {question}\\n{solution}`"),
    maxDocuments: z.number().int().min(1).optional().describe("Takes the first so many documents"),
  }),
  z.strictObject({
    generate: z.enum(["stories"]).describe("Makes simple stories and word problems by seed; needs no files"),
    documents: z.number().int().min(2).default(2000).describe("How many"),
  }),
  z.strictObject({
    family: z
      .string()
      .describe(
        "addition, arithmetic, modular, products, links, functions, repairs, countdown, word_problems, column_sums, column_differences, greetings or lists; only problems outside the held-out split",
      ),
    difficulty: z
      .number()
      .int()
      .min(1)
      .default(2)
      .describe("Of the family: digits, links, numbers (countdown) or steps (word_problems)"),
    documents: z.number().int().min(2).default(2000).describe("How many"),
    template: z.string().default("plain").describe("r1_zero, plain, or a text with {question}"),
    rightShare: z
      .number()
      .min(0)
      .max(1)
      .default(1)
      .describe("Share of well-formed right outputs; the others are wrong or malformed, as in raw web text"),
    slipShare: z
      .number()
      .min(0)
      .max(1)
      .default(0)
      .describe("Share of well-formed outputs whose working is careless: sums forget every carry"),
    toolShare: z
      .number()
      .min(0)
      .max(1)
      .default(0)
      .describe(
        "Share of outputs that call a tool and answer what it gives (products, links, word_problems)",
      ),
    toolSlipShare: z
      .number()
      .min(0)
      .max(1)
      .default(0)
      .describe("Share of outputs that call it carelessly: with the first number twice, or one time too few"),
    shots: z
      .number()
      .int()
      .min(0)
      .default(0)
      .describe(
        "Solved problems in front of each document's last one, all by one hand (one language, checked or not), as few-shot prompts have them",
      ),
    oneFate: z
      .boolean()
      .default(false)
      .describe(
        "Whether all problems of a document are answered in one way: worked, careless, malformed, or by tools",
      ),
  }),
]);

export const pretrainSchema = z.strictObject({
  name: z.string().default("pretrain").describe("Part of the run folder's name"),
  seed: z.number().int().min(0).default(1).describe("Key of all random numbers"),
  logging: loggingSchema,
  threads: z.number().int().min(0).default(0).describe("CPU threads; 0 = all cores"),
  memoryLimitMb,
  data: z
    .strictObject({
      sources: z
        .array(source)
        .min(1)
        .default([{ generate: "stories", documents: 2000 }])
        .describe("Texts to train on"),
      shards: z
        .string()
        .optional()
        .describe("Folder made by `nsa data tokenize`; used with its tokenizer instead of `sources`"),
      mix: z
        .record(
          z.string(),
          z.strictObject({
            shards: z.string().describe("Folder made by `nsa data tokenize`; one tokenizer for all parts"),
            weight: z
              .number()
              .min(0)
              .default(1)
              .describe("Share of the training tokens, against the others'"),
          }),
        )
        .optional()
        .describe("Several folders of token shards by name, mixed by weight; used instead of `sources`"),
      mixStages: z
        .array(
          z.strictObject({
            share: z.number().gt(0).max(1).describe("Share of train.steps"),
            weights: z.record(z.string(), z.number().min(0)).describe("Weights of the parts by name"),
          }),
        )
        .optional()
        .describe("Weights that change on the way, e.g. code, then math; without it those of `mix` hold"),
      tokenizer: z.string().optional().describe("tokenizer.json to use; else one is trained on the texts"),
      vocabSize: z.number().int().min(258).default(1024).describe("Size of the trained tokenizer"),
      tokenizerDocuments: z
        .number()
        .int()
        .min(1)
        .default(2000)
        .describe("Documents the tokenizer is trained on"),
      preTokenizer: z.enum(["gpt2", "digits"]).default("digits").describe("digits: every digit is a token"),
      validationShare: z.number().min(0).max(0.5).default(0.02).describe("Documents held out, by seed"),
      validationTokens: z.number().int().min(1).default(16384).describe("Tokens of the validation, at most"),
    })
    .prefault({})
    .describe("Texts and tokenizer"),
  model: modelConfigSchema.omit({ lora: true }).prefault({}).describe("Architecture"),
  train: z
    .strictObject({
      ...loopSchema.shape,
      ...trainerSchema.shape,
      microBatchTokens: z.number().int().min(2).default(2048).describe("Tokens of one forward and backward"),
      microBatches: z.number().int().min(1).default(1).describe("Micro-batches of one step"),
      seqLen: z.number().int().min(2).default(512).describe("Longest piece of a document, tokens"),
      initFrom: z.string().optional().describe("Checkpoint folder whose weights are the start"),
    })
    .prefault({})
    .describe("Optimization"),
  sample: z
    .strictObject({
      prompts: z.array(z.string()).default([]).describe("Texts to continue after each validation"),
      maxTokens: z.number().int().min(1).default(64).describe("Length of a sample"),
      temperature: z.number().min(0).default(0.8).describe("0 = greedy"),
    })
    .prefault({})
    .describe("Texts written by the model while it trains"),
});

export type PretrainConfig = z.output<typeof pretrainSchema>;
