// The recipe of `nsa eval`.
import { loggingSchema } from "@nsa/core";
import { environmentSchema } from "@nsa/tasks";
import { z } from "zod";
import { thoughtSchema } from "./trajectories/thoughts.ts";

const count = (what: string, value: number) => z.number().int().min(1).default(value).describe(what);

const entryName = z
  .string()
  .min(1)
  .optional()
  .describe("Name in rows and tables; by default the task's, with what tells apart entries of one task");

const generated = {
  name: entryName,
  samples: count("Answers per problem; Pass@K and Maj@K are given for powers of two up to it", 1),
  greedy: z
    .boolean()
    .default(false)
    .describe("Also one greedy answer per problem, reported beside the sampled ones"),
  limit: z.number().int().min(1).optional().describe("Takes the first so many problems"),
  maxTokens: z.number().int().min(1).optional().describe("Longest answer, tokens; the task's own by default"),
  thought: thoughtSchema.optional(),
};

export const evalTaskSchema = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("problems").describe("Generate answers and grade them"),
    task: z.string().describe("Built-in task, or a YAML file with one"),
    shots: z
      .number()
      .int()
      .min(0)
      .default(0)
      .describe("Solved examples before each problem; fewer where they do not fit"),
    format: z
      .enum(["cot", "pot", "tool"])
      .default("cot")
      .describe(
        "Chain of thought, program of thought (its output is the answer), or tool-integrated (results of the recipe's environment are read)",
      ),
    maxTurns: count("tool: calls of one answer; an `environment` of the recipe has its own", 4),
    template: z
      .string()
      .optional()
      .describe(
        "Prompt in place of the task's: r1_zero, plain, chat (the checkpoint's chat template), `chat: ` and a text with {question} as " +
          "the user's message, or a text with {question}; solved examples are left out",
      ),
    ...generated,
  }),
  z.strictObject({
    kind: z.literal("choice").describe("Multiple choice by the log-likelihood of the options"),
    name: entryName,
    task: z.string().describe("Built-in task with options, or a YAML file with one"),
    shots: z.number().int().min(0).default(0).describe("Solved examples before each problem"),
    score: z
      .enum(["letter", "text"])
      .default("letter")
      .describe("What is scored: the letter after the listed options, or each option's text"),
    limit: z.number().int().min(1).optional().describe("Takes the first so many problems"),
  }),
  z.strictObject({
    kind: z.literal("family").describe("Problems of a family, of its held-out split"),
    name: entryName,
    family: z
      .string()
      .describe(
        "addition, arithmetic, modular, products, links, functions, repairs, countdown, word_problems, column_sums, column_differences, greetings or lists",
      ),
    difficulty: count("Digits, links, numbers (countdown) or steps (word_problems)", 2),
    template: z
      .string()
      .default("r1_zero")
      .describe("Prompt: r1_zero, plain, chat, or a text with {question}"),
    format: z
      .enum(["cot", "tool"])
      .default("cot")
      .describe("Text alone, or with the tools of the recipe's environment"),
    shots: z
      .number()
      .int()
      .min(0)
      .default(0)
      .describe(
        "Solved problems of the training split before each question, with format tool by calls of tools; not in chat",
      ),
    questions: count("Problems", 64),
    samples: generated.samples,
    greedy: generated.greedy,
    maxTokens: count("Longest answer, tokens", 64),
    thought: generated.thought,
  }),
  z.strictObject({
    kind: z.literal("needle").describe("A fact hidden in a long text is asked for at its end"),
    name: z.string().default("needle").describe("Name in tables"),
    lengths: z
      .array(z.number().int().min(64))
      .min(1)
      .default([1024, 2048, 4096, 8192])
      .describe("Prompt lengths, tokens"),
    depths: z
      .array(z.number().min(0).max(1))
      .min(1)
      .default([0, 0.25, 0.5, 0.75, 1])
      .describe("Places of the fact: 0 = start, 1 = end"),
    trials: count("Facts per cell", 1),
    files: z
      .array(z.string())
      .default([])
      .describe("Text for the haystack (JSONL, field `text`); built-in sentences when empty"),
  }),
  z.strictObject({
    kind: z.literal("positions").describe("Perplexity by position in long texts"),
    name: z.string().default("positions").describe("Name in tables"),
    files: z.array(z.string()).min(1).describe("Texts (JSONL)"),
    text: z.string().default("{text}").describe("Template of one document"),
    length: count("Tokens of one sequence; documents are joined until they fill it", 8192),
    sequences: count("Sequences", 4),
    buckets: count("Positions are averaged in so many equal parts", 16),
  }),
]);

export type EvalTask = z.output<typeof evalTaskSchema>;

export const evalSchema = z.strictObject({
  name: z.string().default("eval").describe("Part of the run folder's name"),
  seed: z.number().int().min(0).default(1).describe("Key of all random numbers"),
  logging: loggingSchema,
  threads: z.number().int().min(0).default(0).describe("CPU threads; 0 = all cores"),
  checkpoint: z.string().describe("Checkpoint folder of `nsa pretrain`, `sft` or `grpo`, or one imported"),
  tokenizer: z.string().optional().describe("tokenizer.json, where it is not in the checkpoint folder"),
  maxSeqLen: z
    .number()
    .int()
    .min(2)
    .optional()
    .describe("Context, tokens, where it differs from the one trained with"),
  rewardModel: z
    .string()
    .optional()
    .describe(
      "Checkpoint of `nsa reward` (kind outcome) by which each answer is scored too: reward_at_k is how often the answer that it scores best of k is right; rm_at_k, which is there without a reward model, takes the answer with the highest mean log-probability",
    ),
  dataDir: z.string().default("data").describe("Folder of the tasks' records"),
  tasks: z.array(evalTaskSchema).min(1).describe("What to measure"),
  environment: environmentSchema
    .optional()
    .describe("Tools of the entries with format tool; by default Python within the limits of `sandbox`"),
  sampling: z
    .strictObject({
      temperature: z.number().min(0).default(0).describe("0 = greedy; Pass@K needs more than 0"),
      topP: z.number().gt(0).max(1).default(1).describe("Smallest set of tokens with this mass; 1 = off"),
      minP: z
        .number()
        .min(0)
        .max(1)
        .default(0)
        .describe("Tokens at least this fraction of the likeliest; 0 = off"),
      topK: z.number().int().min(0).default(0).describe("The k likeliest tokens; 0 = off"),
    })
    .prefault({})
    .describe("How answers are drawn"),
  sandbox: z
    .strictObject({
      backend: z
        .enum(["auto", "bubblewrap", "pyodide"])
        .default("auto")
        .describe(
          "What locks programs in; auto: bubblewrap where it works, else Pyodide, which has the standard library only",
        ),
      unsafeExec: z
        .boolean()
        .default(false)
        .describe("Run programs without bubblewrap, with your account's rights"),
      timeoutMs: count("Wall-clock time of a program, ms", 5000),
      memoryMb: count("Memory of each process of a program, MiB", 512),
      parallel: count("Programs at once", 4),
    })
    .prefault({})
    .describe("How programs that the model writes are run"),
  engine: z
    .strictObject({
      problems: count("Problems answered together: one step, after which the run can be resumed", 16),
      maxSequences: count("Answers decoded at once", 64),
      cacheTokens: count("Tokens the key-value cache holds", 65_536),
      prefillTokens: count("Prompt tokens run at once", 4096),
    })
    .prefault({})
    .describe("The generation engine"),
});

export type EvalConfig = z.output<typeof evalSchema>;
