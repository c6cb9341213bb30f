// Scores an output by the configured rewards; a reward that throws or is not a number quarantines that sample alone.
import { inspect } from "node:util";
import { loadModule, NsaError } from "@nsa/core";
import { type Gold, gradeProblem, requireSandbox } from "@nsa/tasks";
import { codeReward } from "./code.ts";
import type { RewardConfig } from "./config.ts";
import { formatReward } from "./format.ts";
import { equationSteps, type StepReward } from "./steps.ts";
import { languageConsistency, lengthPenalty, overlongPenalty, repetitionPenalty } from "./text.ts";

/** An output to be scored, with the problem's gold. */
export interface Scored extends Gold {
  prompt: string;
  question: string;
  completion: string;
  /** Tokens of the output, and the most it may have. */
  tokens: number;
  maxTokens: number;
}

export interface Reward {
  total: number;
  /** Unweighted value of each reward by its label; of step rewards their sum. */
  parts: Record<string, number>;
  /** Weighted rewards of single steps, and of the output as a whole where there are any; the total is their sum. */
  steps?: StepReward[];
  outcome?: number;
  /** Why the sample was quarantined. */
  fault?: string;
}

/** One number for the output, or rewards of its steps. */
type Verdict = number | { steps: StepReward[] };
type RewardFunction = (s: Scored) => Verdict | Promise<Verdict>;

const builtIn: Record<Exclude<RewardConfig["kind"], "custom">, (config: RewardConfig) => RewardFunction> = {
  accuracy: () => (s) => (gradeProblem(s.completion, s).verdict === "correct" ? 1 : 0),
  format: () => (s) => formatReward(s.completion),
  language: (c) => (s) => languageConsistency(s.completion, c.language),
  length: () => (s) => lengthPenalty(s.tokens, s.maxTokens),
  repetition: () => (s) => repetitionPenalty(s.completion),
  overlong: (c) => (s) => overlongPenalty(s.tokens, s.maxTokens, c.buffer),
  equations: () => (s) => ({ steps: equationSteps(s.completion) }),
  code: ({ timeoutMs, unsafeExec }) => {
    requireSandbox({ unsafeExec });
    return (s) => codeReward(s.completion, s.tests ?? [], { limits: { timeoutMs }, unsafeExec });
  },
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
  if (file === "") throw fail("rewards.file is not set");
  try {
    const exports = await loadModule(file);
    const fn = exports.default ?? exports;
    if (typeof fn !== "function") throw fail("it has no function as default export");
    return fn as RewardFunction;
  } catch (cause) {
    throw cause instanceof NsaError ? cause : fail(told(cause), cause);
  }
}

/** Whatever a reward threw or returned, as one line. */
function told(value: unknown): string {
  const text =
    value instanceof Error
      ? value.message
      : typeof value === "object"
        ? inspect(value, { depth: 1 })
        : String(value);
  return text.split("\n", 1)[0]!.slice(0, 200);
}

/** Larger ones leave no room for their squares in a standard deviation. */
const MOST = 1e15;

/** The steps of a verdict, or why it is none. */
function stepsOf(verdict: unknown, completion: string): StepReward[] | string {
  const { steps } = (verdict ?? {}) as { steps?: unknown };
  if (!Array.isArray(steps))
    return `returned ${typeof verdict === "string" ? JSON.stringify(verdict) : told(verdict)}`;
  for (const step of steps as Partial<StepReward>[]) {
    if (typeof step?.reward !== "number" || !(Math.abs(step.reward) <= MOST))
      return `returned a step of ${told(step?.reward)}`;
    if (!(step.end! > 0 && step.end! <= completion.length))
      return `returned a step that ends at ${step.end} of ${completion.length} characters`;
  }
  return steps as StepReward[];
}

/** Prepares the rewards of a recipe. Throws NsaError `reward_file_invalid` (exit 2), `sandbox_missing` (exit 4). */
export async function makeScorer(configs: readonly RewardConfig[]): Promise<(s: Scored) => Promise<Reward>> {
  const rewards: { label: string; weight: number; run: RewardFunction }[] = [];
  for (const c of configs) {
    const run = c.kind === "custom" ? await loadCustom(c.file) : builtIn[c.kind](c);
    const same = rewards.filter((r) => r.label.startsWith(c.kind)).length;
    rewards.push({ label: same === 0 ? c.kind : `${c.kind}_${same + 1}`, weight: c.weight, run });
  }
  return async (s) => {
    const parts: Record<string, number> = {};
    const steps: StepReward[] = [];
    let outcome: number | undefined;
    const faulty = (fault: string): Reward => ({ total: Number.NaN, parts, fault });
    for (const { label, weight, run } of rewards) {
      let verdict: Verdict;
      try {
        verdict = await run(s);
      } catch (error) {
        return faulty(`${label} threw: ${told(error)}`);
      }
      if (typeof verdict === "number") {
        if (!(Math.abs(verdict) <= MOST)) return faulty(`${label} returned ${verdict}`);
        parts[label] = verdict;
        outcome = (outcome ?? 0) + weight * verdict;
        continue;
      }
      const own = stepsOf(verdict, s.completion);
      if (typeof own === "string") return faulty(`${label} ${own}`);
      parts[label] = own.reduce((sum, { reward }) => sum + reward, 0);
      steps.push(...own.map(({ end, reward }) => ({ end, reward: weight * reward })));
    }
    const total = steps.reduce((sum, { reward }) => sum + reward, outcome ?? 0);
    return {
      total,
      parts,
      ...(outcome === undefined ? {} : { outcome }),
      ...(steps.length ? { steps } : {}),
    };
  };
}
