// `nsa replay`: every kind of step again from disk, bit for bit; other rewards by hand; steps that cannot be replayed.
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { RolloutStore, replayStep } from "../src/index.ts";
import type { RewardChange } from "../src/stages/grpo/reward-change.ts";
import { changedReward, checkChanges } from "../src/stages/grpo/reward-change.ts";
import { grpoRuns, makeBase } from "./grpo-fixture.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-replay-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let base = "";
beforeAll(async () => {
  base = await makeBase(root);
}, 120_000);
const { run, recipe } = grpoRuns(root, () => base);

const replay = (set: Record<string, unknown>, runDir: string, step: number, changes: RewardChange[] = []) =>
  replayStep(recipe(set), { runDir, step, device: "cpu", changes, log: () => {} });

const plain = {
  steps: 5,
  rollout: { questions_per_step: 4, group_size: 6, max_tokens: 24 },
  checkpoint: { every: 2, keep_last: 2 },
  rewards: [{ kind: "accuracy" }, { kind: "length", weight: 0.25 }],
};
const several = {
  ...plain,
  rollout: { ...plain.rollout, dynamic_sampling_rounds: 1 },
  algorithm: { kl_coef: 0.02, reference_every: 2, inner_epochs: 2, mini_batches: 2, mask_truncated: true },
};
const inReward = {
  ...plain,
  algorithm: { kl_coef: 0.05, kl_placement: "reward", advantage: "process", mask_truncated: true },
  rewards: [{ kind: "accuracy" }, { kind: "equations", weight: 0.5 }],
};

const ppo = (value: object) => ({
  ...plain,
  algorithm: {
    advantage: "gae",
    kl_coef: 0.01,
    kl_placement: "reward",
    inner_epochs: 2,
    mask_truncated: true,
  },
  value: { lr: 1e-3, ...value },
});

test.each([
  ["one_update_on_the_policy", plain, 1],
  ["ppo_with_a_value_model_of_its_own", ppo({}), 2],
  ["ppo_with_values_on_the_policys_trunk", ppo({ shared: true }), 2],
  ["several_updates_with_a_reference_and_dynamic_sampling", several, 4],
  ["process_rewards_with_the_kl_in_the_reward", inReward, 1],
  ["low_rank_adapters_with_a_reference", { ...several, adapter: { rank: 4, alpha: 8 } }, 4],
])(
  "%s_is_made_again_bit_for_bit_from_every_checkpoint",
  async (name, set, updates) => {
    const { dir } = await run(name, set);
    const store = new RolloutStore(join(dir, "rollouts"));
    // Checkpoints of steps 4 and 5 are kept; the first policy is there.
    for (const [step, from] of [
      [1, 0],
      [3, 0],
      [5, 4],
    ] as const) {
      const result = await replay(set, dir, step);
      const { gradients, weightsAfter } = store.read(step);
      expect(result).toMatchObject({ step, from, gradients, weights: weightsAfter });
      expect(gradients).toHaveLength(updates);
      expect(result.norm).toBeGreaterThan(0);
    }
  },
  120_000,
);

test("another_weight_or_reward_gives_the_advantages_that_a_run_with_it_would_have", async () => {
  const dir = join(root, "one_update_on_the_policy");
  const record = new RolloutStore(join(dir, "rollouts")).read(3);
  const same = (await replay(plain, dir, 3, [{ id: "length", value: 0.25 }])).changed!;
  expect(same.cosine).toBeCloseTo(1, 9);
  for (const o of same.outputs) expect(o.newAdvantage).toBeCloseTo(o.advantage, 5);

  const { changed, norm } = await replay(plain, dir, 3, [{ id: "accuracy", value: 0 }]);
  const lengths = record.outputs.map(({ parts }) => 0.25 * parts.length!);
  for (const { output, group, newReward, newAdvantage } of changed!.outputs) {
    expect(newReward).toBeCloseTo(lengths[output]!, 9);
    const own = record.outputs.flatMap((o, i) => (o.group === group ? [lengths[i]!] : []));
    const mean = own.reduce((a, b) => a + b, 0) / own.length;
    const std = Math.sqrt(own.reduce((sum, r) => sum + (r - mean) ** 2, 0) / own.length);
    expect(newAdvantage).toBeCloseTo(std < 1e-8 ? 0 : (lengths[output]! - mean) / std, 4);
  }
  expect(changed!.cosine).toBeLessThan(0.999);
  expect(changed!.norm).not.toBeCloseTo(norm, 6);

  const one = (await replay(plain, dir, 3, [{ id: "2", value: 7 }])).changed!;
  expect(one.outputs.map(({ reward, newReward }) => reward === newReward)).toEqual(
    record.outputs.map((_, i) => i !== 2),
  );
  const moved = one.outputs.filter((o) => Math.abs(o.advantage - o.newAdvantage) > 1e-4);
  expect(moved.length).toBeGreaterThan(0);
  expect(moved.every(({ group }) => group === record.outputs[2]!.group)).toBe(true);
}, 60_000);

