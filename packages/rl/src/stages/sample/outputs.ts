// Outputs for the questions of a task: a batch of questions is sampled together, scored and graded.

import { ExitCode, NsaError } from "@nsa/core";
import { generateTrajectories, type Trajectory, wholeIds, withToolStops } from "@nsa/eval";
import { splitStops } from "@nsa/tasks";
import { shareItemsLater } from "@nsa/train";
import type { Scored } from "../../rewards/kind.ts";
import { labelsOfRewards } from "../../rewards/score.ts";
import type { AskedProblem, ProblemSource } from "../../task/problems.ts";
import { FAMILY_QUESTIONS } from "../../task/size.ts";
import type { SampleConfig } from "./config.ts";
import { keepOf } from "./keep.ts";
import { goldFields, type SampleRow, sampleRow, tokensOf } from "./rows.ts";
import { BETWEEN_SHOTS, shotsOf } from "./shots.ts";
import { addTally, outputMetrics, type Tally, tallyQuestion } from "./tally.ts";
import type { Batch, Sampler, Work } from "./work.ts";

/** Request numbers are 32-bit; the upper half belongs to roll-outs from steps. */
export const MAX_OUTPUTS = 2 ** 30;

/** Number of questions of the run; more than the task has would only be the same ones again. */
function questionCount(problems: ProblemSource, { prompts }: SampleConfig, log: Sampler["log"]): number {
  const available = prompts.split === "train" ? problems.trainCount : problems.heldOutCount;
  const wanted = prompts.questions ?? (Number.isFinite(available) ? available : FAMILY_QUESTIONS);
  if (wanted > available)
    log(`prompts.questions is ${wanted}, but the task has ${available}: each is asked once`, "warn");
  return Math.min(wanted, available);
}

/** Throws NsaError `sample_too_many`, `sample_tests_unscored` (exit 2). */
function check(first: AskedProblem, outputs: number, { rewards }: SampleConfig): void {
  const refuse = (code: string, what: string, why: string, fix: string) => {
    throw new NsaError({ code, what, why, fix, exitCode: ExitCode.usage });
  };
  if (outputs > MAX_OUTPUTS)
    refuse(
      "sample_too_many",
      `${outputs} outputs in one run`,
      `the random numbers of an output are keyed by its number, which stays below ${MAX_OUTPUTS}`,
      "sample in several runs with seeds of their own",
    );
  if (first.tests && !rewards.some(({ kind }) => kind === "code"))
    refuse(
      "sample_tests_unscored",
      `problem ${first.id} has unit tests, and no reward of the recipe runs them`,
      "only its tests decide whether a program is right",
      "add {kind: code} to rewards",
    );
}

/** A row of pool.jsonl, in the shape of a `task.file`. */
function poolRow(asked: AskedProblem, rows: readonly SampleRow[], step: number): object {
  const { gold, ...fields } = goldFields(asked);
  const right = rows.filter(({ verdict }) => verdict === "right").length;
  return {
    step,
    ...fields,
    answer: gold,
    n: rows.length,
    right,
    unread: rows.filter(({ verdict }) => verdict === "unread").length,
    pass_rate: right / rows.length,
    tokens_mean: rows.reduce((sum, row) => sum + tokensOf(row), 0) / rows.length,
  };
}

/** The questions of the recipe's task as work in batches. */
export function taskWork(sampler: Sampler, problems: ProblemSource): Work {
  const { config, tokenizer, engine, scorer, tools, collectives } = sampler;
  const { sampling, prompts, keep } = config;
  const { n, maxTokens } = sampling;
  const total = questionCount(problems, config, sampler.log);
  const shots = shotsOf(config, (text) => tokenizer.encode(text));
  const plain = (i: number) => (prompts.split === "train" ? problems.train(i) : problems.heldOut(i));
  const problem = (i: number) => shots(plain(i), i);
  const labels = labelsOfRewards(config.rewards);
  check(problem(0), total * n, config);

  const request = (asked: AskedProblem, question: number) => ({
    problem: asked,
    prompt: asked.prompt,
    n,
    maxTokens,
    sampling,
    seed: config.seed,
    id: question * n,
    // Behind examples, a model that goes on to the next question has ended its answer.
    ...splitStops(tokenizer, prompts.shots > 0 ? [...sampling.stop, BETWEEN_SHOTS] : sampling.stop),
  });

  async function sample(own: readonly ReturnType<typeof request>[]): Promise<Trajectory[][]> {
    if (!tools) return engine.generate(own);
    const asking = own.map((r) => withToolStops(r, tools));
    return await generateTrajectories(engine, asking, tools);
  }

  async function batch(first: number, count: number): Promise<Batch | undefined> {
    const asked = Array.from({ length: count }, (_, q) => problem(first + q));
    const requests = asked.map((a, q) => request(a, first + q));
    const groups = await shareItemsLater(collectives, requests, sample);
    if (sampler.interrupted()) return undefined;
    const flat = groups.flatMap((group, q) =>
      group.map((sample, output) => ({
        ...{ q, output, sample, asked: asked[q]! },
        completion: tokenizer.decode(wholeIds(sample)),
      })),
    );
    const rewards = await scorer.score(
      flat.map(({ asked: { prompt: promptIds, text, ...own }, sample, completion }): Scored => {
        const ids = wholeIds(sample);
        return { ...own, prompt: text, promptIds, ids, completion, tokens: sample.ids.length, maxTokens };
      }),
      { step: first + 1, group: flat.map(({ q }) => first + q) },
    );
    const rows = flat.map(({ q, output, asked: a, sample, completion }, i) =>
      sampleRow(first + q + 1, output, a, sample, completion, rewards[i]!),
    );
    const written: SampleRow[] = [];
    const pool: object[] = [];
    const tally: Tally = {};
    for (const [q, a] of asked.entries()) {
      const own = rows.slice(q * n, (q + 1) * n);
      const { kept, left } = keepOf(own, keep);
      written.push(...kept);
      pool.push(poolRow(a, own, first + q + 1));
      addTally(tally, tallyQuestion(own, kept.length, labels));
      addTally(tally, left);
    }
    return { rows: written, pool, tally, faults: rows.filter((row) => row.fault !== undefined) };
  }

  return { total, batch, metrics: outputMetrics };
}
