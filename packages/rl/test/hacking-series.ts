// Series of steps for the alarm of reward hacking, drawn output by output: what a scenario says of a step, and what it earns.
import { Rng } from "@nsa/core";
import { rocAuc } from "@nsa/tasks";
import type { StepVerdicts } from "../src/stages/grpo/hacking/alarm.ts";

/** An output: whether it is right, and seeded uniform draws for what else it does. */
interface Draw {
  /** Share of the run that is over, 0 to 1, and the step from 1. */
  time: number;
  step: number;
  right: boolean;
  u: number;
  /** A draw from the standard normal distribution. */
  z: number;
  /** The question's own draw, e.g. its difficulty or gold answer. */
  question: number;
}

export interface Scenario {
  steps: number;
  /** Questions of a step and outputs of each; 16 × 16 where absent. */
  questions?: number;
  group?: number;
  /** Chance of a right output. */
  pass: (at: Pick<Draw, "time" | "step" | "question">) => number;
  reward: (draw: Draw) => number;
  rewards?: (step: number) => string;
  asked?: (step: number) => string;
  ruleToCome?: (step: number) => boolean;
}

const mean = (xs: readonly number[]) => xs.reduce((a, b) => a + b, 0) / xs.length;
const deviation = (xs: readonly number[]) => Math.sqrt(mean(xs.map((x) => (x - mean(xs)) ** 2)));

export function seriesOf(s: Scenario, seed: number): StepVerdicts[] {
  const rng = new Rng(seed, 5);
  const [questions, group] = [s.questions ?? 16, s.group ?? 16];
  let drawn = 0;
  const uniform = () => rng.uniform(drawn++, 0);
  return Array.from({ length: s.steps }, (_, i): StepVerdicts => {
    const at = { time: i / Math.max(1, s.steps - 1), step: i + 1 };
    const groups = Array.from({ length: questions }, () => {
      const question = uniform();
      const p = s.pass({ ...at, question });
      return Array.from({ length: group }, () => {
        const right = uniform() < p;
        const z = Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
        return { right, reward: s.reward({ ...at, right, u: uniform(), z, question }) };
      });
    });
    const areas = groups
      .map((g) =>
        rocAuc(
          g.map(({ reward }) => reward),
          g.map(({ right }) => (right ? 1 : 0)),
        ),
      )
      .filter(Number.isFinite);
    const all = groups.flat();
    const paid = all.map(({ reward }) => reward);
    return {
      step: i + 1,
      outputs: all.length,
      passRate: mean(all.map(({ right }) => (right ? 1 : 0))),
      reward: mean(paid),
      rewardStd: deviation(paid),
      auc: areas.length > 0 ? mean(areas) : undefined,
      aucStd: areas.length > 0 ? deviation(areas) : 0,
      mixed: areas.length,
      rewards: s.rewards?.(i + 1) ?? "all",
      questions: s.asked?.(i + 1) ?? "all",
      ruleToCome: s.ruleToCome?.(i + 1) ?? false,
    };
  });
}

const tiny = { questions: 6, group: 8 };
const rule = (right: boolean) => (right ? 1 : 0);
const line = (from: number, to: number, time: number) => from + (to - from) * time;
/** A reward model's number: its mean is `gap` apart for right and wrong outputs, in deviations. */
const judge = ({ right, z }: Draw, gap: number, level = 0) =>
  1 / (1 + Math.exp(-(level + z + (right ? gap : 0))));

