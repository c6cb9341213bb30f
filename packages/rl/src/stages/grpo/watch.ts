// Messages of a run: held-out figures, warnings of a start that teaches little, outputs that could not be scored.
import { ExitCode, type JsonlFile, type Metrics, NsaError, type StageContext } from "@nsa/core";
import { meanStd } from "../../algorithm/advantages/kind.ts";
import type { EvaluationResult } from "./evaluate.ts";
import type { Rollout } from "./rollout.ts";

/** Held-out figures as metrics: `eval/pass_at_8`, its interval, and the parts of a mixed task. */
export function evaluationMetrics(r: EvaluationResult): Metrics {
  const metrics: Metrics = { "eval/unparsed": r.unparsed, "eval/echo_share": r.echoes };
  if (r.greedy) {
    const { mean, low, high } = r.greedy.passAt1;
    metrics["eval/greedy_pass_at_1"] = mean;
    metrics["eval/greedy_pass_at_1_low"] = low;
    metrics["eval/greedy_pass_at_1_high"] = high;
    metrics["eval/greedy_echo_share"] = r.greedy.echoes;
    for (const [part, share] of Object.entries(r.greedy.parts))
      metrics[`eval/${part}/greedy_pass_at_1`] = share;
  }
  for (const [name, curve] of [
    ["pass", r.passAtK],
    ["maj", r.majAtK],
  ] as const) {
    for (const [k, { mean, low, high }] of Object.entries(curve)) {
      // Maj@1 is Pass@1.
      if (name === "maj" && k === "1") continue;
      metrics[`eval/${name}_at_${k}`] = mean;
      metrics[`eval/${name}_at_${k}_low`] = low;
      metrics[`eval/${name}_at_${k}_high`] = high;
    }
  }
  const most = Math.max(...Object.keys(r.passAtK).map(Number));
  for (const [part, { passAt1, passAtMost }] of Object.entries(r.parts)) {
    metrics[`eval/${part}/pass_at_1`] = passAt1;
    metrics[`eval/${part}/pass_at_${most}`] = passAtMost;
  }
  return metrics;
}

const percent = (x: number) => `${(100 * x).toFixed(1)} %`;

/** Share of echoes from which on a person should see them. */
const ECHOES = 0.05;
/** Share of groups with right and wrong outputs below which there is little to learn from. */
const MIXED_SHARE = 0.2;
const QUESTIONS = 8;

/**
 * Share of groups of `groupSize` outputs that would have right and wrong ones, by the shares of right samples of the questions: its mean,
 * and the mean with two standard errors of it.
 */
export function mixedGroupShare(rates: readonly number[], groupSize: number): { mean: number; high: number } {
  const { mean, std } = meanStd(rates.map((p) => 1 - p ** groupSize - (1 - p) ** groupSize));
  return { mean, high: mean + (2 * std) / Math.sqrt(rates.length) };
}

/** Warns when the first policy solves so little, or so much, that few groups would teach anything; remarks on many echoes. */
export function preflight(ctx: StageContext, result: EvaluationResult, groupSize: number): void {
  if (result.echoes >= ECHOES)
    ctx.log(
      `${percent(result.echoes)} of the first policy's answers repeat the question's expression or leave the arithmetic undone; unless task.answer_form is any they count as wrong`,
    );
  const mixed = mixedGroupShare(result.rates, groupSize);
  // A few questions that were sampled a few times are no evidence.
  if (mixed.high >= MIXED_SHARE || result.rates.length < QUESTIONS) return;
  const rate = result.passAtK[1]!.mean;
  const why = rate < 0.5 ? "too few right answers to learn from" : "too few wrong ones to learn from";
  ctx.log(
    `the first policy solves ${percent(rate)} of held-out samples, so about ${percent(mixed.mean)} of groups of ${groupSize} outputs have right and wrong ones: ${why}`,
    "warn",
  );
}

/** One of the step's outputs for the screen, another question's each step. */
export function showSample(ctx: StageContext, rollout: Rollout, step: number): void {
  const { question, completion, reward } = rollout.outputs[(step * 17) % rollout.outputs.length]!.row;
  const { total, parts } = reward;
  ctx.emit({
    type: "sample",
    step,
    prompt: question,
    text: completion,
    reward: total,
    parts,
    recorded: true,
  });
}

/** Keeps outputs that could not be scored, and names the first. Throws `reward_failed` (exit 3) when it is all of them. */
export function recordFaults(ctx: StageContext, rollout: Rollout, quarantine: JsonlFile, step: number): void {
  const faulty = rollout.outputs.map((o) => o.row).filter((row) => row.reward.fault !== undefined);
  if (faulty.length === 0) return;
  for (const { id, completion, reward } of faulty)
    quarantine.append({ step, id, completion, fault: reward.fault });
  const [first] = faulty;
  const count = `${faulty.length} of ${rollout.outputs.length} outputs could not be scored`;
  if (faulty.length === rollout.outputs.length) {
    throw new NsaError({
      code: "reward_failed",
      what: `step ${step}: ${count}`,
      why: first!.reward.fault!,
      fix: "correct the reward; the outputs are in quarantine.jsonl",
      exitCode: ExitCode.data,
    });
  }
  ctx.log(`step ${step}: ${count}, the first of ${first!.id}: ${first!.reward.fault}`, "warn");
}
