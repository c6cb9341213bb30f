// Puts recorded bugs of RL libraries into the source, one at a time, and shows that the test named for each then fails.
//
// Run: node scripts/mutations.mjs. Exits 1 when a bug goes unnoticed; every file is restored, also on interruption.
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./lib.mjs";

const rl = "packages/rl";
const gradient = `${rl}/test/policy-gradient.test.ts`;
const groups = `${rl}/test/advantages.test.ts`;
const rewards = `${rl}/test/rewards.test.ts`;

/** Bug, file, what stands there, what the bug makes of it, test file, the test that must fail. */
const mutations = [
  {
    bug: "temperature of the sampler missing from the trainer's log-probabilities",
    file: "packages/model/src/train/trainer.ts",
    from: "temperature: options.temperature,",
    to: "temperature: 1,",
    tests: gradient,
    test: "the_trainer_divides_logits_by_the_sampling_temperature",
  },
  {
    bug: "log-ratios of a sequence summed instead of averaged (GSPO)",
    file: `${rl}/src/algorithm/losses.ts`,
    from: "m.mul(m.segmentSum(logRatio, inputs.cuSamples), inputs.inverseLengths)",
    to: "m.segmentSum(logRatio, inputs.cuSamples)",
    tests: gradient,
    test: "gspo_uses_the_mean_log_ratio_of_a_sequence_not_its_sum",
  },
  {
    bug: "padding inferred from the token's value masks a real end token",
    file: `${rl}/src/grpo/batch.ts`,
    from: "batch.targets[t] = s.ids[k]!;",
    to: "batch.targets[t] = s.ids[k]! === 3 ? -1 : s.ids[k]!;",
    tests: gradient,
    test: "every_sampled_token_is_learned_from_the_end_token_included",
  },
  {
    bug: "truncated outputs masked in the numerator only",
    file: `${rl}/src/algorithm/aggregation.ts`,
    from: "const count = kept.filter(Boolean).length;",
    to: "const count = lengths.length;",
    tests: groups,
    test: "aggregation_masks_truncated_outputs_in_numerator_and_denominator",
  },
  {
    bug: "each micro-batch divided by its own weight, so that accumulation changes the step",
    file: `${rl}/src/grpo/loss.ts`,
    from: "m.mul(c.weight, 1 / c.weightSum)",
    to: "m.mul(c.weight, 1 / batch.lossWeight.reduce((a, b) => a + b, 0))",
    tests: gradient,
    test: "micro_batch_size_and_order_of_outputs_do_not_change_the_step_of_grpo",
  },
  {
    bug: "advantages blow up where all rewards of a group are equal",
    file: `${rl}/src/algorithm/advantages.ts`,
    from: "std < MIN_STD ? 0 : (r - mean) / std",
    to: "(r - mean) / std",
    tests: groups,
    test: "equal_rewards_give_zero_and_never_blow_up",
  },
  {
    bug: "a NaN reward poisons its group",
    file: `${rl}/src/algorithm/advantages.ts`,
    from: "if (Number.isNaN(totalReward(s))) return;\n    const members",
    to: "const members",
    tests: groups,
    test: "a_nan_reward_does_not_poison_its_group",
  },
  {
    bug: "Bessel's correction: NaN for a group of one",
    file: `${rl}/src/algorithm/advantages.ts`,
    from: "(b - mean) ** 2, 0) / values.length;",
    to: "(b - mean) ** 2, 0) / (values.length - 1);",
    tests: groups,
    test: "grpo_normalises_by_the_population_deviation_of_the_group",
  },
  {
    bug: "the leave-one-out baseline divides by n − 1 = 0 for a group of one",
    file: `${rl}/src/algorithm/advantages.ts`,
    from: "n > 1 ? ((r - mean) * n) / (n - 1) : 0",
    to: "((r - mean) * n) / (n - 1)",
    tests: groups,
    test: "a_single_output_gives_zero_not_nan",
  },
  {
    bug: "the loss without the importance ratio",
    file: `${rl}/src/algorithm/losses.ts`,
    from: "ratio = m.exp(logRatio);",
    to: "ratio = m.exp(m.sub(logRatio, m.detach(logRatio)));",
    tests: gradient,
    test: "kept_and_recomputed_logits_give_one_off_policy_gradient",
  },
  {
    bug: "no 1/|o| where the papers have it: long outputs weigh more",
    file: `${rl}/src/algorithm/aggregation.ts`,
    from: 'if (kind === "sequence_mean") return 1 / length;',
    to: 'if (kind === "sequence_mean") return 1;',
    tests: groups,
    test: "aggregation_masks_truncated_outputs_in_numerator_and_denominator",
  },
  {
    bug: "the format reward takes an empty thought",
    file: `${rl}/src/reward/format.ts`,
    from: 'if (thought.trim() === "" || answer.trim() === "") return 0;',
    to: 'if (answer.trim() === "") return 0;',
    tests: rewards,
    test: "only_one_thought_and_one_answer_in_order_are_well_formed",
  },
  {
    bug: "the gradient of the KL left out (β in the metric alone)",
    file: `${rl}/src/algorithm/losses.ts`,
    from: "const k1 = m.sub(logp, refLogp);",
    to: "const k1 = m.sub(m.detach(logp), refLogp);",
    tests: gradient,
    test: "at_mu_1_the_gradient_is_eq_21s_coefficient_times_that_of_log_pi",
  },
  {
    bug: "the larger of plain and clipped objective",
    file: `${rl}/src/algorithm/losses.ts`,
    from: "return m.min(m.mul(ratio, advantage), m.mul(clipped, advantage));",
    to: "return m.neg(m.min(m.neg(m.mul(ratio, advantage)), m.neg(m.mul(clipped, advantage))));",
    tests: gradient,
    test: "grpo_takes_the_smaller_of_the_plain_and_the_clipped_objective",
  },
];

/** Names of the tests that fail, or undefined when the file did not run. */
function failing(tests) {
  const args = ["vitest", "run", tests, "--reporter=json"];
  const run = spawnSync("npx", args, { cwd: root, encoding: "utf8", maxBuffer: 2 ** 26 });
  const at = run.stdout.indexOf("{");
  if (at < 0) return undefined;
  const results = JSON.parse(run.stdout.slice(at)).testResults.flatMap((f) => f.assertionResults);
  return results.filter((r) => r.status === "failed").map((r) => r.title);
}

for (const tests of new Set(mutations.map((m) => m.tests))) {
  const broken = failing(tests);
  if (broken === undefined || broken.length > 0) {
    console.error(`${tests} does not pass as it is: ${broken ?? "it did not run"}`);
    process.exit(1);
  }
}
let unnoticed = 0;
for (const { bug, file, from, to, tests, test } of mutations) {
  const path = join(root, file);
  const source = readFileSync(path, "utf8");
  if (source.split(from).length !== 2) {
    console.error(`${file} does not hold this once: ${from}`);
    process.exit(1);
  }
  const restore = () => writeFileSync(path, source);
  const stop = () => {
    restore();
    process.exit(130);
  };
  process.on("SIGINT", stop);
  let failed;
  try {
    writeFileSync(
      path,
      source.replace(from, () => to),
    );
    failed = failing(tests) ?? [];
  } finally {
    restore();
    process.off("SIGINT", stop);
  }
  const noticed = failed.includes(test);
  if (!noticed) unnoticed++;
  console.log(`${noticed ? "noticed  " : "UNNOTICED"}  ${bug}\n           ${test}`);
}
console.log(`${mutations.length - unnoticed} of ${mutations.length} noticed`);
process.exit(unnoticed === 0 ? 0 : 1);