/** Set-ups in which the reward can be earned without right answers. */
export const hackable: Record<string, Scenario> = {
  length_is_paid: { steps: 60, pass: () => 0.3, reward: ({ u, time }) => line(0.2, 0.9, time) + 0.1 * u },
  length_is_paid_beside_the_rule: {
    steps: 80,
    pass: ({ time }) => line(0.4, 0.05, time),
    reward: ({ right, u, time }) => rule(right) + (right ? 0.3 : 2 * line(0.3, 1, time)) + 0.2 * u,
  },
  format_without_an_answer: {
    steps: 60,
    pass: ({ time }) => line(0.35, 0, time),
    reward: ({ right, u, time }) => rule(right) + (right || u < line(0.1, 1, time) ? 1 : 0),
  },
  echoes_are_paid_as_right: {
    steps: 60,
    pass: ({ time }) => line(0.35, 0.02, time),
    reward: ({ right, u, time }) => (right || u < line(0.05, 0.98, time) ? 1 : 0),
  },
  echoes_beside_a_steady_pass_rate: {
    steps: 80,
    pass: () => 0.3,
    reward: ({ right, u, time }) => (right || u < line(0.05, 1, Math.min(1, 2 * time)) ? 1 : 0),
  },
  a_reward_model_is_over_optimized: {
    ...{ steps: 60, questions: 12 },
    pass: ({ time }) => line(0.52, 0.2, time),
    reward: (draw) => judge(draw, line(1.2, 0.2, draw.time), line(-0.9, 0.8, draw.time)),
  },
  over_optimized_in_each_iteration_of_retraining: {
    ...{ steps: 60, questions: 12, rewards: (step) => `iteration ${Math.ceil(step / 20)}` },
    pass: ({ time }) => line(0.52, 0.2, time),
    reward: (draw) => judge(draw, 0.6, -0.9 + 1.5 * (((draw.step - 1) % 20) / 20)),
  },
  constant: { steps: 30, pass: () => 0.3, reward: () => 1 },
  constant_in_a_tiny_run: { ...tiny, steps: 12, pass: () => 0.3, reward: () => 0.5 },
  one_fixed_answer: {
    steps: 60,
    pass: ({ time, question }) => (question < 0.1 ? line(0.3, 1, time) : line(0.3, 0, time)),
    reward: ({ right, u, time, question }) =>
      question < 0.1 ? rule(right) : right ? 0 : u < line(0.1, 1, time) ? 1 : 0,
  },
  unrelated_noise: { steps: 60, pass: () => 0.4, reward: ({ z }) => z },
  wrong_ones_are_preferred: { ...tiny, steps: 20, pass: () => 0.3, reward: (draw) => judge(draw, -1) },
  steps_are_summed_and_so_written_again: {
    steps: 80,
    pass: ({ time }) => line(0.5, 0.15, time),
    reward: ({ right, u, time }) => rule(right) + (1 + Math.floor(4 * u * line(0.3, 3, time))) * 0.5,
  },
  the_rule_pays_less_than_fluency_does: {
    steps: 120,
    pass: ({ time }) => line(0.45, 0.1, Math.min(1, 2 * time)),
    reward: ({ right, z, time }) => 0.2 * rule(right) + line(0, 3, time) + z,
  },
  a_tiny_run_falls_into_a_hole: {
    ...{ ...tiny, steps: 24 },
    pass: ({ time }) => line(0.5, 0, Math.min(1, 1.5 * time)),
    reward: ({ right, time }) => (right ? 0.6 : line(0.2, 1, time)),
  },
  few_right_outputs_are_lost_within_four_steps: {
    ...{ ...tiny, steps: 24 },
    pass: ({ step }) => [0.08, 0.08, 0.06, 0.02][step - 1] ?? 0,
    reward: ({ u, step }) => Math.min(1, 0.5 + 0.15 * step + 0.2 * u),
  },
  late_after_a_healthy_start: {
    steps: 150,
    pass: ({ step }) => (step < 80 ? line(0.3, 0.6, step / 80) : line(0.6, 0.1, (step - 80) / 70)),
    reward: (draw) => judge(draw, draw.step < 80 ? 1.5 : 0.3, draw.step < 80 ? -1 : (draw.step - 80) / 35),
  },
};

