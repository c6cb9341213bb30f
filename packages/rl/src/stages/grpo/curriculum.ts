// The curriculum of a recipe: which questions are asked at a step and how long outputs may be, as a function of the step alone.
//
// Entries hold from their step on; what one does not set stays as the entry before it, or the recipe, has it. An entry with
// `blend: linear` moves evenly from its own values to the next entry's. There is no state between steps, so a resumed run needs none.
import { ExitCode, type Metrics, NsaError } from "@nsa/core";
import { z } from "zod";
import { mixPart, partName, type QuestionPlan, type RlTask } from "../../task/config.ts";

const count = z.number().int().min(1);
const share = z.number().min(0).max(1);

export const curriculumSchema = z
  .array(
    z.strictObject({
      fromStep: count.describe("First step at which the entry holds"),
      maxTokens: count.optional().describe("Longest output, tokens; at most rollout.max_tokens"),
      mix: z
        .array(mixPart.extend({ share: z.number().min(0).describe("Weight of this part; 0 leaves it out") }))
        .optional()
        .describe("Shares of the parts of task.mix; parts that are not named are not asked"),
      passRate: z
        .strictObject({
          min: share.default(0).describe("Smallest pass rate"),
          max: share.default(1).describe("Largest pass rate"),
        })
        .optional()
        .describe("task.file: only the problems whose `pass_rate` lies in this range are asked"),
      blend: z
        .enum(["none", "linear"])
        .default("none")
        .describe("linear: moves evenly from this entry's values to those of the next one"),
    }),
  )
  .default([])
  .describe("Questions and lengths of outputs by schedule; held-out questions stay those of `task`");

type Entry = z.output<typeof curriculumSchema>[number];

interface WithCurriculum {
  steps: number;
  curriculum: Entry[];
  task: RlTask;
  rollout: { maxTokens: number };
}

/** What holds at a step. `mix`: shares of the parts of task.mix, in its order, that sum to 1. */
export interface CurriculumState extends QuestionPlan {
  maxTokens?: number;
}

const normalized = (weights: readonly number[]) => {
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((w) => w / sum);
};

/** An entry's values with those that it does not set. */
function valuesAt({ curriculum, task, rollout }: WithCurriculum, last: number): Required<CurriculumState> {
  const values: Required<CurriculumState> = {
    maxTokens: rollout.maxTokens,
    mix: normalized(task.mix.map((part) => part.share)),
    passRate: task.passRate ?? { min: 0, max: 1 },
  };
  for (const { maxTokens, mix, passRate } of curriculum.slice(0, last + 1)) {
    if (maxTokens !== undefined) values.maxTokens = maxTokens;
    if (mix)
      values.mix = normalized(
        task.mix.map((part) => mix.find((m) => partName(m) === partName(part))?.share ?? 0),
      );
    if (passRate) values.passRate = passRate;
  }
  return values;
}

const between = (a: number, b: number, t: number) => a + (b - a) * t;

/** The state at a step, with what the curriculum sets anywhere; empty without a curriculum. */
export function curriculumAt(config: WithCurriculum, step: number): CurriculumState {
  const { curriculum } = config;
  if (curriculum.length === 0) return {};
  const at = curriculum.findLastIndex(({ fromStep }) => fromStep <= step);
  const [own, next] = [valuesAt(config, at), valuesAt(config, at + 1)];
  const entry = curriculum[at];
  const to = curriculum[at + 1];
  const t = entry?.blend === "linear" && to ? (step - entry.fromStep) / (to.fromStep - entry.fromStep) : 0;
  const sets = (key: "maxTokens" | "mix" | "passRate") => curriculum.some((e) => e[key] !== undefined);
  return {
    ...(sets("maxTokens") ? { maxTokens: Math.round(between(own.maxTokens, next.maxTokens, t)) } : {}),
    ...(sets("mix") ? { mix: own.mix.map((share, i) => between(share, next.mix[i]!, t)) } : {}),
    ...(sets("passRate")
      ? {
          passRate: {
            min: between(own.passRate.min, next.passRate.min, t),
            max: between(own.passRate.max, next.passRate.max, t),
          },
        }
      : {}),
  };
}

