// Bad input of GRPO runs: rewards that fail, groups of one, records that cannot be asked, checkpoints that do not fit.
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readJsonl } from "@nsa/core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { estimateGrpo } from "../src/index.ts";
import { checkGrpo } from "../src/stages/grpo/config.ts";
import { grpoRuns, makeBase, stepMetrics, warningsOf } from "./grpo-fixture.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-grpo-bad-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let base = "";
beforeAll(async () => {
  base = await makeBase(root);
}, 120_000);
const { run, recipe } = grpoRuns(root, () => base);

function rewardFile(name: string, body: string): { kind: string; file: string }[] {
  const file = join(root, `${name}.ts`);
  writeFileSync(file, `export default (s: { completion: string; answer: string }): number => { ${body} };\n`);
  return [{ kind: "custom", file }];
}

test("a_reward_file_that_always_throws_stops_the_run_and_keeps_every_output", async () => {
  const rewards = rewardFile("throws", "throw new Error('no such thing');");
  await expect(run("throws", { steps: 1, rewards })).rejects.toMatchObject({
    code: "reward_failed",
    exitCode: 3,
    why: "custom threw: no such thing",
  });
  expect(readJsonl(join(root, "throws", "quarantine.jsonl"))).toHaveLength(48);
});

test("outputs_whose_reward_throws_or_is_nan_are_quarantined_and_named_and_the_rest_is_learned", async () => {
  // Deterministic in the output: about half of them fail.
  const odd = "s.completion.length % 2 === 1";
  for (const [name, body, fault] of [
    [
      "some-throw",
      `if (${odd}) throw new Error("odd"); return s.completion.length / 10;`,
      "custom threw: odd",
    ],
    ["some-nan", `return ${odd} ? Number.NaN : s.completion.length / 10;`, "custom returned NaN"],
    ["some-infinite", `return ${odd} ? Infinity : s.completion.length / 10;`, "custom returned Infinity"],
  ] as const) {
    const { events, dir, result } = await run(name, { steps: 2, rewards: rewardFile(name, body) });
    expect(result.status).toBe("completed");
    const kept = readJsonl<{ step: number; completion: string; fault: string }>(
      join(dir, "quarantine.jsonl"),
    );
    const all = readJsonl<{ completion: string }>(join(dir, "samples.jsonl"));
    expect(kept.length).toBe(all.filter((r) => r.completion.length % 2 === 1).length);
    expect(kept.length).toBeGreaterThan(5);
    for (const row of kept) expect(row.fault).toBe(fault);
    for (const m of stepMetrics(events)) {
      expect(m["reward/quarantined"]).toBeGreaterThan(0);
      expect(Number.isFinite(m["train/grad_norm"]!) && m["train/grad_norm"]! > 0).toBe(true);
      expect(Number.isFinite(m["reward/mean"]!)).toBe(true);
    }
    expect(
      warningsOf(events).some((t) => /\d+ of 48 outputs .* the first of addition-train-\d+: custom/.test(t)),
    ).toBe(true);
  }
});

test("a_group_of_which_nothing_could_be_scored_is_left_out", async () => {
  const body = "if (s.answer.length > 1) throw new Error('two digits'); return s.completion.length;";
  const { events, result } = await run("empty-groups", { steps: 2, rewards: rewardFile("empty", body) });
  expect(result.status).toBe("completed");
  for (const m of stepMetrics(events)) {
    // Whole groups are gone: their number is a multiple of the group's size.
    expect(m["reward/quarantined"]! % 8).toBe(0);
    expect(Number.isFinite(m["train/loss"]!)).toBe(true);
  }
  expect(stepMetrics(events).some((m) => m["reward/quarantined"]! > 0)).toBe(true);
});

test("a_reward_file_of_ones_own_works", async () => {
  const rewards = rewardFile("length", "return s.completion.length / 10;");
  expect((await run("custom", { steps: 1, rewards })).result.status).toBe("completed");
  const nothing = join(root, "nothing.ts");
  writeFileSync(nothing, "export const x = 1;\n");
  for (const file of [nothing, join(root, "absent.ts")])
    await expect(run("no-file", { steps: 1, rewards: [{ kind: "custom", file }] })).rejects.toMatchObject({
      code: "reward_file_invalid",
      exitCode: 2,
    });
});

test("steps_of_more_outputs_than_can_be_held_are_refused", () => {
  const { rollout, evaluation } = recipe();
  for (const [config, what] of [
    [{ rollout: { ...rollout, groupSize: 1e10 } }, /questions_per_step × rollout.group_size/],
    [{ rollout: { ...rollout, questionsPerStep: 2 ** 24 } }, /questions_per_step × rollout.group_size/],
    [{ evaluation: { ...evaluation, samples: 1e10 } }, /evaluation.questions × evaluation.samples/],
  ] as const)
    expect(() => checkGrpo({ ...recipe(), ...config } as never)).toThrowError(
      expect.objectContaining({
        code: "grpo_recipe_invalid",
        exitCode: 2,
        what: expect.stringMatching(what),
      }),
    );
});

test("a_group_of_one_is_refused_where_nothing_could_be_learned_from_it", async () => {
  const rollout = { questions_per_step: 8, group_size: 1, max_tokens: 24 };
  for (const advantage of ["grpo", "dr_grpo", "rloo"]) {
    const config = { steps: 1, rollout, algorithm: { advantage } };
    expect(() => estimateGrpo(recipe(config))).toThrow(
      expect.objectContaining({ code: "group_of_one", exitCode: 2 }),
    );
    await expect(run("one", config)).rejects.toMatchObject({ code: "group_of_one" });
  }
  const alone = await run("one-reinforce", { steps: 1, rollout, algorithm: { advantage: "reinforce" } });
  expect(stepMetrics(alone.events)[0]!["train/grad_norm"]).toBeGreaterThan(0);
});

test("prompts_longer_than_the_context_and_unreadable_gold_answers_are_left_out_and_said", async () => {
  const file = join(root, "problems.jsonl");
  const rows = [
    ...Array.from({ length: 12 }, (_, i) => ({
      question: `${i % 10}+${(3 * i) % 10}`,
      answer: (i % 10) + ((3 * i) % 10),
    })),
    { id: "long", question: "1+".repeat(80), answer: 80 },
    { id: "odd", question: "1+2", answer: "\\frac{3}{" },
  ];
  writeFileSync(file, rows.map((r) => JSON.stringify(r)).join("\n"));
  const { events, dir } = await run("records", { steps: 2, task: { file, template: "{question}=" } });
  expect(warningsOf(events)[0]).toMatch(
    /2 of 14 problems .* the first is long: a prompt of \d+ tokens, the context is 64/,
  );
  const ids = readJsonl<{ id: string }>(join(dir, "samples.jsonl")).map((r) => r.id);
  expect(ids.some((id) => id === "long" || id === "odd")).toBe(false);
});

test("a_checkpoint_without_a_tokenizer_is_refused", async () => {
  const copy = join(root, "bare");
  cpSync(base, copy, { recursive: true });
  writeFileSync(join(copy, "tokenizer.json"), "{");
  await expect(run("refused", { init: { checkpoint: copy } })).rejects.toMatchObject({ exitCode: 3 });
  expect(readFileSync(join(base, "tokenizer.json"), "utf8").length).toBeGreaterThan(100);
});
