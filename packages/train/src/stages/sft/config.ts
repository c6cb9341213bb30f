// The recipe of `nsa sft`.
import { loggingSchema } from "@nsa/core";
import { memoryLimitMb } from "@nsa/kernels";
import { adapterSchema } from "@nsa/model";
import { z } from "zod";
import { loopSchema } from "../../loop.ts";
import { trainerSchema } from "../../trainer.ts";
import { distillSchema } from "./distill-config.ts";

export const sftSchema = z.strictObject({
  name: z.string().default("sft").describe("Part of the run folder's name"),
  seed: z.number().int().min(0).default(1).describe("Key of all random numbers"),
  logging: loggingSchema,
  threads: z.number().int().min(0).default(0).describe("CPU threads; 0 = all cores"),
  memoryLimitMb,
  adapter: adapterSchema
    .optional()
    .describe(
      "Trains low-rank adapters (LoRA) in place of the weights, which are frozen; without it all weights are trained",
    ),
  initFrom: z.string().describe("Checkpoint folder to start from; it must hold a tokenizer.json"),
  distill: distillSchema.describe("Learns from a teacher's distributions"),
  data: z
    .strictObject({
      sources: z
        .array(
          z.strictObject({
            files: z.array(z.string()).min(1).describe("JSONL files (`*` in file names), also .gz"),
            prompt: z
              .string()
              .optional()
              .describe("Template of the part without loss, e.g. `Question: {question}\\nAnswer:`"),
            completion: z
              .string()
              .optional()
              .describe("Template of the part that is learned, e.g. ` {solution}`"),
            messages: z
              .string()
              .optional()
              .describe(
                "Instead of both: the field that holds a conversation, a list of {role, content}; " +
                  "the assistant's turns are learned",
              ),
            labels: z
              .boolean()
              .default(false)
              .describe(
                "The files are labels.jsonl of `nsa sample` or of `nsa rollouts --label`: only outputs whose last verdict is right are learned",
              ),
            maskOutputs: z
              .boolean()
              .default(true)
              .describe(
                "Takes no loss on what a tool wrote into an answer: the text of ```output blocks and of <tool_response> tags",
              ),
            format: z
              .string()
              .default("cot")
              .describe("Name under which its loss is reported (cot, pot, tool)"),
            weight: z
              .number()
              .min(0)
              .default(1)
              .describe(
                "How often an example of this source is learned beside one of weight 1; where weights differ, sources take turns and each has epochs of its own (packing random)",
              ),
            maxExamples: z.number().int().min(1).optional().describe("Takes the first so many examples"),
          }),
        )
        .min(1)
        .describe("Examples"),
      chatTemplate: z
        .string()
        .optional()
        .describe(
          "How conversations become text: chatml, plain, r1_zero, a .jinja file or a folder with a " +
            "tokenizer_config.json; by default the checkpoint's own, else chatml",
        ),
      onDemand: z
        .boolean()
        .default(false)
        .describe(
          "For very many examples: records are tokenized when a step wants them, so that training begins at once and memory does not grow with their number; packing random alone. Records that cannot be used are passed over when they are drawn, so the order is another than without",
        ),
      validationShare: z.number().min(0).max(0.5).default(0.05).describe("Examples held out, by seed"),
      validationExamples: z.number().int().min(1).default(64).describe("Held-out examples measured, at most"),
    })
    .describe("Examples"),
  train: z
    .strictObject({
      ...loopSchema.shape,
      ...trainerSchema.shape,
      microBatchTokens: z
        .number()
        .int()
        .min(2)
        .default(4096)
        .describe("Examples are packed up to this many tokens (DeepSeekMath: 4K)"),
      packing: z
        .enum(["random", "bfd", "wrapped"])
        .default("random")
        .describe(
          "random: concatenated in an order drawn anew each epoch (DeepSeekMath); bfd: one best-fit-decreasing pass, " +
            "packs in random order; wrapped: cut wherever a micro-batch is full",
        ),
      microBatches: z.number().int().min(1).default(1).describe("Micro-batches of one step"),
      seqLen: z
        .number()
        .int()
        .min(2)
        .default(4096)
        .describe("Longest example, tokens; longer ones are left out"),
    })
    .prefault({})
    .describe("Optimization"),
  sample: z
    .strictObject({
      prompts: z
        .number()
        .int()
        .min(0)
        .default(2)
        .describe("Held-out prompts answered greedily after a validation"),
      maxTokens: z.number().int().min(1).default(64).describe("Length of an answer"),
    })
    .prefault({})
    .describe("Answers written while it trains"),
});

export type SftConfig = z.output<typeof sftSchema>;
