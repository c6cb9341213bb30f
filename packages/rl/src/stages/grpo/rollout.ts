// The rollout of a step: its questions, G outputs of each, and their rewards.
import type { Tokenizer } from "@nsa/data";
import {
  generateTrajectories,
  type Inserted,
  type OpenTools,
  type Trajectory,
  wholeIds,
  withToolStops,
} from "@nsa/eval";
import { Engine, type GeneratedSample, type GenerateRequest, type Transformer } from "@nsa/model";
import { extractAnswer, isEchoOf, splitStops } from "@nsa/tasks";
import type { SampleRewards } from "../../algorithm/advantages/kind.ts";
import { flatGroups } from "../../algorithm/advantages/registry.ts";
import type { Scored } from "../../rewards/kind.ts";
import type { Reward, Scorer } from "../../rewards/score.ts";
import { tokensAt } from "../../rewards/steps.ts";
import type { AskedProblem, ProblemSource } from "../../task/problems.ts";
import type { GrpoConfig } from "./config.ts";

/** Prompt tokens that run at once. */
export const PREFILL_TOKENS = 16_384;

export interface RolloutRow {
  id: string;
  question: string;
  answer: string;
  completion: string;
  reward: Reward;
  /** Whether its answer is the question's own expression, or arithmetic left undone. */
  echo: boolean;
  finish: "stop" | "length";
  /** Sampled ids. */
  tokens: number;
  /** Calls of tools, and those that failed; absent without an environment. */
  calls?: number;
  failedCalls?: number;
}

export interface Output {
  asked: AskedProblem;
  prompt: readonly number[];
  /** The prompt as it was put together. */
  text: string;
  /** The answer as it was read from the output; empty where there is none. */
  answer: string;
  sample: Trajectory;
  row: RolloutRow;
  rewards: SampleRewards;
  /** Its group taught nothing and was replaced by another. */
  discarded: boolean;
}

export interface Rollout {
  /** In the order asked, group by group. */
  outputs: Output[];
  /** Questions asked so far in the run, these included. */
  cursor: number;
  /** Groups that teach nothing, among all. */
  flatGroups: number;
  groups: number;
  /** The output of the probe that was sampled besides. */
  probed?: GeneratedSample;
  /** Milliseconds of sampling and of scoring. */
  sampling: number;
  scoring: number;
}

/** How outputs are drawn; what is recorded of them does not matter here. */
export type SamplingConfig = Omit<GrpoConfig["rollout"], "keepRollouts" | "replaySupport" | "exact"> &
  Partial<Pick<GrpoConfig["rollout"], "replaySupport" | "exact">>;

export interface RolloutInputs {
  model: Transformer;
  tokenizer: Tokenizer;
  problems: ProblemSource;
  scorer: Scorer;
  config: Pick<GrpoConfig, "seed"> & {
    rollout: SamplingConfig;
    algorithm: Pick<GrpoConfig["algorithm"], "advantage">;
  };
  /** The tools that outputs may call. */
  tools?: OpenTools | undefined;
  /** Exploration step, from 1. */
  step: number;
  /** Sampled once in the step besides the questions. */
  probe?: GenerateRequest;
}

/** Samples questions `first` … `first + count − 1`, G outputs each, and the probe where it is wanted. */
async function sample(e: RolloutInputs, first: number, count: number, probe?: GenerateRequest) {
  const { config, model, tokenizer } = e;
  const { rollout: r } = config;
  const asked = Array.from({ length: count }, (_, q) => e.problems.train(first + q, e.step));
  const engine = new Engine(model, {
    ...r,
    prefillTokens: PREFILL_TOKENS,
    decode: (ids) => tokenizer.decode(ids),
  });
  const requests = asked.map((problem, q) => ({
    problem,
    prompt: problem.prompt,
    n: r.groupSize,
    maxTokens: r.maxTokens,
    sampling: r,
    seed: config.seed,
    keptIds: r.replaySupport === true,
    // Request numbers stay below those of evaluations and repeat only after 2^24 outputs.
    id: ((first + q) * r.groupSize) % 2 ** 24,
    ...splitStops(tokenizer, r.stop),
  }));
  if (e.tools) {
    const { tools } = e;
    const asking = requests.map((request) => withToolStops(request, tools));
    const outputs = await generateTrajectories(engine, asking, tools);
    const probed = probe && engine.generate([probe])[0]![0];
    return { questions: asked.map((problem, q) => ({ asked: problem, outputs: outputs[q]! })), probed };
  }
  const outputs = engine.generate(probe ? [...requests, probe] : requests);
  return {
    questions: asked.map((problem, q) => ({ asked: problem, outputs: outputs[q]! as Trajectory[] })),
    probed: probe && outputs.at(-1)![0],
  };
}

