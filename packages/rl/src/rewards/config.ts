// The `rewards` of a recipe: what an output earns, each by its own name.
import { memberName } from "@nsa/core";
import { z } from "zod";
import { isLanguage, languageError } from "./scripts.ts";

const count = z.number().int().min(1);

export const rewardSchema = z.strictObject({
  kind: memberName("reward").describe(
    "accuracy and format are R1-Zero's; code runs the problem's unit tests; equations rewards each step of the working (for advantage process); model and process_model are reward models of `nsa reward`; command is any program that answers JSON lines; judge is that of a family without a rule (greetings, lists), for measuring; custom is a TypeScript file of yours",
  ),
  weight: z.number().min(-1e6).max(1e6).default(1).describe("Factor in the summed reward"),
  language: z
    .string()
    .refine(isLanguage, { error: (issue) => languageError(String(issue.input)) })
    .default("en")
    .describe("language: ISO 639 code of the target language, e.g. en, zh, ru, hi"),
  buffer: count.default(16).describe("overlong: tokens below max_tokens where the penalty begins"),
  timeoutMs: count.default(5000).describe("code: wall-clock limit of one program, milliseconds"),
  unsafeExec: z
    .boolean()
    .default(false)
    .describe("code: run programs with your rights where there is no bubblewrap"),
  file: z
    .string()
    .default("")
    .describe(
      "custom: path of the file; its default export gets {prompt, question, completion, answer, tokens, maxTokens} and returns a number, or {steps: [{end, reward}]} with places in the completion; or it is an object {scoreBatch(outputs, {step, group})} that returns as much for each of a step's outputs. It runs in the trainer, without a time limit",
    ),
  checkpoint: z
    .string()
    .default("")
    .describe("model, process_model: folder of a reward model, a checkpoint of `nsa reward`"),
  ensemble: z
    .array(z.string())
    .default([])
    .describe(
      "model, process_model: further reward models; the reward is their mean, and the mean of their spread is reported",
    ),
  command: z
    .array(z.string())
    .default([])
    .describe(
      "command: a program and its arguments. It gets one JSON object a line and answers each with {id, reward} or {id, steps: [{end, reward}]}; it runs with your rights",
    ),
  deadlineMs: count
    .default(60_000)
    .describe("command: milliseconds for the answers to a step's outputs, after which the run stops"),
  maxSteps: count
    .default(16)
    .describe("equations: number of equations of an output that are paid at most, from the first one on"),
  fromStep: count.default(1).describe("First step at which this reward counts"),
  toStep: count.optional().describe("Last step at which this reward counts; by default the run's last"),
  parts: z
    .array(z.string())
    .default([])
    .describe(
      "Parts of task.mix whose outputs it scores, by family or as family_difficulty; the others get nothing from it. Empty: all",
    ),
  options: z
    .record(z.string(), z.unknown())
    .optional()
    .describe("Settings of a reward from a plugin, by its own names"),
});

export type RewardConfig = z.output<typeof rewardSchema>;
