// The recipe of `nsa sample`: one strict schema, every field described.
import { ExitCode, loggingSchema, NsaError } from "@nsa/core";
import { refuseTooManyOutputs } from "@nsa/eval";
import { memoryLimitMb } from "@nsa/kernels";
import { environmentSchema } from "@nsa/tasks";
import { z } from "zod";
import { rewardSchema } from "../../rewards/config.ts";
import "../../rewards/registry.ts";
import { labelsOfRewards } from "../../rewards/score.ts";
import { rlTaskSchema } from "../../task/config.ts";
import { checkKeep, checkLabel, keepSchema } from "./keep.ts";

const share = z.number().min(0).max(1);
const count = z.number().int().min(1);

export const sampleSchema = z.strictObject({
  name: z.string().default("sample").describe("Name of the run"),
  seed: z
    .number()
    .int()
    .min(0)
    .default(0)
    .describe("Of the questions and of sampling; an output depends on it, its question and its number alone"),
  logging: loggingSchema,
  threads: z.number().int().min(0).default(0).describe("CPU threads; 0 = all cores"),
  memoryLimitMb,
  init: z
    .strictObject({ checkpoint: z.string().describe("Checkpoint folder of the model that is sampled") })
    .describe("The model"),
  task: rlTaskSchema,
  environment: environmentSchema.optional(),
  prompts: z
    .strictObject({
      from: z
        .enum(["task", "steps"])
        .default("task")
        .describe(
          "task: outputs for each question; steps: roll-outs from the end of each step of earlier outputs (Math-Shepherd)",
        ),
      split: z
        .enum(["train", "heldout"])
        .default("train")
        .describe("task: training questions, or those that `nsa grpo` with the same task and seed holds out"),
      questions: count
        .optional()
        .describe("task: number of questions; by default all of a file or task, and 256 of a family"),
      shots: z
        .number()
        .int()
        .min(0)
        .default(0)
        .describe("task: solved examples in front of each question, drawn by seed (few-shot)"),
      examples: z
        .array(z.string())
        .default([])
        .describe(
          "shots: JSONL of {question, completion}, with a `part` (a family of task.mix) where an example is for one alone",
        ),
      shotTemplate: z
        .string()
        .optional()
        .describe(
          "shots: template of the examples and of the question after them; rows still name the question's prompt by task.template",
        ),
      rollouts: count.default(8).describe("steps: roll-outs from the end of each step"),
    })
    .prefault({})
    .describe("What the model continues"),
  data: z
    .strictObject({
      files: z
        .array(z.string())
        .default([])
        .describe("steps: samples.jsonl of earlier `nsa sample` runs (`*` in file names, also .gz)"),
    })
    .prefault({})
    .describe("Outputs to continue"),
  sampling: z
    .strictObject({
      n: count.default(16).describe("task: outputs of each question"),
      temperature: z
        .number()
        .min(0)
        .default(1)
        .describe("Of sampling and of the recorded log-probabilities; 0 = greedy, for n 1"),
      topP: z.number().gt(0).max(1).default(1).describe("Smallest set of tokens with this mass; 1 = off"),
      topK: z.number().int().min(0).default(0).describe("Most likely tokens kept; 0 = all"),
      minP: share.default(0).describe("Least probability relative to the most likely token"),
      maxTokens: count
        .default(512)
        .describe("Longest output, tokens; for steps, of the steps before and the roll-out together"),
      stop: z
        .array(z.string())
        .default([])
        .describe("What ends an output besides the tokenizer's end token: special tokens or texts"),
    })
    .prefault({})
    .describe("How outputs are drawn"),
  keep: keepSchema,
  pairs: z
    .strictObject({
      by: z.string().describe("Label of the reward that decides, e.g. judge"),
      perQuestion: count.default(2).describe("Pairs of a question, at most; each text is in one"),
      least: z.number().min(0).default(0.05).describe("Smaller differences make no pair"),
    })
    .optional()
    .describe("task: also writes pairs.jsonl {prompt, chosen, rejected}, data of `nsa reward` and `nsa dpo`"),
  labels: z
    .boolean()
    .default(false)
    .describe(
      "task: also writes labels.jsonl with the grader's verdict on each kept output, in the format of `nsa rollouts --label`: correct it before `nsa sft` trains on it. Outputs without a readable answer are left out, or count as right where keep.verdict any selected them",
    ),
  rewards: z
    .array(rewardSchema)
    .min(1)
    .prefault([{ kind: "accuracy" }])
    .describe("What each output is scored by; they are summed with their weights"),
  engine: z
    .strictObject({
      questions: count
        .default(256)
        .describe("Questions (for steps: outputs) sampled together; the run can be resumed after each batch"),
      maxSequences: count.default(512).describe("Outputs decoded at once"),
      cacheTokens: count.default(262_144).describe("Tokens that the key-value cache holds"),
      prefillTokens: count.default(16_384).describe("Prompt tokens run at once"),
    })
    .prefault({})
    .describe("The generation engine; no setting of it changes an output on the CPU"),
});

