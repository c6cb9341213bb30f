// What a run says while it goes: held-out figures, warnings of a start or a step that teaches nothing, an alarm.
import { ExitCode, type JsonlFile, type Metrics, NsaError, type StageContext } from "@nsa/core";
import type { EvaluationResult } from "./evaluate.ts";
import type { UpdateBatch } from "./learn.ts";
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

/** Warns when many answers are no values, and when the first policy solves so little, or so much, that there is little to learn from. */
export function preflight(ctx: StageContext, result: EvaluationResult): void {
  if (result.echoes >= ECHOES)
    ctx.log(
      `${percent(result.echoes)} of the first policy's answers repeat the question's expression or leave the arithmetic undone; unless task.answer_form is any they count as wrong`,
      "warn",
    );
  const rate = result.passAtK[1]!.mean;
  if (rate >= 0.1 && rate <= 0.7) return;
  const why = rate < 0.1 ? "too few right answers to learn from" : "too few wrong ones to learn from";
  ctx.log(`the first policy solves ${percent(rate)} of samples, outside 10–70 %: ${why}`, "warn");
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

/** Says when a step taught nothing, and why. */
export function warnOfStep(
  ctx: StageContext,
  rollout: Rollout,
  updateBatch: UpdateBatch,
  step: number,
): void {
  if (updateBatch.samples.length === 0) {
    const discarded = rollout.outputs.every((o) => o.discarded);
    const why = discarded ? "all groups were discarded" : "all outputs were quarantined or masked";
    ctx.log(`step ${step}: ${why}, so nothing was learned`, "warn");
  } else if (rollout.flatGroups === rollout.groups) {
    ctx.log(`step ${step}: all rewards are equal inside every group, so nothing was learned`, "warn");
  }
}

/** Training accuracy far above held-out accuracy: the policy may be gaming the reward or repeating its questions. */
export function warnTrainHeldOutGap(
  ctx: StageContext,
  passRate: number | undefined,
  result: EvaluationResult,
): void {
  const heldOut = result.passAtK[1]!.mean;
  if (passRate === undefined || passRate - heldOut <= 0.2) return;
  ctx.log(
    `training accuracy ${percent(passRate)} and held-out accuracy ${percent(heldOut)} differ by more than 20 points`,
    "warn",
  );
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
      fix: "mend the reward; the outputs are in quarantine.jsonl",
      exitCode: ExitCode.data,
    });
  }
  ctx.log(`step ${step}: ${count}, the first of ${first!.id}: ${first!.reward.fault}`, "warn");
}
