// The recipe of `nsa dpo`: one strict schema, every field described.
import { ExitCode, loggingSchema, memberName, NsaError } from "@nsa/core";
import { refuseTooManyOutputs } from "@nsa/eval";
import { memoryLimitMb } from "@nsa/kernels";
import { adapterSchema } from "@nsa/model";
import { loopSchema, trainerSchema } from "@nsa/train";
import { z } from "zod";
import "../../algorithm/preference-losses.ts";
import { checkRewards } from "../../rewards/check.ts";
import { grpoSchema, rlDefaults } from "../grpo/config.ts";

const count = z.number().int().min(1);
const { task, rollout, rewards, evaluation } = grpoSchema.shape;

export const dpoSchema = z.strictObject({
  name: z.string().default("dpo").describe("Part of the run folder's name"),
  seed: z.number().int().min(0).default(0).describe("Of the choice and order of pairs, and of sampling"),
  logging: loggingSchema,
  threads: z.number().int().min(0).default(0).describe("CPU threads; 0 = all cores"),
  memoryLimitMb,
  init: z
    .strictObject({ checkpoint: z.string().describe("Folder of the policy's first checkpoint") })
    .describe("Where learning starts"),
  adapter: adapterSchema
    .optional()
    .describe(
      "Trains low-rank adapters (LoRA) in place of the weights, which are frozen; without it all weights are trained",
    ),
  pairs: z
    .enum(["offline", "online"])
    .default("offline")
    .describe(
      "offline: preferences from data.files; online: the policy samples outputs of the task's questions, and of each question the output with the highest reward is preferred to the one with the lowest",
    ),
  beta: z
    .number()
    .positive()
    .default(0.1)
    .describe("Strength with which the policy is held to the reference; smaller values let it move further"),
  loss: memberName("preference_loss")
    .default("sigmoid")
    .describe("sigmoid is DPO's; hinge is SLiC's; ipo has a finite optimum of the margin, 1/(2 beta)"),
  reference: z
    .string()
    .default("init")
    .describe("init: the policy as it starts; or the folder of another checkpoint with the same tokenizer"),
  data: z
    .strictObject({
      files: z
        .array(z.string())
        .default([])
        .describe(
          "offline: JSONL files (`*` in file names, also .gz) with {prompt, chosen, rejected} as texts or lists of messages, {prompt_ids, chosen_ids, rejected_ids}, or the samples.jsonl of `nsa sample`, whose right and wrong outputs of a question are paired",
        ),
      pairsPerQuestion: count
        .default(4)
        .describe("Largest number of pairs made of the sampled outputs of one question"),
      chatTemplate: z
        .string()
        .optional()
        .describe(
          "How messages become text: chatml, plain, r1_zero, a .jinja file or a folder with a tokenizer_config.json; by default the checkpoint's own, else chatml",
        ),
      maxLength: z
        .number()
        .int()
        .min(2)
        .default(4096)
        .describe("Longest prompt and output, positions; pairs with a longer one are left out, never cut"),
      maxPromptLength: count
        .optional()
        .describe("Longest prompt, tokens; pairs with a longer one are left out, never cut"),
      heldOut: z
        .number()
        .min(0)
        .max(0.5)
        .default(0.05)
        .describe("Share of the questions whose pairs are held out, by seed"),
      heldOutPairs: count.default(256).describe("Held-out pairs measured, at most"),
    })
    .prefault({})
    .describe("Preferences from files"),
  task: task.describe("online: questions"),
  rollout: rollout
    .unwrap()
    // Its outputs are in samples.jsonl; what replays a GRPO step is not recorded.
    .omit({ keepRollouts: true })
    .prefault({})
    .describe("online: sampling of outputs"),
  rewards: rewards.describe("online: what ranks the outputs of a question; summed with their weights"),
  evaluation: evaluation
    .unwrap()
    .omit({ every: true })
    .prefault({})
    .describe("online: evaluation on held-out questions, every train.eval_every steps"),
  train: z
    .strictObject({
      ...loopSchema.shape,
      ...trainerSchema.shape,
      ...rlDefaults,
      pairsPerStep: count
        .default(32)
        .describe("offline: pairs of a step; online steps have at most rollout.questions_per_step"),
      microBatchTokens: z
        .number()
        .int()
        .min(2)
        .default(8192)
        .describe("Tokens of a micro-batch; both outputs of a pair are in one"),
    })
    .prefault({})
    .describe("Optimization"),
});

export type DpoConfig = z.output<typeof dpoSchema>;

/** Refuses settings that cannot give a pair. Throws NsaError `dpo_data`, `group_of_one` (exit 2). */
export function checkDpo(config: DpoConfig): void {
  const { pairs, data, rollout, evaluation } = config;
  if (pairs === "online") checkRewards(config.rewards, { task: config.task, steps: config.train.steps });
  if (pairs === "online")
    refuseTooManyOutputs("dpo_recipe_invalid", [
      ["rollout.questions_per_step × rollout.group_size", rollout.questionsPerStep * rollout.groupSize],
      ["evaluation.questions × evaluation.samples", evaluation.questions * evaluation.samples],
    ]);
  const refuse = (code: string, what: string, why: string, fix: string) => {
    throw new NsaError({ code, what, why, fix, exitCode: ExitCode.usage });
  };
  if (pairs === "offline" && data.files.length === 0)
    refuse(
      "dpo_data",
      "data.files is empty",
      "offline preferences come from files",
      "name files, or set pairs: online",
    );
  if (pairs === "online" && data.files.length > 0)
    refuse(
      "dpo_data",
      "data.files beside pairs: online",
      "online pairs are sampled from the policy, and the files would not be read",
      "remove data.files, or set pairs: offline",
    );
  if (pairs === "online" && rollout.groupSize < 2)
    refuse(
      "group_of_one",
      "rollout.group_size 1",
      "a pair needs two outputs of one question",
      "raise group_size",
    );
}
