// GRPO from end to end on a tiny base model: it learns, resumes bit for bit, and every variation does what it says.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readJsonl, type StageEvent } from "@nsa/core";
import { modelFiles, Tokenizer } from "@nsa/data";
import { Device } from "@nsa/kernels";
import { loadModel, saveCheckpoint } from "@nsa/model";
import { afterAll, beforeAll, expect, test } from "vitest";
import { grpoRuns, makeBase, stepMetrics, warningsOf, weightsOf } from "./grpo-fixture.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-grpo-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let base = "";
beforeAll(async () => {
  base = await makeBase(root);
}, 120_000);
const { run } = grpoRuns(root, () => base);
const rollout = { questions_per_step: 6, group_size: 8, max_tokens: 24 };
const mean = (xs: number[]) => xs.reduce((a, b) => a + b, 0) / xs.length;

test("rewards_rise_and_the_log_probabilities_of_sampler_and_trainer_agree", async () => {
  const { events } = await run("learn", { steps: 25, checkpoint: { every: 25 } });
  const steps = stepMetrics(events);
  const rewards = steps.map((m) => m["reward/mean"]!);
  expect(mean(rewards.slice(-5))).toBeGreaterThan(mean(rewards.slice(0, 5)) + 0.2);
  for (const m of steps) {
    expect(m["policy/sampler_difference_max"]).toBeLessThan(1e-4);
    expect(m["policy/ratio_mean"]).toBeCloseTo(1, 6);
    expect(Math.abs(m["train/loss"]!)).toBeLessThan(1);
    const shares = ["rollout", "scoring", "update"].map((part) => m[`perf/${part}_share`]!);
    expect(shares.reduce((a, b) => a + b)).toBeCloseTo(1, 9);
  }
});

test("a_checkpoint_carries_the_ends_of_text_and_the_template_of_its_base", async () => {
  const stated = join(root, "stated");
  const files = {
    ...modelFiles(base),
    "generation_config.json": '{"eos_token_id":[0,5],"temperature":0.6}',
    "chat_template.jinja": "{{ messages[0].content }}",
  };
  const device = Device.open("cpu", { threads: 1 });
  await saveCheckpoint(stated, { model: await loadModel(device, base), step: 0, files });
  device.close();
  const { result } = await grpoRuns(root, () => stated).run("carried", {
    steps: 1,
    evaluation: { questions: 2, samples: 2 },
  });
  const { checkpoint } = result.outputs;
  const generation = readFileSync(join(checkpoint!, "generation_config.json"), "utf8");
  expect(JSON.parse(generation)).toEqual({ eos_token_id: [0, 5], temperature: 0.6 });
  expect(readFileSync(join(checkpoint!, "chat_template.jinja"), "utf8")).toBe(files["chat_template.jinja"]);
  expect(Tokenizer.load(checkpoint!).eosIds).toEqual([0, 5]);
});

test("truncated_sampling_and_temperature_leave_the_trainers_log_probabilities_those_of_the_sampler", async () => {
  const narrow = { ...rollout, temperature: 0.7, top_p: 0.8, top_k: 40, min_p: 0.02 };
  const { events } = await run("narrow", { steps: 2, rollout: narrow });
  for (const m of stepMetrics(events)) expect(m["policy/sampler_difference_max"]).toBeLessThan(1e-4);
});

test("a_stopped_and_resumed_run_equals_the_uninterrupted_one_bit_for_bit", async () => {
  const set = {
    algorithm: { kl_coef: 0.02, reference_every: 2, inner_epochs: 2, mini_batches: 2 },
    rollout: { ...rollout, dynamic_sampling_rounds: 1 },
  };
  const whole = await run("whole", set);
  const first = await run("parts", set, { stopAt: 4 });
  expect(first.result.status).toBe("interrupted");
  // A killed process leaves rows past its last checkpoint: resume from step 3.
  const again = join(root, "parts", "checkpoints", "step-000003");
  const second = await run("parts", set, { resumeFrom: again });
  expect(weightsOf(second.result).equals(weightsOf(whole.result))).toBe(true);
  const samples = (dir: string) => readFileSync(join(dir, "samples.jsonl"), "utf8");
  expect(samples(second.dir)).toBe(samples(whole.dir));
});

test("a_reference_taken_long_before_the_kill_is_found_again", async () => {
  const set = { steps: 9, algorithm: { kl_coef: 0.05, reference_every: 2 }, checkpoint: { every: 4 } };
  const whole = await run("refs-whole", set);
  // References of steps 4, 6 and 8 exist by then; the checkpoint of step 4 needs its own.
  await run("refs", set, { stopAt: 8 });
  const resumed = await run("refs", set, { resumeFrom: join(root, "refs", "checkpoints", "step-000004") });
  expect(weightsOf(resumed.result).equals(weightsOf(whole.result))).toBe(true);
});

test("micro_batches_of_any_size_give_the_same_update", async () => {
  const norm = async (name: string, tokens: number) =>
    stepMetrics((await run(name, { steps: 1, micro_batch_tokens: tokens })).events)[0]!["train/grad_norm"]!;
  expect(Math.abs((await norm("small", 64)) / (await norm("large", 65536)) - 1)).toBeLessThan(1e-5);
});

