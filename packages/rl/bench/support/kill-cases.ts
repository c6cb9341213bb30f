// The stages of reinforcement learning as small runs to be killed, each from what the ones before it left.
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readJsonl } from "@nsa/core";
import type { KillCase } from "./kills.ts";

const task = { family: "addition", difficulty: 1, template: "{question}=" };
const optimizer = { lr: 1e-3, weight_decay: 0 };
const schedule = { kind: "constant" };

export const newestCheckpoint = (run: string): string => {
  const folder = join(run, "checkpoints");
  return join(folder, readdirSync(folder).sort().at(-1)!);
};

export const sampleCase = (checkpoint: string): KillCase => ({
  name: "sample",
  stage: "sample",
  recipe: {
    ...{ init: { checkpoint }, task, prompts: { questions: 400 } },
    ...{ sampling: { n: 8, max_tokens: 24 }, engine: { questions: 20 } },
  },
});

/** Roll-outs from the steps of sampled outputs; each half of an output is a step. */
export function stepsCase(root: string, checkpoint: string, sampled: string): KillCase {
  const rows = readJsonl<{ completion: string }>(join(sampled, "samples.jsonl"));
  const long = rows.filter(({ completion }) => completion.length > 4).slice(0, 600);
  const file = join(root, "halves.jsonl");
  const halves = long.map((row) => ({ ...row, steps: [{ end: row.completion.length >> 1 }] }));
  writeFileSync(file, halves.map((row) => `${JSON.stringify(row)}\n`).join(""));
  return {
    name: "steps",
    stage: "sample",
    recipe: {
      ...{ init: { checkpoint }, task, prompts: { from: "steps", rollouts: 4 }, data: { files: [file] } },
      ...{ sampling: { max_tokens: 24 }, engine: { questions: 20 } },
    },
  };
}

const kindOf = (process: boolean) => (process ? { kind: "process", labels: "shepherd_soft" } : {});

/** A reward model: of whole outputs by the rule's verdict, or of steps by their roll-outs. */
export const rewardCase = (checkpoint: string, labelled: string, process: boolean): KillCase => ({
  name: process ? "reward-process" : "reward",
  stage: "reward",
  recipe: {
    ...{ init: { checkpoint }, data: { files: [join(labelled, "samples.jsonl")] }, held_out: 0.1 },
    ...{ ...kindOf(process), threads: 1 },
    train: { steps: 60, micro_batch_tokens: 512, save_every: 6, eval_every: 15, optimizer, schedule },
  },
});

/** GRPO by a reward model that is retrained after each of three iterations but the last. */
export function iterativeCase(
  root: string,
  checkpoint: string,
  { model, labelled, process }: { model: string; labelled: string; process: boolean },
): KillCase {
  const name = process ? "grpo-process" : "grpo";
  const recipe = join(root, `${name}-reward.yaml`);
  const settings = {
    ...{ init: { checkpoint }, held_out: 0.1, data: { files: [join(labelled, "samples.jsonl")] } },
    ...{ ...kindOf(process), train: { steps: 20, micro_batch_tokens: 512, optimizer, schedule } },
  };
  // JSON is YAML.
  writeFileSync(recipe, JSON.stringify(settings));
  return {
    name,
    stage: "grpo",
    recipe: {
      ...{ init: { checkpoint }, task },
      iterations: { count: 3, steps: 4, reward_model: { recipe, rollouts: 2, fresh: 120 } },
      rollout: { questions_per_step: 6, group_size: 8, max_tokens: 24, dynamic_sampling_rounds: 1 },
      algorithm: {
        ...{ aggregation: "token_mean", kl_coef: 0.02, inner_epochs: 2, mini_batches: 2 },
        advantage: process ? "process" : "grpo",
      },
      rewards: [
        { kind: process ? "process_model" : "model", checkpoint: model },
        { kind: "accuracy", weight: 0 },
      ],
      train: { optimizer: { lr: 1e-4, weight_decay: 0 }, schedule },
      evaluation: { every: 4, questions: 4, samples: 4 },
      checkpoint: { every: 2, keep_last: 2 },
    },
  };
}

/** GRPO on low-rank adapters, whose reference is a copy of them that is renewed every second step. */
export const adapterCase = (checkpoint: string): KillCase => ({
  name: "grpo-lora",
  stage: "grpo",
  recipe: {
    ...{ init: { checkpoint }, task, steps: 10, adapter: { rank: 4, alpha: 8 } },
    rollout: { questions_per_step: 6, group_size: 8, max_tokens: 24 },
    algorithm: { aggregation: "token_mean", kl_coef: 0.05, reference_every: 2 },
    train: { optimizer, schedule },
    evaluation: { questions: 4, samples: 4 },
    checkpoint: { every: 2, keep_last: 2 },
  },
});

const preferenceTraining = {
  ...{ optimizer, schedule, micro_batch_tokens: 64, pairs_per_step: 24 },
  ...{ eval_every: 5, save_every: 2 },
};

export const offlineCase = (checkpoint: string, file: string): KillCase => ({
  name: "dpo",
  stage: "dpo",
  recipe: {
    ...{ init: { checkpoint }, threads: 1, data: { files: [file], held_out: 0.2 } },
    train: { ...preferenceTraining, steps: 40 },
  },
});

export const onlineCase = (checkpoint: string): KillCase => ({
  name: "dpo-online",
  stage: "dpo",
  recipe: {
    ...{ init: { checkpoint }, threads: 1, pairs: "online", task },
    rollout: { questions_per_step: 6, group_size: 8, max_tokens: 24 },
    evaluation: { questions: 8, samples: 8 },
    train: { ...preferenceTraining, steps: 12 },
  },
});