export type SampleConfig = z.output<typeof sampleSchema>;

/** Refuses settings of rewards that `nsa sample` cannot follow, and names that no reward has. Throws NsaError `sample_settings` (exit 2). */
function checkRewards({ rewards, keep, pairs }: SampleConfig): void {
  const labels = labelsOfRewards(rewards);
  for (const [i, { fromStep, toStep }] of rewards.entries()) {
    const setting = fromStep > 1 ? "from_step" : toStep === undefined ? undefined : "to_step";
    if (setting)
      throw new NsaError({
        code: "sample_settings",
        what: `rewards.${i}.${setting} in a recipe of sample`,
        why: "the model does not change while it is sampled, so its outputs have no steps of training by which a reward could begin or end",
        fix: `remove ${setting}`,
        exitCode: ExitCode.usage,
      });
  }
  checkKeep(keep, labels);
  if (pairs) checkLabel(`pairs.by ${pairs.by}`, pairs.by, labels);
}

/** Refuses settings that contradict each other. Throws NsaError `sample_settings` (exit 2). */
export function checkSample(config: SampleConfig): void {
  checkRewards(config);
  checkWork(config);
}

function checkWork({
  prompts,
  data,
  sampling,
  keep,
  pairs,
  labels,
  environment,
  engine,
}: SampleConfig): void {
  const each = prompts.from === "steps" ? prompts.rollouts : sampling.n;
  const name = prompts.from === "steps" ? "prompts.rollouts" : "sampling.n";
  refuseTooManyOutputs("sample_settings", [[`engine.questions × ${name}`, engine.questions * each]]);
  const refuse = (what: string, why: string, fix: string) => {
    throw new NsaError({ code: "sample_settings", what, why, fix, exitCode: ExitCode.usage });
  };
  if (prompts.from === "steps" && data.files.length === 0)
    refuse(
      "prompts.from steps without data.files",
      "roll-outs begin at the steps of outputs that are there already",
      "name the samples.jsonl of an earlier `nsa sample` run in data.files",
    );
  if (prompts.from === "task" && data.files.length > 0)
    refuse(
      "data.files with prompts.from task",
      "the questions come from the task, and the files would not be read",
      "remove data.files, or set prompts.from to steps",
    );
  if (prompts.from === "steps" && (keep !== "all" || pairs || labels || prompts.shots > 0))
    refuse(
      "keep, pairs, labels or prompts.shots with prompts.from steps",
      "labels of wrong steps are as much needed as those of right ones, and a roll-out has its output's own prompt",
      "remove them",
    );
  if (prompts.from === "steps" && environment)
    refuse(
      "environment with prompts.from steps",
      "a roll-out would begin in a state of the tools that is not recorded with the steps",
      "remove environment",
    );
  if (prompts.shots > 0 && prompts.examples.length === 0)
    refuse(
      `prompts.shots ${prompts.shots} without prompts.examples`,
      "solved examples come from a file",
      "name a JSONL of {question, completion} in prompts.examples",
    );
  const drawn = prompts.from === "task" ? sampling.n : prompts.rollouts;
  if (sampling.temperature === 0 && drawn > 1)
    refuse(
      `sampling.temperature 0 with ${drawn} outputs of each prompt`,
      "greedy outputs of one prompt are all the same",
      "raise the temperature, or draw one output",
    );
}