/** The recipe as it is at a step: with the step's longest output. */
export function recipeAt<T extends WithCurriculum>(config: T, step: number): T {
  const { maxTokens } = curriculumAt(config, step);
  return maxTokens === undefined ? config : { ...config, rollout: { ...config.rollout, maxTokens } };
}

export function curriculumMetrics(config: WithCurriculum, step: number): Metrics {
  const { maxTokens, mix, passRate } = curriculumAt(config, step);
  const metrics: Metrics = {};
  if (maxTokens !== undefined) metrics["curriculum/max_tokens"] = maxTokens;
  for (const [i, part] of (mix ?? []).entries())
    metrics[`curriculum/share_${partName(config.task.mix[i]!)}`] = part;
  if (passRate) metrics["curriculum/pass_rate_min"] = passRate.min;
  if (passRate) metrics["curriculum/pass_rate_max"] = passRate.max;
  return metrics;
}

type Fault = [what: string, why: string, fix: string];

function faultOfEntry(e: Entry, { task, rollout }: WithCurriculum): Fault | undefined {
  if (e.maxTokens === undefined && !e.mix && !e.passRate)
    return ["sets nothing", "it has no max_tokens, mix or pass_rate", "set one of them, or remove the entry"];
  if (e.maxTokens !== undefined && e.maxTokens > rollout.maxTokens)
    return [
      `max_tokens ${e.maxTokens}`,
      `rollout.max_tokens is ${rollout.maxTokens}, for which memory is planned and held-out questions are sampled`,
      `raise rollout.max_tokens to ${e.maxTokens}`,
    ];
  const parts = task.mix.map(partName);
  const unknown = e.mix?.find((m) => !parts.includes(partName(m)));
  if (unknown)
    return [
      `mix with ${partName(unknown)}`,
      parts.length > 0 ? `the parts of task.mix are ${parts.join(", ")}` : "the task has no `mix`",
      "name all parts in task.mix, with the shares that they have in the whole",
    ];
  if (e.mix && new Set(e.mix.map(partName)).size < e.mix.length)
    return ["mix", "it names a part twice", "name each part once"];
  if (e.mix && !e.mix.some((m) => m.share > 0))
    return ["mix", "all its shares are 0, so there is nothing to ask", "give a part a share above 0"];
  if (e.passRate && task.file === "")
    return ["pass_rate", "only the records of a task.file have pass rates", "name a pool.jsonl as task.file"];
  if (e.passRate && e.passRate.min > e.passRate.max)
    return ["pass_rate", `min ${e.passRate.min} is above max ${e.passRate.max}`, "exchange them"];
  return undefined;
}

/** Throws NsaError `curriculum_invalid` (exit 2), naming the entry by its number from 1. */
export function checkCurriculum(config: WithCurriculum): void {
  const { curriculum, steps, task } = config;
  const refuse = (i: number, [what, why, fix]: Fault) =>
    new NsaError({
      code: "curriculum_invalid",
      what: `curriculum, entry ${i + 1}: ${what}`,
      why,
      fix,
      exitCode: ExitCode.usage,
    });
  if (curriculum.some(({ mix }) => mix) && new Set(task.mix.map(partName)).size < task.mix.length)
    throw refuse(0, ["mix", "task.mix names a part twice, so its shares have no owner", "join the two"]);
  for (const [i, entry] of curriculum.entries()) {
    const { fromStep, blend } = entry;
    const before = curriculum[i - 1]?.fromStep ?? 0;
    const last = i === curriculum.length - 1;
    const fault: Fault | undefined =
      fromStep <= before
        ? [
            `from_step ${fromStep}`,
            `the entry before it begins at ${before}`,
            "order the entries by from_step",
          ]
        : fromStep > steps
          ? [`from_step ${fromStep}`, `the run has ${steps} steps`, "lower it, or raise steps"]
          : blend === "linear" && last
            ? [
                "blend linear",
                "it is the last entry, so there is nothing to move to",
                "add an entry, or remove blend",
              ]
            : faultOfEntry(entry, config);
    if (fault) throw refuse(i, fault);
  }
}
