// reward.json beside the weights of a reward model: what its numbers mean, and which tokenizer it reads.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ExitCode, firstComplaint, NsaError } from "@nsa/core";
import { z } from "zod";

export const REWARD_FILE = "reward.json";

/** What a step is: see the process rewards. */
export const stepRules = ["lines", "equations"] as const;
export type StepRule = (typeof stepRules)[number];

export const rewardKindsOfModel = ["outcome", "process"] as const;

const fileSchema = z.strictObject({
  format: z.literal(1),
  /** outcome: one number at the end of the output; process: one at the end of each step. */
  kind: z.enum(rewardKindsOfModel),
  /** Of the registry of reward losses. */
  loss: z.string(),
  /** Whether σ of a number is the probability that the output (or the step) is right. */
  probability: z.boolean(),
  steps: z.enum(stepRules),
  /** `hash` of the tokenizer. */
  tokenizer: z.string(),
});

export type RewardModelFile = z.output<typeof fileSchema>;

export const writeRewardFile = (file: RewardModelFile) => `${JSON.stringify(file, null, 2)}\n`;

/** Throws NsaError `reward_model_invalid` (exit 3) where the folder is not a reward model's. */
export function readRewardFile(checkpoint: string): RewardModelFile {
  const path = join(checkpoint, REWARD_FILE);
  const refuse = (why: string, cause?: unknown) =>
    new NsaError({
      code: "reward_model_invalid",
      what: `${checkpoint} is not a reward model`,
      why,
      fix: "name a checkpoint of `nsa reward`",
      exitCode: ExitCode.data,
      cause,
    });
  if (!existsSync(path)) throw refuse(`it has no ${REWARD_FILE}`);
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(path, "utf8"));
  } catch (cause) {
    throw refuse(`${REWARD_FILE}: ${(cause as Error).message}`, cause);
  }
  const parsed = fileSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  const issue = firstComplaint(parsed.error, json);
  throw refuse(`${REWARD_FILE}: ${issue.path === "" ? "" : `${issue.path}: `}${issue.why}`, parsed.error);
}
