// Pairs of the policy's own outputs as training steps: of each question the output with the highest reward is preferred to the one
// with the lowest; a question whose outputs all earn the same gives none.
import {
  type BatchSource,
  ExitCode,
  type JsonlFile,
  type Metrics,
  NsaError,
  parseState,
  type StageContext,
  type StepBatch,
} from "@nsa/core";
import type { Tokenizer } from "@nsa/data";
import type { Collectives } from "@nsa/kernels";
import type { ReferencePolicy, Transformer } from "@nsa/model";
import { z } from "zod";
import type { Scorer } from "../../rewards/score.ts";
import type { ProblemSource } from "../../task/problems.ts";
import { rolloutMetrics } from "../grpo/metrics.ts";
import { type Output, type Rollout, rollout } from "../grpo/rollout.ts";
import { recordFaults, showSample } from "../grpo/watch.ts";
import type { DpoConfig } from "./config.ts";
import { pairStep } from "./offline.ts";
import type { Pair } from "./pair.ts";

export interface OnlineParts {
  policy: Transformer;
  reference: ReferencePolicy;
  tokenizer: Tokenizer;
  problems: ProblemSource;
  scorer: Scorer;
  quarantine: JsonlFile;
  /** Steps that the trainer has done. */
  stepsDone: () => number;
  /** Ranks that share the questions; all get every output. */
  collectives: Collectives;
}

/** A question's output and its place in the pair. */
interface Chosen {
  best: Output;
  worst: Output;
}

/** Rollouts of a step until one question gives a pair. */
const MAX_ROUNDS = 16;

/** Best and worst output of each question whose rewards differ; the first of equals, and outputs without a reward left out. */
export function bestAgainstWorst(outputs: readonly Output[]): Chosen[] {
  const groups = new Map<number, Output[]>();
  for (const output of outputs) {
    if (output.discarded || !Number.isFinite(output.row.reward.total)) continue;
    const group = groups.get(output.rewards.group);
    if (group) group.push(output);
    else groups.set(output.rewards.group, [output]);
  }
  return [...groups.values()].flatMap((group) => {
    const total = (output: Output) => output.row.reward.total;
    const best = group.reduce((a, b) => (total(b) > total(a) ? b : a));
    const worst = group.reduce((a, b) => (total(b) < total(a) ? b : a));
    return total(best) > total(worst) ? [{ best, worst }] : [];
  });
}

const toPair = ({ best, worst }: Chosen): Pair => ({
  place: best.row.id,
  question: String(best.rewards.group),
  prompt: best.prompt,
  chosen: { ids: best.sample.ids },
  rejected: { ids: worst.sample.ids },
});

export class OnlinePairs implements BatchSource {
  readonly name = "questions";
  readonly prefetch = 0;
  /** Of the last step's rollout. */
  metrics: Metrics = {};
  private asked = 0;

  constructor(
    private readonly parts: OnlineParts,
    private readonly config: DpoConfig,
    private readonly ctx: StageContext,
  ) {}

  save() {
    this.parts.quarantine.sync();
    return { asked: this.asked, step: this.parts.stepsDone() };
  }

  load(state: unknown): void {
    const natural = z.number().int().min(0);
    const { asked, step } = parseState("pairs", z.strictObject({ asked: natural, step: natural }), state);
    this.asked = asked;
    this.parts.quarantine.truncateToStep(step);
  }

  async *[Symbol.asyncIterator](): AsyncIterator<StepBatch> {
    for (;;) yield await this.next();
  }

  /** Throws NsaError `no_pair`, `reward_failed` (exit 3), and WorkInterrupted. */
  async next(): Promise<StepBatch> {
    const { asked } = this;
    try {
      return await this.step();
    } catch (error) {
      // A step that is not done asks its questions again, also those of rollouts without a pair.
      this.asked = asked;
      throw error;
    }
  }

  private async step(): Promise<StepBatch> {
    const { ctx, config, parts } = this;
    const step = parts.stepsDone() + 1;
    const started = performance.now();
    for (let round = 0; round < MAX_ROUNDS; round++) {
      const sampled = await this.sample(step);
      recordFaults(ctx, sampled, parts.quarantine, step);
      const chosen = bestAgainstWorst(sampled.outputs);
      appendSamples(ctx, sampled, chosen, step);
      if (chosen.length === 0) continue;
      showSample(ctx, sampled, step);
      this.metrics = {
        ...rolloutMetrics(sampled),
        "rollout/pairs": chosen.length,
        "rollout/tokens": sampled.outputs.reduce((sum, { row }) => sum + row.tokens, 0),
        "perf/rollout_seconds": (performance.now() - started) / 1000,
      };
      if (round > 0) ctx.log(`step ${step}: the rewards of ${round} rollouts gave no pair`, "warn");
      return pairStep(chosen.map(toPair), parts.reference, config.train.microBatchTokens);
    }
    throw new NsaError({
      code: "no_pair",
      what: `step ${step}: no question gave a pair in ${MAX_ROUNDS} rollouts of ${config.rollout.questionsPerStep} questions`,
      why: "the rewards of all outputs of a question are equal",
      fix: "take questions that are neither too easy nor too hard, raise rollout.group_size, or end the run earlier",
      exitCode: ExitCode.data,
    });
  }

  private async sample(step: number): Promise<Rollout> {
    const { policy: model, tokenizer, problems, scorer, collectives } = this.parts;
    const { seed, rollout: sampling } = this.config;
    // Groups count as flat where all rewards are equal, as they are under group-relative advantages.
    const config = { seed, rollout: sampling, algorithm: { advantage: "grpo" } };
    const sampled = await rollout(
      { model, tokenizer, problems, scorer, config, step, collectives },
      this.asked,
    );
    this.asked = sampled.cursor;
    return sampled;
  }
}

/** One row per output in samples.jsonl; `pair` is its side of a pair, where it is in one. */
function appendSamples(
  ctx: StageContext,
  { outputs }: Rollout,
  pairs: readonly Chosen[],
  step: number,
): void {
  const roles = new Map(
    pairs.flatMap(({ best, worst }) => [
      [best, "chosen"],
      [worst, "rejected"],
    ]),
  );
  for (const output of outputs) {
    const { reward, ...rest } = output.row;
    const pair = roles.get(output);
    ctx.samples.append({
      step,
      ...rest,
      reward: reward.total,
      parts: reward.parts,
      ...(pair ? { pair } : {}),
    });
  }
}
