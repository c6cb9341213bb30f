// The recipe of `nsa grpo`: one strict schema, every field described.
import { ExitCode, loggingSchema, memberName, NsaError } from "@nsa/core";
import { refuseTooManyOutputs } from "@nsa/eval";
import { memoryLimitMb } from "@nsa/kernels";
import { adapterSchema } from "@nsa/model";
import { environmentSchema } from "@nsa/tasks";
import { optimizerSchema, scheduleSchema, trainerSchema } from "@nsa/train";
import { z } from "zod";
import { advantageKinds } from "../../algorithm/advantages/registry.ts";
import { checkRewards } from "../../rewards/check.ts";
import { rewardSchema } from "../../rewards/config.ts";
import { rewardKinds } from "../../rewards/registry.ts";
import { rlTaskSchema } from "../../task/config.ts";
import { checkCurriculum, curriculumSchema } from "./curriculum.ts";

const share = z.number().min(0).max(1);
const count = z.number().int().min(1);

const { optimizer, schedule } = trainerSchema.shape;
/** Where RL wants other defaults than pretraining; key by key, so that setting one leaves the others. */
export const rlDefaults = {
  optimizer: optimizerSchema
    .extend({
      lr: optimizerSchema.shape.lr.unwrap().default(1e-5).describe(optimizerSchema.shape.lr.description!),
    })
    .prefault({})
    .describe(optimizer.description!),
  schedule: scheduleSchema
    .extend({
      kind: scheduleSchema.shape.kind
        .unwrap()
        .default("constant")
        .describe(scheduleSchema.shape.kind.description!),
    })
    .prefault({})
    .describe(schedule.description!),
};