test("the_gradient_of_two_updates_rewards_turned_round_points_the_other_way", async () => {
  const dir = join(root, "one_update_on_the_policy");
  const turned = [
    { id: "accuracy", value: -1 },
    { id: "length", value: -0.25 },
  ];
  const { changed, norm } = await replay(plain, dir, 4, turned);
  // Advantages are centered and scaled: their sign alone changes, and with no KL the gradient's.
  expect(changed!.cosine).toBeCloseTo(-1, 5);
  expect(changed!.norm / norm).toBeCloseTo(1, 5);
}, 60_000);

test.each([false, true])(
  "advantages_of_ppo_are_made_again_of_the_recorded_values_shared_%s",
  async (shared) => {
    const name = shared ? "ppo_with_values_on_the_policys_trunk" : "ppo_with_a_value_model_of_its_own";
    const replayed = async (value: number) =>
      (await replay(ppo({ shared }), join(root, name), 5, [{ id: "length", value }])).changed!;
    const same = await replayed(0.25);
    expect(same.cosine).toBeCloseTo(1, 6);
    for (const o of same.outputs) expect(o.newAdvantage).toBeCloseTo(o.advantage, 4);
    const other = await replayed(-2);
    expect(other.outputs.some((o) => Math.abs(o.newAdvantage - o.advantage) > 0.05)).toBe(true);
    expect(other.cosine).toBeLessThan(0.99);
  },
  60_000,
);

test("a_step_in_which_the_values_warm_up_alone_changes_no_weight_of_the_policy", async () => {
  const set = ppo({ warmup_steps: 2 });
  const { dir } = await run("warm-up", { ...set, steps: 3 });
  expect(await replay(set, dir, 2)).toMatchObject({ gradients: [], norm: 0 });
  expect((await replay(set, dir, 3)).gradients).toHaveLength(2);
}, 60_000);

test("rewards_under_changes_by_hand", () => {
  const config = recipe({
    rewards: [
      { kind: "accuracy", weight: 2 },
      { kind: "equations", weight: 0.5, to_step: 8 },
      { kind: "equations", weight: 0 },
    ],
  });
  const row = { output: 3 } as never;
  // accuracy 1; equations gave 1 and 0 to two steps.
  const recorded = {
    ...{ total: 2.5, parts: { accuracy: 1, equations: 1, equations_2: 1 }, outcome: 2 },
    steps: [
      { end: 4, reward: 0.5, of: "equations" },
      { end: 9, reward: 0, of: "equations" },
    ],
  };
  const under = (...changes: RewardChange[]) => changedReward(row, recorded, config, changes);
  expect(under({ id: "accuracy", value: 0 })).toMatchObject({
    total: 0.5,
    outcome: 0,
    steps: recorded.steps,
  });
  expect(under({ id: "equations", value: 3 })).toMatchObject({
    total: 5,
    outcome: 2,
    steps: [
      { end: 4, reward: 3 },
      { end: 9, reward: 0 },
    ],
  });
  expect(under({ id: "3", value: -1 })).toEqual({ total: -1, parts: recorded.parts, outcome: -1 });
  expect(under({ id: "4", value: -1 }).total).toBe(2.5);
  const fault = { total: Number.NaN, parts: {}, fault: "threw: no" };
  expect(changedReward(row, fault, config, [{ id: "3", value: 1 }])).toBe(fault);

  const rows = [
    { steps: [{ end: 4, reward: 0, of: "equations_2" }] },
    { reward: null, fault: "threw: no" },
  ] as never[];
  const refused = (id: string, why: RegExp, value = 1, step = 1) =>
    expect(() => checkChanges(rows, config, [{ id, value }], step)).toThrow(
      expect.objectContaining({ code: "reward_unknown", exitCode: 2, why: expect.stringMatching(why) }),
    );
  refused("format", /no reward of this label/);
  refused("2", /2 outputs/);
  refused("1", /could not be scored/);
  refused("0", /±1e\+15/, 1e308);
  refused("0", /±1e\+15/, Number.NaN);
  refused("accuracy", /±1e\+6/, -1e308);
  refused("equations", /did not count at step 9/, 1, 9);
  checkChanges(rows, config, [{ id: "0", value: -1e15 }], 9);
  refused("equations_2", /weight is 0/);
});

test("a_step_without_a_checkpoint_before_it_is_refused_with_the_earliest_that_can_be_replayed", async () => {
  const set = { ...plain, steps: 8, rollout: { ...plain.rollout, keep_rollouts: 4 } };
  const { dir } = await run("few", set);
  // Checkpoints 6 and 8, outputs of steps 5 to 8.
  const saved = readdirSync(join(dir, "checkpoints")).filter((name) => name.startsWith("step-"));
  expect(saved.sort()).toEqual(["step-000006", "step-000008"]);
  for (const step of [3, 5, 6, 9])
    await expect(replay(set, dir, step)).rejects.toMatchObject({
      code: "replay_too_early",
      exitCode: 3,
      fix: "the earliest step that can be replayed is 7",
    });
  expect(await replay(set, dir, 8)).toMatchObject({ from: 6 });
  const none = await run("kept-none", {
    ...plain,
    steps: 1,
    rollout: { ...plain.rollout, keep_rollouts: 0 },
  });
  await expect(replay(plain, none.dir, 1)).rejects.toMatchObject({
    exitCode: 3,
    fix: expect.stringContaining("no step of this run"),
  });
}, 60_000);

