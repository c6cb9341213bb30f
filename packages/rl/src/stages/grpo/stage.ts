// The definition of the `grpo` stage.
import { defineStage, type StageFigure } from "@nsa/core";
import { missingPrograms } from "../../rewards/command.ts";
import { rolloutSections } from "../../rollouts/sections.ts";
import { policyInputs, rewardInputs, taskInputs } from "../../task/inputs.ts";
import { grpoSchema } from "./config.ts";
import { estimateGrpo } from "./estimate.ts";
import { runGrpo } from "./run.ts";

const figures: StageFigure[] = [
  { metric: "reward/mean", label: "reward", format: "figure", deviation: "reward/std" },
  {
    metric: "reward/*",
    label: "",
    format: "figure",
    deviation: "reward/*_std",
    except: ["reward/std", "reward/quarantined"],
  },
  { metric: "rollout/pass_rate", label: "pass rate", format: "percent" },
  { metric: "verdict/auc", label: "right over wrong", format: "percent" },
  { metric: "eval/pass_at_1", label: "held-out pass@1", format: "percent" },
  { metric: "eval/greedy_pass_at_1", label: "held-out, greedy", format: "percent" },
  { metric: "reward/echo_share", label: "echoes", format: "percent" },
  { metric: "kl/mean", label: "KL", format: "figure" },
  { metric: "policy/entropy", label: "entropy", format: "figure" },
  { metric: "completion/length_mean", label: "length", format: "figure" },
  { metric: "completion/terminated_length_mean", label: "length, ended", format: "figure" },
  { metric: "completion/truncated_length_mean", label: "length, cut", format: "figure" },
  { metric: "completion/truncated_share", label: "truncated", format: "percent" },
  { metric: "policy/clip_fraction_low", label: "clipped low", format: "percent" },
  { metric: "policy/clip_fraction_high", label: "clipped high", format: "percent" },
  { metric: "policy/ratio_mean", label: "ratio", format: "figure" },
  { metric: "policy/ratio_max", label: "ratio max", format: "figure" },
  { metric: "policy/sampler_difference_max", label: "sampler − trainer", format: "figure" },
  { metric: "tools/calls_mean", label: "calls", format: "figure" },
  { metric: "tools/failed_share", label: "failed calls", format: "percent" },
  { metric: "policy/sampler_ratio_outside_share", label: "ratios outside 0.9–1.1", format: "percent" },
  { metric: "policy/kept_mass_mean", label: "mass kept", format: "percent" },
  { metric: "rollout/zero_variance_share", label: "no-signal groups", format: "percent" },
  { metric: "completion/reflective_words", label: "reflective words", format: "figure" },
  { metric: "train/grad_norm", label: "grad norm", format: "figure" },
  { metric: "train/lr", label: "lr", format: "figure" },
  { metric: "perf/rollout_tokens_per_sec", label: "rollout tokens/s", format: "count" },
  { metric: "perf/update_tokens_per_sec", label: "update tokens/s", format: "count" },
  { metric: "perf/rollout_share", label: "time in rollout", format: "percent" },
  { metric: "perf/scoring_share", label: "time in scoring", format: "percent" },
  { metric: "perf/update_share", label: "time in update", format: "percent" },
];

export const grpoStage = defineStage({
  name: "grpo",
  about: "reinforcement learning: GRPO, its variants and PPO; rewards by rules, reward models and programs",
  schema: grpoSchema,
  run: runGrpo,
  estimate: estimateGrpo,
  plannedOutputs: ({ init }) => ({ checkpoint: init.checkpoint }),
  missingInputs: ({ rewards }) => missingPrograms(rewards),
  inputFiles: ({ init, task, rewards, value, iterations }) => [
    ...policyInputs(init.checkpoint),
    ...taskInputs(task),
    ...rewardInputs(rewards),
    ...(value && value.init !== "policy" ? policyInputs(value.init) : []),
    ...(iterations?.rewardModel ? [iterations.rewardModel.recipe, ...iterations.rewardModel.history] : []),
  ],
  figures,
  plots: [
    { metric: "reward/mean", title: "reward" },
    { metric: "eval/pass_at_1", title: "held-out pass@1" },
    { metric: "completion/length_mean", title: "length" },
  ],
  sections: rolloutSections,
  overview: {
    title: "Reinforcement learning",
    charts: ["Held-out accuracy", "Reward", "Parts of the reward", "Output length, tokens", "Entropy, nats"],
    result: "held-out pass@1 {eval/pass_at_1:percent}",
  },
});