export const grpoSchema = z.strictObject({
  name: z.string().default("grpo").describe("Name of the run"),
  seed: z.number().int().min(0).default(0).describe("Of the questions and of sampling"),
  logging: loggingSchema,
  memoryLimitMb,
  steps: count.default(100).describe("Steps: each samples outputs, scores them and updates the policy"),
  init: z
    .strictObject({ checkpoint: z.string().describe("Folder of the policy's first checkpoint") })
    .describe("Where learning starts"),
  adapter: adapterSchema
    .optional()
    .describe(
      "Trains low-rank adapters (LoRA) in place of the weights, which are frozen; without it all weights are trained",
    ),
  iterations: z
    .strictObject({
      count: count.describe("Iterations; each begins with reference ← policy"),
      steps: count.describe("Steps of an iteration; count × steps replaces the recipe's `steps`"),
      rewardModel: z
        .strictObject({
          recipe: z
            .string()
            .describe(
              "Recipe of `nsa reward` by which the model of the reward `model` or `process_model` is trained on after each iteration but the last, beside this file",
            ),
          replayShare: z
            .number()
            .min(0)
            .max(1)
            .default(0.1)
            .describe("Share of history among what it is trained on"),
          reservoir: count
            .default(50_000)
            .describe("Outputs of history that are kept, a uniform sample of all"),
          history: z
            .array(z.string())
            .default([])
            .describe("Files that history begins with; by default `data.files` of the reward model's recipe"),
          fresh: count
            .optional()
            .describe("Outputs of an iteration that are trained on, at most, drawn by seed"),
          rollouts: count
            .default(8)
            .describe(
              "process_model: roll-outs from the end of each step, by which steps are labelled (Math-Shepherd)",
            ),
        })
        .optional()
        .describe("Retrains the reward model on the policy's own outputs, labelled by the task's rule"),
    })
    .optional()
    .describe("Iterative GRPO (DeepSeekMath, algorithm 1)"),
  task: rlTaskSchema,
  environment: environmentSchema.optional(),
  curriculum: curriculumSchema,
  rollout: z
    .strictObject({
      questionsPerStep: count.default(16).describe("Questions of a step"),
      groupSize: count.default(16).describe("G: outputs per question"),
      maxTokens: count.default(64).describe("Longest output, tokens"),
      temperature: z
        .number()
        .positive()
        .default(1)
        .describe("Of sampling; also of the trainer's log-probabilities"),
      topP: share
        .default(1)
        .describe(
          "Nucleus mass; the trainer's log-probabilities stay full-vocabulary unless replay_support is set",
        ),
      topK: z.number().int().min(0).default(0).describe("Most likely tokens kept; 0 = all"),
      minP: share.default(0).describe("Least probability relative to the most likely token"),
      stop: z
        .array(z.string())
        .default([])
        .describe("What ends an output besides the tokenizer's end token: special tokens or texts"),
      dynamicSamplingRounds: z
        .number()
        .int()
        .min(0)
        .default(0)
        .describe(
          "DAPO: rounds of further questions in a step, in place of those whose outputs all earn the same; 0 = off",
        ),
      maxSequences: count.default(512).describe("Outputs decoded at once"),
      cacheTokens: count.default(262_144).describe("Tokens in the KV cache"),
      replaySupport: z
        .boolean()
        .default(false)
        .describe(
          "With top_k, top_p or min_p: records the ids that each token was drawn among, and takes all log-probabilities over them alone, so that ratios compare what was sampled; otherwise they stay full-vocabulary, and the mass that was kept is policy/kept_mass_mean",
        ),
      exact: z
        .boolean()
        .default(false)
        .describe(
          "Samples by the trainer's own forward, each token from the whole text before it: slow, and on the CPU the sampler's log-probabilities then equal the trainer's bit for bit",
        ),
      keepRollouts: z
        .union([z.literal("all"), z.number().int().min(0)])
        .default(50)
        .describe(
          "Steps whose outputs stay on disk, in rollouts/: all, or the newest N, for `nsa rollouts` and `nsa replay`; 0 records none",
        ),
    })
    .prefault({})
    .describe("Sampling of outputs"),
  algorithm: z
    .strictObject({
      advantage: memberName("advantage")
        .default("grpo")
        .describe(
          "grpo: (r − mean)/std over the group, population std; process: the same over all step rewards, summed over later steps; gae: PPO's, with a `value` model",
        ),
      gaeLambda: share.default(0.95).describe("gae: λ, how far rewards reach back; 1 is the whole return"),
      gaeGamma: share
        .default(1)
        .describe("gae: γ, the discount of a reward by each token that it lies ahead"),
      loss: memberName("loss").default("grpo").describe("Token objective"),
      aggregation: z
        .enum(["sequence_mean", "token_mean", "fixed_length"])
        .default("sequence_mean")
        .describe(
          "sequence_mean is GRPO's 1/|o|; token_mean (R1, DAPO) weighs all tokens equally; fixed_length is Dr. GRPO's 1/max_tokens",
        ),
      clipEpsLow: z.number().min(0).default(0.2).describe("Lower clip range of the ratio"),
      clipEpsHigh: z.number().min(0).default(0.2).describe("Upper clip range (DAPO raises it)"),
      klCoef: z.number().min(0).default(0).describe("β of the KL to the reference; 0 holds no reference"),
      klPlacement: z
        .enum(["loss", "reward"])
        .default("loss")
        .describe("GRPO has the KL in the loss; reward takes β·KL from every token's reward, as PPO does"),
      klKind: z.enum(["k1", "k2", "k3"]).default("k3").describe("Estimator; k3 is DeepSeekMath's eq. 4"),
      innerEpochs: count.default(1).describe("μ: passes over the sampled outputs"),
      miniBatches: count.default(1).describe("Updates per pass"),
      referenceEvery: z
        .number()
        .int()
        .min(0)
        .default(0)
        .describe("The policy becomes the reference every N steps; 0 = never"),
      samplerCorrection: z
        .enum(["none", "truncate"])
        .default("none")
        .describe(
          "truncate: weigh tokens by min(π_old/π_sampler, sampler_cap), where the two differ by rounding",
        ),
      samplerCap: z.number().positive().default(2).describe("Largest weight of the correction"),
      maskTruncated: z.boolean().default(false).describe("Leave outputs without an end out of the loss"),
    })
    .prefault({})
    .describe("The update"),
  value: z
    .strictObject({
      init: z
        .string()
        .default("policy")
        .describe(
          "Where its weights begin: `policy` (init.checkpoint), or a checkpoint folder, e.g. a reward model's",
        ),
      shared: z
        .boolean()
        .default(false)
        .describe("Puts the head on the policy's own trunk in place of a model of the policy's size"),
      lr: z.number().positive().default(1e-5).describe("Learning rate of a model of its own"),
      coef: z.number().positive().default(0.1).describe("shared: weight of its loss beside the policy's"),
      clip: z
        .number()
        .min(0)
        .default(0.2)
        .describe("Range around the old value in which a new one lowers the loss; 0 = without limit"),
      warmupSteps: z
        .number()
        .int()
        .min(0)
        .default(0)
        .describe(
          "First steps in which values alone are learned and the policy stays as it is, but for a trunk that it shares",
        ),
      whiten: z
        .boolean()
        .default(true)
        .describe("Shifts and scales the advantages of a step to mean 0 and standard deviation 1"),
    })
    .optional()
    .describe("PPO's value model, for advantage gae"),
  rewards: z
    .array(rewardSchema)
    .min(1)
    .prefault([{ kind: "accuracy" }, { kind: "format" }])
    .describe("Summed with their weights"),
  train: trainerSchema.extend(rlDefaults).prefault({}).describe("Optimization"),
  microBatchTokens: count.default(16_384).describe("Tokens of a micro-batch of the update"),
  evaluation: z
    .strictObject({
      every: z
        .number()
        .int()
        .min(0)
        .default(0)
        .describe("Steps between held-out evaluations; 0 = start and end only"),
      questions: count.default(64).describe("Held-out questions"),
      samples: count.default(16).describe("Outputs per question"),
      sampling: z
        .strictObject({
          temperature: z.number().positive().optional().describe("Temperature of the sampled outputs"),
          topP: share.optional().describe("Nucleus mass"),
          topK: z.number().int().min(0).optional().describe("Most likely tokens kept; 0 = all"),
          minP: share.optional().describe("Least probability relative to the most likely token"),
          maxTokens: count.optional().describe("Longest output, tokens; also of the greedy one"),
        })
        .prefault({})
        .describe("Sampling of the evaluation; what is left out is as in `rollout`"),
      greedy: z
        .boolean()
        .default(true)
        .describe("Also one greedy output per question: eval/greedy_pass_at_1, beside the sampled pass@1"),
    })
    .prefault({})
    .describe("Held-out evaluation"),
  checkpoint: z
    .strictObject({
      every: count.default(20).describe("Steps between checkpoints"),
      keepLast: count
        .default(2)
        .describe(
          "Newest checkpoints kept; the best by held-out pass@1 is kept beside them, of those saved in a step with an evaluation",
        ),
    })
    .prefault({})
    .describe("Checkpoints"),
});

