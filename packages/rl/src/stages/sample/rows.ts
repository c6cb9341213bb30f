// Rows of `nsa sample`: a sampled output with what it was judged by, and the verdict on it.
import { type CallRecord, sampledMask, type Trajectory, wholeIds } from "@nsa/eval";
import { type Gold, gradeProblem } from "@nsa/tasks";
import type { Reward } from "../../rewards/score.ts";
import type { AskedProblem } from "../../task/problems.ts";

/** `unread`: it has no answer, or none that can be compared with the gold. */
export type SampleVerdict = "right" | "wrong" | "unread";

/** What is needed to grade another output of the same question, under the names of a row. */
export interface GoldFields {
  id: string;
  /** Part of a mixed task. */
  part?: string;
  question: string;
  gold: string;
  answer_form?: Gold["answerForm"];
  options?: Gold["options"];
  countdown?: Gold["countdown"];
  tests?: Gold["tests"];
  starter?: Gold["starter"];
  repository?: Gold["repository"];
  judge?: Gold["judge"];
}

/** A row of samples.jsonl. */
export interface SampleRow extends GoldFields {
  /** Number of the question in the run, from 1: rows behind a checkpoint's are cut off on resume. */
  step: number;
  /** Number of the output among those of its question, from 0. */
  output: number;
  prompt: string;
  /** What it was sampled from. */
  prompt_ids: readonly number[];
  /** The text of these where examples stood in front of the question; `prompt` is the question's own. */
  shown?: string;
  ids: readonly number[];
  /** The sampler's full-vocabulary log-probability of each id, nats; null where a tool wrote it. */
  logp: readonly (number | null)[];
  /** Where tools were called: 1 for each id that was sampled, 0 for those that a tool wrote. */
  mask?: readonly number[];
  /** The calls, in order. */
  calls?: readonly CallRecord[];
  completion: string;
  finish: "stop" | "length";
  /** Null where a reward failed; then there is a `fault`. */
  reward: number | null;
  /** Unweighted value of each reward. */
  parts: Record<string, number>;
  /** Weighted rewards of single steps, where a reward gives any; `end` counts characters of the completion. */
  steps?: Reward["steps"];
  verdict: SampleVerdict;
  fault?: string;
}

/** The problem's fields that decide what is right. */
export function goldFields({ id, part, question, answer, ...gold }: AskedProblem): GoldFields {
  return {
    id,
    ...(part === undefined ? {} : { part }),
    question,
    gold: answer,
    ...(gold.answerForm ? { answer_form: gold.answerForm } : {}),
    ...(gold.options ? { options: gold.options } : {}),
    ...(gold.countdown ? { countdown: gold.countdown } : {}),
    ...(gold.tests ? { tests: gold.tests } : {}),
    ...(gold.starter ? { starter: gold.starter } : {}),
    ...(gold.repository ? { repository: gold.repository } : {}),
    ...(gold.judge === undefined ? {} : { judge: gold.judge }),
  };
}

/** The gold of a row, as the grader takes it. */
export function goldOf(row: GoldFields): Gold {
  return {
    answer: row.gold,
    question: row.question,
    ...(row.answer_form ? { answerForm: row.answer_form } : {}),
    ...(row.options ? { options: row.options } : {}),
    ...(row.countdown ? { countdown: row.countdown } : {}),
    ...(row.tests ? { tests: row.tests } : {}),
    ...(row.starter ? { starter: row.starter } : {}),
    ...(row.repository ? { repository: row.repository } : {}),
    ...(row.judge === undefined ? {} : { judge: row.judge }),
  };
}

const VERDICTS = { correct: "right", wrong: "wrong", unknown: "unread" } as const;

/** The grader's verdict; of a program, that of its unit tests, which the reward `code` has run. */
export function verdictOf(completion: string, gold: Gold, { parts }: Reward): SampleVerdict {
  if (!gold.tests) return VERDICTS[gradeProblem(completion, gold).verdict];
  if (parts.code === undefined) return "unread";
  return parts.code === 1 ? "right" : "wrong";
}

/** Ids that the model sampled. */
export const tokensOf = ({ ids, mask }: Pick<SampleRow, "ids" | "mask">): number =>
  mask ? mask.reduce((n, own) => n + own, 0) : ids.length;

/** Log-probabilities by id; where tools were called, also the mask of ids that were sampled, and the calls. */
function toolFields(sample: Trajectory): Pick<SampleRow, "logp" | "mask" | "calls"> {
  const { logp, inserts, calls } = sample;
  if (!inserts) return { logp };
  const mask = Array.from(sampledMask(sample));
  let next = 0;
  return { logp: mask.map((own) => (own ? logp[next++]! : null)), mask, ...(calls ? { calls } : {}) };
}

export function sampleRow(
  step: number,
  output: number,
  asked: AskedProblem & { shown?: string },
  sample: Trajectory,
  completion: string,
  reward: Reward,
): SampleRow {
  const { parts, steps, fault, total } = reward;
  return {
    step,
    output,
    ...goldFields(asked),
    prompt: asked.text,
    prompt_ids: asked.prompt,
    ...(asked.shown === undefined ? {} : { shown: asked.shown }),
    ids: wholeIds(sample),
    ...toolFields(sample),
    completion,
    finish: sample.finish,
    reward: fault === undefined ? total : null,
    parts,
    ...(steps ? { steps } : {}),
    verdict: verdictOf(completion, asked, reward),
    ...(fault === undefined ? {} : { fault }),
  };
}
