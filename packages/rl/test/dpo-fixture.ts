// Recipes of small DPO runs on the tiny base model, and their preference file.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseConfig } from "@nsa/core";
import { dpoSchema } from "../src/index.ts";

/** Sums of one digit: right ones with a full stop against wrong ones with an exclamation mark. Returns the path. */
export function preferenceFile(root: string): string {
  const path = join(root, "pairs.jsonl");
  const rows = Array.from({ length: 80 }, (_, i) => {
    const [a, b] = [i % 10, Math.floor(i / 10)];
    return JSON.stringify({ prompt: `${a}+${b}=`, chosen: `${a + b}.`, rejected: `${a + b + 1}!` });
  });
  writeFileSync(path, `${rows.join("\n")}\n`);
  return path;
}

const train = {
  steps: 8,
  optimizer: { lr: 1e-3, weight_decay: 0 },
  micro_batch_tokens: 64,
  eval_every: 4,
  save_every: 2,
};

export function offlineRecipe(checkpoint: string, file: string, set: Record<string, unknown> = {}) {
  const config = {
    init: { checkpoint },
    threads: 1,
    data: { files: [file], held_out: 0.2 },
    train: { ...train, pairs_per_step: 8 },
  };
  return parseConfig(dpoSchema, { ...config, ...set } as never, "test");
}

export function onlineRecipe(checkpoint: string, set: Record<string, unknown> = {}) {
  const config = {
    init: { checkpoint },
    threads: 1,
    pairs: "online",
    task: { family: "addition", difficulty: 1, template: "{question}=" },
    rollout: { questions_per_step: 6, group_size: 8, max_tokens: 24 },
    evaluation: { questions: 8, samples: 8 },
    train,
  };
  return parseConfig(dpoSchema, { ...config, ...set } as never, "test");
}
