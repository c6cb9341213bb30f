// Puts recorded bugs of RL libraries into the source, one at a time, and shows that the test named for each then fails.
//
// Run: node scripts/mutations.mjs [part of a bug's name]. Exits 1 when a bug goes unnoticed; every file is restored, also on interruption.
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./lib.mjs";

/** A bug that hangs its test is noticed, too. */
const LIMIT_MS = 300_000;

const rl = "packages/rl";
const gradient = `${rl}/test/policy-gradient.test.ts`;
const groups = `${rl}/test/advantages.test.ts`;
const rewards = `${rl}/test/rewards.test.ts`;
const runs = `${rl}/test/grpo.test.ts`;
const grader = "packages/eval/test/grader.test.ts";

/** Bug, file, what stands there, what the bug makes of it, test file, the test that must fail. */
const mutations = [
  {
    bug: "a sum written again is paid as its answer",
    file: "packages/eval/src/grader/grade.ts",
    from: "else if (!hasForm(form, y, x))",
    to: "else if (form === undefined)",
    tests: rewards,
    test: "accuracy_pays_a_value_and_not_the_task_written_again",
  },
  {
    bug: "the last side of a false equation counts",
    file: "packages/eval/src/grader/grade.ts",
    from: 'if (claims && hasFalseClaim(y, form !== "any"))',
    to: "if (claims && y === undefined)",
    tests: rewards,
    test: "accuracy_pays_a_value_and_not_the_task_written_again",
  },
  {
    bug: "temperature of the sampler missing from the trainer's log-probabilities",
    file: "packages/model/src/train/micro-step.ts",
    from: "temperature: options.temperature,",
    to: "temperature: 1,",
    tests: gradient,
    test: "the_trainer_divides_logits_by_the_sampling_temperature",
  },
  {
    bug: "top-p, top-k and min-p renormalise the sampler's log-probabilities but not the trainer's",
    file: `${rl}/src/grpo/learn.ts`,
    from: "samplerLogp: sample.logp,",
    to: "samplerLogp: sample.logp.map((x, t) => x - sample.keptLogmass[t]!),",
    tests: runs,
    test: "truncated_sampling_and_temperature_leave_the_trainers_log_probabilities_those_of_the_sampler",
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
    bug: "only one of several end tokens ends an output",
    file: `${rl}/src/grpo/rollout.ts`,
    from: "...splitStops(tokenizer, r.stop),",
    to: "stopIds: [tokenizer.eosId],",
    tests: runs,
    test: "a_second_end_token_ends_an_output_and_is_learned",
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
    bug: "a length bias of 1/|o| in Dr. GRPO's fixed length",
    file: `${rl}/src/algorithm/aggregation.ts`,
    from: 'kind === "token_mean" ? 1 : 1 / options.maxTokens',
    to: 'kind === "token_mean" ? 1 : 1 / length',
    tests: groups,
    test: "aggregation_masks_truncated_outputs_in_numerator_and_denominator",
  },
  {
    bug: "a box before </think> is credited",
    file: "packages/eval/src/grader/extract.ts",
    from: 'completion : completion.slice(end + "</think>".length);',
    to: "completion : completion;",
    tests: grader,
    test: "only_the_final_answer_after_the_thought_counts",
  },
  {
    bug: "an intermediate result is credited where no answer is given",
    file: "packages/eval/src/grader/extract.ts",
    from: 'options.fallback ?? "none"',
    to: 'options.fallback ?? "any"',
    tests: grader,
    test: "the_last_marked_answer_counts_and_parts_of_one_answer_are_joined",
  },
  {
    bug: "A or B or C is credited for A",
    file: "packages/eval/src/grader/grade.ts",
    from: "if (/\\b(?:or|and)\\b|[,/]\\s*\\(?[A-J]\\)?(?![a-z])/i.test(head.slice(1))) return undefined;",
    to: "",
    tests: grader,
    test: "near_misses_are_not_credited",
  },
  {
    bug: "text of the model is run to compare it",
    file: "packages/eval/src/grader/grade.ts",
    from: 'if (answer.trim() === "") return { verdict: "unknown", why: "the answer is empty" };',
    to: 'try { if (String(Function("return " + answer)()) === gold) return { verdict: "correct", why: "" }; } catch {}',
    tests: rewards,
    test: "model_text_is_never_run",
  },
  {
    bug: "a tower of powers is computed and hangs the grader",
    file: "packages/eval/src/grader/rational.ts",
    from: "if (size > BigInt(MAX_BITS) || bits * Number(size) > 2 * MAX_BITS)",
    to: "if (bits < 0)",
    tests: grader,
    test: "unreadable_and_endless_answers_are_unknown_within_milliseconds",
  },
  {
    bug: "a resumed run keeps the rows of the steps it does again",
    file: `${rl}/src/grpo/run.ts`,
    from: "ctx.rewind(step);",
    to: "",
    tests: runs,
    test: "a_stopped_and_resumed_run_equals_the_uninterrupted_one_bit_for_bit",
  },
  {
    bug: "a resumed run forgets how many questions were asked",
    file: `${rl}/src/grpo/run.ts`,
    from: "stateful: [trainer, cursor]",
    to: "stateful: [trainer]",
    tests: runs,
    test: "a_stopped_and_resumed_run_equals_the_uninterrupted_one_bit_for_bit",
  },
  {
    bug: "a resumed run holds on to the first reference instead of the one in force",
    file: `${rl}/src/grpo/run.ts`,
    from: "references.at(step, algorithm.referenceEvery) ?? init",
    to: "init",
    tests: runs,
    test: "a_reference_taken_long_before_the_kill_is_found_again",
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
    file: `${rl}/src/algorithm/kl.ts`,
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

/** Names of the tests that fail, all or the one named, or undefined when the file did not run. */
function failing(tests, test) {
  const args = ["run", tests, "--reporter=json", ...(test ? ["-t", `^${test}$`] : [])];
  const run = spawnSync(join(root, "node_modules/.bin/vitest"), args, {
    cwd: root,
    encoding: "utf8",
    maxBuffer: 2 ** 26,
    timeout: LIMIT_MS,
    killSignal: "SIGKILL",
  });
  if (run.error) return test ? [test] : undefined;
  const at = run.stdout.indexOf("{");
  if (at < 0) return undefined;
  const results = JSON.parse(run.stdout.slice(at)).testResults.flatMap((f) => f.assertionResults);
  return results.filter((r) => r.status === "failed").map((r) => r.title);
}

const only = process.argv[2];
const chosen = mutations.filter((m) => !only || m.bug.includes(only));
for (const tests of new Set(chosen.map((m) => m.tests))) {
  const broken = failing(tests);
  if (broken === undefined || broken.length > 0) {
    console.error(`${tests} does not pass as it is: ${broken ?? "it did not run"}`);
    process.exit(1);
  }
}
let unnoticed = 0;
for (const { bug, file, from, to, tests, test } of chosen) {
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
    failed = failing(tests, test) ?? [];
  } finally {
    restore();
    process.off("SIGINT", stop);
  }
  const noticed = failed.includes(test);
  if (!noticed) unnoticed++;
  console.log(`${noticed ? "noticed  " : "UNNOTICED"}  ${bug}\n           ${test}`);
}
console.log(`${chosen.length - unnoticed} of ${chosen.length} noticed`);
process.exit(unnoticed === 0 ? 0 : 1);
