// Scores an output by the configured rewards; a reward that throws or is not a number quarantines that sample alone.
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { NsaError } from "@nsa/core";
import { grade } from "@nsa/eval";
import type { RewardConfig } from "../grpo/config.ts";
import { formatReward } from "./format.ts";
import { languageConsistency, overlongPenalty, repetitionPenalty } from "./text.ts";

export interface Scored {
  prompt: string;
  completion: string;
  answer: string;
  tokens: number;
  maxTokens: number;
}

export interface Reward {
  total: number;
  /** Unweighted value of each reward by its label. */
  parts: Record<string, number>;
  /** Why the sample was quarantined. */
  fault?: string;
}

type RewardFunction = (s: Scored) => number | Promise<number>;

const builtIn: Record<Exclude<RewardConfig["kind"], "custom">, (config: RewardConfig) => RewardFunction> = {
  accuracy: () => (s) => (grade(s.completion, s.answer).verdict === "correct" ? 1 : 0),
  format: () => (s) => formatReward(s.completion),
  language: (c) => (s) => languageConsistency(s.completion, c.language),
  repetition: () => (s) => repetitionPenalty(s.completion),
  overlong: (c) => (s) => overlongPenalty(s.tokens, s.maxTokens, c.buffer),
};

async function loadCustom(file: string): Promise<RewardFunction> {
  const fail = (why: string, cause?: unknown) =>
    new NsaError({
      code: "reward_file_invalid",
      what: `reward file ${file}`,
      why,
      fix: "export default a function ({prompt, completion, answer}) => number",
      exitCode: 2,
      cause,
    });
  try {
    const { createJiti } = await import("jiti");
    const jiti = createJiti(pathToFileURL(resolve("reward.ts")).href);
    const fn = await jiti.import(resolve(file), { default: true });
    if (typeof fn !== "function") throw fail("it has no function as default export");
    return fn as RewardFunction;
  } catch (cause) {
    throw cause instanceof NsaError ? cause : fail((cause as Error).message, cause);
  }
}

/** Prepares the rewards of a recipe. Throws NsaError `reward_file_invalid` (exit 2). */
export async function makeScorer(configs: readonly RewardConfig[]): Promise<(s: Scored) => Promise<Reward>> {
  const rewards: { label: string; weight: number; run: RewardFunction }[] = [];
  for (const c of configs) {
    const run = c.kind === "custom" ? await loadCustom(c.file) : builtIn[c.kind](c);
    const same = rewards.filter((r) => r.label.startsWith(c.kind)).length;
    rewards.push({ label: same === 0 ? c.kind : `${c.kind}_${same + 1}`, weight: c.weight, run });
  }
  return async (s) => {
    const parts: Record<string, number> = {};
    let total = 0;
    for (const { label, weight, run } of rewards) {
      let value: number;
      try {
        value = await run(s);
      } catch (error) {
        return { total: Number.NaN, parts, fault: `${label} threw: ${(error as Error).message}` };
      }
      if (!Number.isFinite(value)) return { total: Number.NaN, parts, fault: `${label} returned ${value}` };
      parts[label] = value;
      total += weight * value;
    }
    return { total, parts };
  };
}