/** Rewards by the sampled token that ends each step, or was the last before it; those of the whole output stand at its last token. */
export function rewardsByToken(
  tokenizer: Tokenizer,
  group: number,
  output: Inserted,
  reward: Reward,
): SampleRewards {
  const { ids, inserts = [] } = output;
  const ends = (reward.steps ?? []).map((s) => s.end);
  const places = ends.length > 0 ? tokensAt(tokenizer, wholeIds(output), ends) : [];
  const at = places.map((place) => {
    let before = 0;
    for (const insert of inserts) {
      const start = insert.at + before;
      if (place < start) break;
      if (place < start + insert.ids.length) return Math.max(0, insert.at - 1);
      before += insert.ids.length;
    }
    return place - before;
  });
  const steps = at.map((token, i) => ({ token, reward: reward.steps![i]!.reward }));
  const outcome = reward.steps ? reward.outcome : reward.total;
  if (outcome !== undefined) steps.push({ token: ids.length - 1, reward: outcome });
  return { group, length: ids.length, steps: steps.sort((a, b) => a.token - b.token) };
}

/** One round: samples and scores `count` questions. */
async function ask(e: RolloutInputs, first: number, count: number, probe?: GenerateRequest) {
  const { tokenizer, config } = e;
  const started = performance.now();
  const { questions, probed } = await sample(e, first, count, probe);
  const flat = questions.flatMap(({ asked, outputs }, q) =>
    outputs.map((s) => ({ asked, s, group: first + q })),
  );
  const sampled = performance.now();
  const { maxTokens } = config.rollout;
  const batch = flat.map(({ asked, s }): Scored => {
    const { prompt: promptIds, text, ...problem } = asked;
    return {
      ...problem,
      prompt: text,
      completion: tokenizer.decode(wholeIds(s)),
      promptIds,
      ids: wholeIds(s),
      tokens: s.ids.length,
      maxTokens,
    };
  });
  const rewards = await e.scorer.score(batch, { step: e.step, group: flat.map(({ group }) => group) });
  const outputs = flat.map(({ asked, s, group }, i): Output => {
    const { completion, tokens } = batch[i]!;
    const reward = rewards[i]!;
    const { prompt, text, id, question, answer } = asked;
    const extracted = extractAnswer(completion).text;
    const echo = isEchoOf(extracted, asked);
    const used = e.tools && {
      calls: s.calls?.length ?? 0,
      failedCalls: s.calls?.filter((c) => c.failed).length ?? 0,
    };
    return {
      asked,
      prompt,
      text,
      answer: extracted,
      sample: s,
      row: { id, question, answer, completion, reward, echo, finish: s.finish, tokens, ...used },
      rewards: rewardsByToken(tokenizer, group, s, reward),
      discarded: false,
    };
  });
  return { outputs, probed, sampling: sampled - started, scoring: performance.now() - sampled };
}

/**
 * Asks the step's questions from number `cursor` on. With dynamic sampling, groups that teach nothing are replaced by
 * further questions, for a few rounds; all outputs are reported, the replaced ones as discarded.
 */
export async function rollout(e: RolloutInputs, cursor: number): Promise<Rollout> {
  const { rollout: r, algorithm } = e.config;
  const all: Rollout = { outputs: [], cursor, flatGroups: 0, groups: 0, sampling: 0, scoring: 0 };
  let wanted = r.questionsPerStep;
  for (let round = 0; wanted > 0 && round <= r.dynamicSamplingRounds; round++) {
    const { outputs, probed, sampling, scoring } = await ask(
      e,
      all.cursor,
      wanted,
      round === 0 ? e.probe : undefined,
    );
    if (probed) all.probed = probed;
    const flat = flatGroups(
      outputs.map((o) => o.rewards),
      algorithm.advantage,
    );
    if (r.dynamicSamplingRounds > 0) for (const o of outputs) o.discarded = flat.has(o.rewards.group);
    all.outputs.push(...outputs);
    all.cursor += wanted;
    all.groups += wanted;
    all.flatGroups += flat.size;
    all.sampling += sampling;
    all.scoring += scoring;
    wanted = r.dynamicSamplingRounds > 0 ? flat.size : 0;
  }
  return all;
}