test("ids_that_the_model_does_not_have_are_named_with_their_output", async () => {
  const dir = join(root, "foreign-ids");
  cpSync(join(root, "one_update_on_the_policy"), dir, { recursive: true });
  const store = new RolloutStore(join(dir, "rollouts"));
  const record = store.read(1);
  const refused = (where: string) =>
    expect(replay(plain, dir, 1)).rejects.toMatchObject({
      ...{ code: "rollout_corrupt", exitCode: 3, what: expect.stringMatching(/step 1: output 3$/) },
      why: expect.stringContaining(`${where} holds 99999, and the model has`),
    });
  const [outputs, tokens] = [[...record.outputs], [...record.tokens]];
  outputs[3] = { ...outputs[3]!, prompt_ids: [1, 99_999] };
  store.write({ ...record, outputs });
  await refused("prompt_ids");
  tokens[3] = { ...tokens[3]!, ids: Array.from(tokens[3]!.ids, () => 99_999) };
  store.write({ ...record, tokens });
  await refused("ids");
}, 60_000);

test("outputs_or_weights_of_another_run_are_noticed", async () => {
  const dir = join(root, "changed");
  cpSync(join(root, "one_update_on_the_policy"), dir, { recursive: true });
  const store = new RolloutStore(join(dir, "rollouts"));
  const record = store.read(2);
  const differs = (step: number, what: string) =>
    expect(replay(plain, dir, step)).rejects.toMatchObject({
      code: "replay_differs",
      exitCode: 3,
      what: expect.stringContaining(what),
    });
  const i = record.tokens.findIndex(({ advantage }) => advantage[0] !== 0);
  const t = record.tokens[i]!;
  const tokens = record.tokens.with(i, { ...t, advantage: Array.from(t.advantage, (a) => a + 1e-6) });
  store.write({ ...record, tokens });
  await differs(2, "step 2: the gradients");
  await differs(3, "step 2: the gradients");
  store.write({ ...record, weightsBefore: "0000000000000000" });
  await differs(2, "step 2: the weights before it");
  const rows = join(dir, "rollouts/step-000001.jsonl");
  writeFileSync(rows, readFileSync(rows, "utf8").slice(0, -40));
  await expect(replay(plain, dir, 1)).rejects.toMatchObject({ code: "rollout_corrupt", exitCode: 3 });
}, 60_000);

test.each([
  ["all_weights", {}],
  ["adapters", { adapter: { rank: 4, alpha: 8 } }],
])(
  "steps_on_both_sides_of_a_resume_with_other_settings_are_made_again_with_their_own_recipes_%s",
  async (kind, set) => {
    const before = { ...plain, ...set };
    const other = {
      ...before,
      train: { optimizer: { lr: 4e-3, weight_decay: 0.1 }, schedule: { kind: "constant" } },
      algorithm: { advantage: "rloo", inner_epochs: 2 },
    };
    const name = `settings_changed_${kind}`;
    await run(name, before, { stopAt: 2 });
    const dir = join(root, name);
    await run(name, other, { resumeFrom: join(dir, "checkpoints/step-000002") });
    const [former, present] = [recipe(before), recipe(other)];
    const at = (step: number) => (step <= 2 ? former : present);
    const store = new RolloutStore(join(dir, "rollouts"));
    const made = (step: number, recipeAt: typeof at) =>
      replayStep(recipeAt(step), { runDir: dir, step, device: "cpu", changes: [], log: () => {}, recipeAt });
    // The checkpoint of the change is gone: replays of later steps begin at the first policy and cross it.
    rmSync(join(dir, "checkpoints/step-000002"), { recursive: true, force: true });
    for (const [step, from] of [
      [2, 0],
      [3, 0],
      [5, 4],
    ] as const) {
      const { gradients, weightsAfter } = store.read(step);
      expect(await made(step, at)).toMatchObject({ step, from, gradients, weights: weightsAfter });
    }
    // The recipe of steps that are not on the way may have become unusable.
    const unusable = (step: number) => {
      if (step <= 2) throw new Error(`the recipe of step ${step} is not usable`);
      return present;
    };
    expect(await made(5, unusable)).toMatchObject({ step: 5, from: 4 });
    await expect(made(3, unusable)).rejects.toThrow("the recipe of step 1 is not usable");
    await expect(made(2, () => present)).rejects.toMatchObject({ code: "replay_differs" });
    await expect(made(3, () => former)).rejects.toMatchObject({ code: "replay_differs" });
  },
  120_000,
);