test("groups_without_a_signal_are_replaced_and_told_as_discarded", async () => {
  const set = { steps: 3, rewards: [{ kind: "accuracy" }] };
  const plain = await run("plain", set);
  const dynamic = await run("dynamic", { ...set, rollout: { ...rollout, dynamic_sampling_rounds: 3 } });
  const flat = stepMetrics(plain.events).map((m) => m["rollout/zero_variance_share"]!);
  expect(Math.max(...flat)).toBeGreaterThan(0);
  const rows = readJsonl<{ step: number; id: string; reward: number; discarded?: boolean }>(
    join(dynamic.dir, "samples.jsonl"),
  );
  for (const [i, m] of stepMetrics(dynamic.events).entries()) {
    const own = rows.filter((r) => r.step === i + 1);
    expect(own).toHaveLength(8 * m["rollout/questions"]!);
    for (let g = 0; g < own.length; g += 8) {
      const group = own.slice(g, g + 8);
      const isFlat = new Set(group.map((r) => r.reward)).size === 1;
      expect(group.map((r) => r.discarded === true)).toEqual(Array(8).fill(isFlat));
    }
    expect(own.filter((r) => !r.discarded).length).toBeLessThanOrEqual(48);
  }
  // Questions go on where the last step ended: none is asked twice.
  const ids = rows.filter((_, i) => i % 8 === 0).map((r) => r.id);
  expect(new Set(ids).size).toBe(ids.length);
  expect(rows.some((r) => r.discarded)).toBe(true);
});

test("a_second_end_token_ends_an_output_and_is_learned", async () => {
  const stop = { ...rollout, stop: ["</answer>"], max_tokens: 40 };
  const { events, dir } = await run("two-ends", {
    steps: 1,
    rollout: stop,
    algorithm: { mask_truncated: true },
  });
  const rows = readJsonl<{ completion: string; finish: string }>(join(dir, "samples.jsonl"));
  const tagged = rows.filter((r) => r.completion.includes("</answer>"));
  expect(tagged.length).toBeGreaterThan(10);
  for (const r of tagged) expect([r.finish, r.completion.endsWith("</answer>")]).toEqual(["stop", true]);
  expect(stepMetrics(events)[0]!["train/grad_norm"]).toBeGreaterThan(0);
});

test("a_kl_in_the_reward_or_in_the_loss_keeps_the_policy_near_the_reference", async () => {
  const kl = async (name: string, algorithm: object) =>
    mean(
      stepMetrics((await run(name, { steps: 8, algorithm })).events)
        .map((m) => m["kl/mean"]!)
        .slice(-3),
    );
  const free = await kl("kl-free", { kl_coef: 1e-9 });
  const inLoss = await kl("kl-loss", { kl_coef: 1 });
  const inReward = await kl("kl-reward", {
    kl_coef: 1,
    kl_placement: "reward",
    kl_kind: "k1",
    advantage: "dr_grpo",
  });
  expect(inLoss).toBeLessThan(free / 2);
  expect(inReward).toBeLessThan(free / 2);
});

test("process_supervision_learns_what_single_steps_are_paid_for", async () => {
  // Every digit is a step, and ones are paid for.
  const file = join(root, "ones.ts");
  writeFileSync(
    file,
    `export default ({ completion }: { completion: string }) => ({
  steps: [...completion.matchAll(/\\d/g)].map((m) => ({ end: m.index + 1, reward: m[0] === "1" ? 1 : 0 })),
});
`,
  );
  const algorithm = { advantage: "process", aggregation: "token_mean" };
  const { dir } = await run("process", { steps: 20, rewards: [{ kind: "custom", file }], algorithm });
  const rows = readJsonl<{ step: number; completion: string }>(join(dir, "samples.jsonl"));
  const ones = (from: number, to: number) => {
    const digits = rows
      .filter((r) => r.step >= from && r.step < to)
      .flatMap((r) => r.completion.match(/\d/g) ?? []);
    return digits.filter((d) => d === "1").length / digits.length;
  };
  expect(ones(17, 21)).toBeGreaterThan(ones(1, 5) + 0.2);
});

test("the_sampler_correction_changes_nothing_where_sampler_and_trainer_agree", async () => {
  const norm = async (sampler_correction: string) => {
    const { events } = await run(`correction-${sampler_correction}`, {
      steps: 1,
      algorithm: { sampler_correction },
    });
    return stepMetrics(events)[0]!["train/grad_norm"]!;
  };
  expect((await norm("truncate")) / (await norm("none"))).toBeCloseTo(1, 4);
});

test("rewards_that_are_always_equal_are_said", async () => {
  const file = join(root, "constant.ts");
  writeFileSync(file, "export default () => 1;\n");
  const rewards = [{ kind: "custom", file }];
  const said = (events: readonly StageEvent[]) =>
    warningsOf(events).filter((text) => text.includes("constant reward"));
  const { events } = await run("equal", { steps: 4, rewards });
  expect(said(events)).toHaveLength(1);
  expect(said(events)[0]).toMatch(/^step 3: .* \(custom 1\), .* right by the task's rule/);
  const more = { ...rollout, dynamic_sampling_rounds: 2 };
  const dynamic = await run("equal-dynamic", { steps: 3, rewards, rollout: more });
  expect(said(dynamic.events)).toHaveLength(1);
  expect(stepMetrics(dynamic.events)[0]!["rollout/questions"]).toBe(18);
});