export type GrpoConfig = z.output<typeof grpoSchema>;

/** Refuses steps of more outputs than any memory holds. */
function checkSizes({ rollout, evaluation }: GrpoConfig): void {
  refuseTooManyOutputs("grpo_recipe_invalid", [
    ["rollout.questions_per_step × rollout.group_size", rollout.questionsPerStep * rollout.groupSize],
    ["evaluation.questions × evaluation.samples", evaluation.questions * evaluation.samples],
  ]);
}

/** Throws NsaError `value_model_mismatch` (exit 2) for settings of the value model that contradict each other. */
function checkValue({ value }: GrpoConfig): void {
  if (!value?.shared || value.init === "policy") return;
  throw new NsaError({
    code: "value_model_mismatch",
    what: "value.init beside value.shared",
    why: "a head on the policy's trunk has no weights of its own to begin with",
    fix: "remove one of the two",
    exitCode: ExitCode.usage,
  });
}

/** What to say where rewards of steps meet an advantage that adds them up; undefined elsewhere. */
export function stepsAddedUp({ rewards, algorithm }: GrpoConfig): string | undefined {
  const { name, byStep } = advantageKinds.get(algorithm.advantage);
  const ofSteps = rewards.find(({ kind, weight }) => weight > 0 && rewardKinds.get(kind).ofSteps);
  if (byStep || !ofSteps) return undefined;
  return `algorithm.advantage ${name} adds up what ${ofSteps.kind} gives to the steps of an output, so that outputs of more steps earn more: set algorithm.advantage to process to reward each step by itself`;
}

/** Refuses settings that cannot learn anything. Throws NsaError `rewards_invalid`, `group_of_one`, `value_model_mismatch`, `curriculum_invalid` (exit 2). */
export function checkGrpo(config: GrpoConfig): void {
  const { rollout, algorithm, value, environment } = config;
  checkCurriculum(config);
  checkSizes(config);
  checkRewards(config.rewards, config);
  checkValue(config);
  if (environment && rollout.replaySupport)
    throw new NsaError({
      code: "environment_with_support",
      what: "rollout.replay_support beside `environment`",
      why: "the ids that truncated sampling kept are not recorded across calls of tools",
      fix: "remove one of the two",
      exitCode: ExitCode.usage,
    });
  const { advantage } = algorithm;
  const needsValues = advantageKinds.get(advantage).needsValues === true;
  if (needsValues !== (value !== undefined)) {
    throw new NsaError({
      code: "value_model_mismatch",
      what: needsValues
        ? `algorithm.advantage ${advantage} without \`value\``
        : `\`value\` beside algorithm.advantage ${advantage}`,
      why: needsValues
        ? "it is made of the values of a value model"
        : "this advantage reads no values, so the model would learn for nothing",
      fix: needsValues
        ? "add `value: {}`, or take another advantage"
        : "remove `value`, or set advantage: gae",
      exitCode: ExitCode.usage,
    });
  }
  if (rollout.groupSize > 1 || advantageKinds.get(advantage).groupOfOne) return;
  throw new NsaError({
    code: "group_of_one",
    what: `rollout.group_size 1 with algorithm.advantage ${advantage}`,
    why: "an output is compared with the others of its group: alone it has advantage 0, and nothing is learned",
    fix: "raise group_size, or take advantage reinforce",
    exitCode: ExitCode.usage,
  });
}
