// Rollouts on disk: every value against the run's own, steps that stay, truncation on resume, damaged files.
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readJsonl } from "@nsa/core";
import { Tokenizer } from "@nsa/data";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { RecordedStep } from "../src/rollouts/record.ts";
import { RolloutStore } from "../src/rollouts/store.ts";
import { grpoRuns, makeBase } from "./grpo-fixture.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-rollouts-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let base = "";
beforeAll(async () => {
  base = await makeBase(root);
}, 120_000);
const { run } = grpoRuns(root, () => base);
const storeOf = (dir: string) => new RolloutStore(join(dir, "rollouts"));

test("a_step_on_disk_has_every_output_with_its_log_probabilities_reward_and_advantage", async () => {
  const { dir } = await run("on-policy", {
    steps: 3,
    rollout: { questions_per_step: 4, group_size: 3, max_tokens: 24 },
  });
  const store = storeOf(dir);
  expect(store.steps()).toEqual([1, 2, 3]);
  const tokenizer = Tokenizer.load(join(base, "tokenizer.json"));
  const samples = readJsonl<{ step: number; completion: string; reward: number; tokens: number }>(
    join(dir, "samples.jsonl"),
  );
  for (const step of [1, 2, 3]) {
    const { outputs, tokens, weightSum, gradients, weightsBefore, weightsAfter } = store.read(step);
    const rows = samples.filter((row) => row.step === step);
    expect(outputs.map(({ completion, reward }) => [completion, reward])).toEqual(
      rows.map(({ completion, reward }) => [completion, reward]),
    );
    expect(outputs.map(({ output }) => output)).toEqual([...Array(12).keys()]);
    expect(outputs.map(({ group }) => group)).toEqual(
      [...Array(12).keys()].map((i) => 4 * (step - 1) + Math.floor(i / 3)),
    );
    // token_mean: every token weighs 1 and the sum is their number.
    expect(weightSum).toBe(rows.reduce((n, row) => n + row.tokens, 0));
    for (const [i, t] of tokens.entries()) {
      expect(tokenizer.decode(Array.from(t.ids))).toBe(outputs[i]!.completion);
      expect([t.weight, t.refLogp]).toEqual([1, undefined]);
      expect(outputs[i]).toMatchObject({ policy_version: step - 1, policy_weights: weightsBefore });
      for (let n = 0; n < t.ids.length; n++) expect(t.oldLogp[n]).toBeCloseTo(t.samplerLogp[n]!, 3);
    }
    for (let group = 0; group < 4; group++) {
      const rewards = [0, 1, 2].map((k) => outputs[3 * group + k]!.reward!);
      const mean = (rewards[0]! + rewards[1]! + rewards[2]!) / 3;
      const std = Math.sqrt(rewards.reduce((sum, r) => sum + (r - mean) ** 2, 0) / 3);
      for (const k of [0, 1, 2])
        for (const a of Array.from(tokens[3 * group + k]!.advantage))
          expect(a).toBeCloseTo(std === 0 ? 0 : (rewards[k]! - mean) / std, 5);
    }
    expect(gradients).toHaveLength(1);
    expect(weightsAfter).not.toBe(weightsBefore);
    if (step > 1) expect(weightsBefore).toBe(store.read(step - 1).weightsAfter);
  }
}, 60_000);

const everything = {
  steps: 4,
  rollout: { questions_per_step: 6, group_size: 8, max_tokens: 24, dynamic_sampling_rounds: 1 },
  algorithm: { kl_coef: 0.02, inner_epochs: 2, mini_batches: 2, mask_truncated: true },
  checkpoint: { every: 2, keep_last: 3 },
  rewards: [{ kind: "accuracy" }, { kind: "equations", weight: 0.5 }],
};

test("outputs_that_were_discarded_or_masked_have_no_weight_and_all_updates_have_a_gradient", async () => {
  const { dir } = await run("everything", everything);
  const { outputs, tokens, gradients } = storeOf(dir).read(4);
  expect(new Set(gradients).size).toBe(4);
  const states = new Set<string>();
  for (const [i, o] of outputs.entries()) {
    const { weight, oldLogp, refLogp } = tokens[i]!;
    const out = o.discarded || o.finish === "length";
    states.add(o.discarded ? "discarded" : o.finish);
    expect(weight > 0).toBe(!out);
    expect(Number.isNaN(oldLogp[0])).toBe(out);
    expect(Number.isNaN(refLogp![0])).toBe(out);
  }
  expect(states.has("stop") && states.has("discarded")).toBe(true);
}, 60_000);

