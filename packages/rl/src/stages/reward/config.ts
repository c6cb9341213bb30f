// The recipe of `nsa reward`: one strict schema, every field described.
import { ExitCode, loggingSchema, memberName, NsaError } from "@nsa/core";
import { memoryLimitMb } from "@nsa/kernels";
import { adapterSchema, rewardKindsOfModel, stepRules } from "@nsa/model";
import { loopSchema, optimizerSchema, trainerSchema } from "@nsa/train";
import { z } from "zod";
import "./loss.ts";

const count = z.number().int().min(1);
const { optimizer } = trainerSchema.shape;

export const labelKinds = ["rule", "preference", "shepherd_hard", "shepherd_soft"] as const;

export const rewardModelSchema = z.strictObject({
  name: z.string().default("reward").describe("Part of the run folder's name"),
  seed: z.number().int().min(0).default(0).describe("Key of all random numbers"),
  logging: loggingSchema,
  threads: z.number().int().min(0).default(0).describe("CPU threads; 0 = all cores"),
  memoryLimitMb,
  init: z
    .strictObject({
      checkpoint: z
        .string()
        .describe(
          "Folder of a language model, which gets a new output head, or of a reward model, which is trained on",
        ),
    })
    .describe("Where learning starts"),
  adapter: adapterSchema
    .optional()
    .describe(
      "Trains low-rank adapters (LoRA) in place of the weights, which are frozen; without it all weights are trained",
    ),
  kind: z
    .enum(rewardKindsOfModel)
    .default("outcome")
    .describe("outcome: one number at the end of an output; process: one at the end of each step"),
  loss: memberName("reward_loss")
    .default("pointwise")
    .describe(
      "pointwise: cross-entropy of σ(number) against the label; bradley_terry: −log σ(chosen − rejected) over pairs",
    ),
  data: z
    .strictObject({
      files: z
        .array(z.string())
        .min(1)
        .describe(
          "JSONL files (`*` in file names), also .gz: outputs of `nsa sample` {prompt_ids, ids, verdict}, preferences {prompt, chosen, rejected}, or steps {prompt, steps: [{text, label}]}",
        ),
      pairsPerQuestion: count
        .default(4)
        .describe("bradley_terry: pairs of a right and a wrong output taken from a question, at most"),
      limit: count.optional().describe("Records that are read at most; by default all"),
    })
    .describe("Labelled outputs"),
  labels: z
    .enum(labelKinds)
    .default("rule")
    .describe(
      "rule: the verdict of a rule, or a step's `label`; preference: chosen against rejected; shepherd_hard, shepherd_soft: whether any, or which share, of the roll-outs from a step ended right",
    ),
  steps: z
    .enum(stepRules)
    .default("lines")
    .describe("process: what a step is when the model scores an output"),
  heldOut: z
    .number()
    .min(0)
    .max(0.5)
    .default(0.05)
    .describe("Share of the questions whose outputs are never trained on; the same questions for every seed"),
  train: z
    .strictObject({
      ...loopSchema.shape,
      ...trainerSchema.shape,
      optimizer: optimizerSchema
        .extend({
          lr: optimizerSchema.shape.lr.unwrap().default(2e-5).describe(optimizerSchema.shape.lr.description!),
        })
        .prefault({})
        .describe(optimizer.description!),
      microBatchTokens: count.default(8192).describe("Outputs are packed up to this many tokens"),
      microBatches: count.default(1).describe("Micro-batches of one step"),
      seqLen: count.default(4096).describe("Longest prompt and output, tokens; longer ones are left out"),
    })
    .prefault({})
    .describe("Optimization"),
});

export type RewardModelConfig = z.output<typeof rewardModelSchema>;

/** Refuses combinations that have no meaning. Throws NsaError `reward_recipe_invalid` (exit 2). */
export function checkRewardRecipe({ kind, loss, labels }: RewardModelConfig): void {
  const refuse = (what: string, why: string, fix: string) =>
    new NsaError({ code: "reward_recipe_invalid", what, why, fix, exitCode: ExitCode.usage });
  const shepherd = labels.startsWith("shepherd");
  if (kind === "outcome" && shepherd)
    throw refuse(`labels ${labels} with kind outcome`, "these labels belong to steps", "set kind: process");
  if (kind === "process" && labels === "preference")
    throw refuse(
      "labels preference with kind process",
      "a preference compares whole outputs",
      "set kind: outcome, or label the steps",
    );
  if (kind === "process" && loss === "bradley_terry")
    throw refuse("loss bradley_terry with kind process", "steps have no pairs", "set loss: pointwise");
}