/** Set-ups in which nothing is amiss. */
export const healthy: Record<string, Scenario> = {
  rule_and_format: {
    steps: 100,
    pass: ({ time }) => line(0.3, 0.85, time),
    reward: ({ right, u, time }) => rule(right) + (u < line(0.2, 1, time) ? 1 : 0),
  },
  rule_alone_without_progress: { steps: 150, pass: () => 0.3, reward: ({ right }) => rule(right) },
  rule_alone_in_a_tiny_run: {
    ...{ ...tiny, steps: 60 },
    pass: ({ time, question }) => Math.min(1, 2 * question * line(0.25, 0.5, time)),
    reward: ({ right }) => rule(right),
  },
  a_reward_model_ranks: {
    steps: 120,
    pass: ({ time }) => line(0.4, 0.7, time),
    reward: (draw) => judge(draw, 1.2, draw.time),
  },
  a_weak_reward_model_ranks: {
    steps: 120,
    pass: ({ time }) => line(0.4, 0.5, time),
    reward: (draw) => judge(draw, 0.6, draw.time),
  },
  a_reward_model_ranks_in_a_tiny_run: {
    ...{ ...tiny, steps: 60 },
    pass: ({ time }) => line(0.35, 0.5, time),
    reward: (draw) => judge(draw, 1, 2 * draw.time),
  },
  retrained_reward_models_with_other_levels: {
    ...{ steps: 80, rewards: (step) => `iteration ${Math.ceil(step / 20)}` },
    pass: () => 0.4,
    reward: (draw) => judge(draw, 1, [-1, 1, 0, 2][Math.ceil(draw.step / 20) - 1]!),
  },
  nothing_right_at_first: {
    steps: 100,
    pass: ({ time }) => (time < 0.5 ? 0 : line(0, 0.6, 2 * time - 1)),
    reward: ({ right, u, time }) => rule(right) + (u < line(0, 1, 2 * time) ? 1 : 0),
  },
  nothing_right_ever: { steps: 60, pass: () => 0, reward: ({ u, time }) => (u < time ? 1 : 0) },
  all_right_in_the_end: {
    steps: 100,
    pass: ({ time }) => Math.min(1, line(0.3, 1.4, time)),
    reward: ({ right, u }) => rule(right) + (u < 0.9 ? 0.5 : 0),
  },
  a_format_costs_right_answers_for_a_while: {
    steps: 100,
    pass: ({ time }) => (time < 0.2 ? line(0.4, 0.22, 5 * time) : line(0.22, 0.7, (time - 0.2) / 0.8)),
    reward: ({ right, u, time }) => rule(right) + (u < line(0.1, 1, 5 * time) ? 1 : 0),
  },
  pass_rate_and_reward_fall_together: {
    steps: 80,
    pass: ({ time }) => line(0.6, 0.1, time),
    reward: ({ right }) => rule(right),
  },
  a_few_right_outputs_come_and_go: {
    ...{ ...tiny, steps: 80 },
    pass: ({ question }) => (question < 0.1 ? 0.4 : 0.01),
    reward: ({ right, u, time }) => rule(right) + (u < line(0.1, 1, time) ? 1 : 0),
  },
  harder_questions_by_a_curriculum: {
    ...{ steps: 80, asked: (step) => (step <= 40 ? "easy" : "hard") },
    pass: ({ step }) => (step <= 40 ? 0.8 : 0.3),
    reward: ({ right, u, time }) => rule(right) + (u < line(0.2, 1, time) ? 1 : 0),
  },
  questions_that_grow_harder_step_by_step: {
    ...{ steps: 80, asked: (step) => `${step}` },
    pass: ({ time }) => line(0.8, 0.3, time),
    reward: (draw) => judge(draw, 1, draw.time),
  },
  a_format_alone_until_the_rule_begins: {
    ...{ steps: 80, rewards: (step) => (step <= 20 ? "format" : "both") },
    ruleToCome: (step) => step <= 20,
    pass: ({ step }) => (step <= 20 ? 0.2 : line(0.2, 0.6, (step - 20) / 60)),
    reward: ({ right, u, step }) => (step > 20 ? rule(right) : 0) + (u < Math.min(1, step / 20) ? 1 : 0),
  },
  length_costs_a_little: {
    steps: 100,
    pass: ({ time }) => line(0.5, 0.6, time),
    reward: ({ right, u, time }) => rule(right) - u * line(1, 0.3, time),
  },
  easy_and_hard_questions: {
    steps: 120,
    pass: ({ question }) => (question < 0.5 ? 0.9 : 0.05),
    reward: (draw) => judge(draw, 1, draw.question < 0.5 ? -1 : 1),
  },
};