test("only_the_newest_steps_stay_and_none_where_none_are_wanted", async () => {
  const rollout = { questions_per_step: 2, group_size: 2, max_tokens: 8 };
  const two = await run("two", { steps: 5, rollout: { ...rollout, keep_rollouts: 2 } });
  expect(storeOf(two.dir).steps()).toEqual([4, 5]);
  expect(readdirSync(join(two.dir, "rollouts"))).toHaveLength(4);
  const none = await run("none", { steps: 2, rollout: { ...rollout, keep_rollouts: 0 } });
  expect(existsSync(join(none.dir, "rollouts"))).toBe(false);
  const plain = await run("some", { steps: 2, rollout });
  const weights = (dir: string) => readFileSync(join(dir, "checkpoints/step-000002/model.safetensors"));
  expect(weights(none.dir).equals(weights(plain.dir))).toBe(true);
}, 60_000);

test("a_resumed_run_cuts_off_the_steps_after_its_checkpoint_and_writes_them_again", async () => {
  const whole = await run("whole", everything);
  const first = await run("resumed", everything, { stopAt: 3 });
  const partial = join(first.dir, "rollouts/step-000004.jsonl.partial");
  writeFileSync(partial, "half");
  writeFileSync(join(first.dir, "rollouts/step-000009.jsonl"), "of another life");
  await run("resumed", everything, { resumeFrom: join(first.dir, "checkpoints/step-000002") });
  const files = (dir: string) => readdirSync(join(dir, "rollouts")).sort();
  expect(files(first.dir)).toEqual(files(whole.dir));
  for (const file of files(whole.dir))
    expect(
      readFileSync(join(first.dir, "rollouts", file)).equals(readFileSync(join(whole.dir, "rollouts", file))),
      file,
    ).toBe(true);
}, 60_000);

test("a_step_that_is_missing_or_damaged_is_named", () => {
  const dir = mkdtempSync(join(root, "damaged-"));
  const store = new RolloutStore(dir);
  const record: RecordedStep = {
    step: 7,
    outputs: [
      {
        ...{ output: 0, group: 3, id: "q", question: "1+1", answer: "2", prompt: "1+1=" },
        ...{ prompt_ids: [5], completion: "2" },
        ...{ finish: "stop", reward: 1, parts: { accuracy: 1 }, policy_version: 6, policy_weights: "ab" },
      },
    ],
    tokens: [
      {
        ...{ ids: [4, 6], samplerLogp: [-1, -2], oldLogp: [-1.5, -2.5], refLogp: [-3, -4] },
        ...{ advantage: [0.5, 0.25], weight: 0.1 },
      },
    ],
    ...{ weightSum: 0.3, weightsBefore: "ab", weightsAfter: "cd", gradients: ["ef", "01"] },
  };
  store.write(record);
  const read = store.read(7);
  const plain = read.tokens.map((t) =>
    Object.fromEntries(Object.entries(t).map(([k, v]) => [k, typeof v === "number" ? v : [...v]])),
  );
  expect({ ...read, tokens: plain }).toEqual(record);
  const fails = (step: number, code: string) =>
    expect(() => store.read(step)).toThrow(expect.objectContaining({ code, exitCode: 3 }));
  fails(8, "rollout_missing");
  const rows = join(dir, "step-000007.jsonl");
  const text = readFileSync(rows);
  writeFileSync(rows, `${text}${text}`);
  fails(7, "rollout_corrupt");
  truncateSync(rows, 20);
  fails(7, "rollout_corrupt");
  // Rows of another shape, as many as there are.
  writeFileSync(
    rows,
    `{}\n${text}`.split("\n").slice(0, text.toString().trimEnd().split("\n").length).join("\n"),
  );
  fails(7, "rollout_corrupt");
  for (const [field, value, why] of [
    ["prompt_ids", [1.5], "a row's prompt_ids.0: it must be a whole number, and is 1.5"],
    ["prompt_ids", [-1], "a row's prompt_ids.0: it must be at least 0, and is -1"],
    ["steps", 5, "a row's steps: it must be a list, and is 5"],
    ["steps", [{ end: 1 }], "a row's steps.0.reward: it must be a number, and is absent"],
    ["outcome", "a", 'a row\'s outcome: it must be a number, and is "a"'],
    ["fault", 1, "a row's fault: it must be a text, and is 1"],
    ["output", 0.5, "a row's output: it must be a whole number, and is 0.5"],
  ] as const) {
    writeFileSync(rows, `${JSON.stringify({ ...JSON.parse(text.toString()), [field]: value })}\n`);
    expect(() => store.read(7)).toThrow(
      expect.objectContaining({ code: "rollout_corrupt", what: `${rows}:1`, why }),
    );
  }
  writeFileSync(rows, text);
  truncateSync(join(dir, "step-000007.safetensors"), 700);
  fails(7, "safetensors_corrupt");
});
