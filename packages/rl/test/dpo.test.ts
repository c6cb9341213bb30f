// Whole runs of `nsa dpo`: what they learn, resume bit for bit, and what they record.
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseConfig, readJsonl } from "@nsa/core";
import { generationBytes, layoutOf, readModelConfig, trainFlops } from "@nsa/model";
import { afterAll, beforeAll, expect, test } from "vitest";
import { dpoStage, runDpo, runSample, sampleSchema } from "../src/index.ts";
import { estimateDpo } from "../src/stages/dpo/estimate.ts";
import { bestAgainstWorst } from "../src/stages/dpo/online.ts";
import type { Output } from "../src/stages/grpo/rollout.ts";
import { offlineRecipe, onlineRecipe, preferenceFile } from "./dpo-fixture.ts";
import { makeBase, runStage, type StageRun, stepMetrics, warningsOf, weightsOf } from "./grpo-fixture.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-dpo-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let [base, file] = ["", ""];
beforeAll(async () => {
  base = await makeBase(root);
  file = preferenceFile(root);
}, 120_000);

type Options = { resumeFrom?: string; stopAt?: number };
const offline = (name: string, set: Record<string, unknown> = {}, options: Options = {}) =>
  runStage(root, name, runDpo, offlineRecipe(base, file, set), options);
const online = (name: string, set: Record<string, unknown> = {}, options: Options = {}) =>
  runStage(root, name, runDpo, onlineRecipe(base, set), options);
const evaluations = ({ events }: StageRun) => events.flatMap((e) => (e.type === "eval" ? [e] : []));

/** Figures of a run without times. */
const figures = ({ dir }: StageRun) =>
  readJsonl(join(dir, "metrics.jsonl")).map((row) =>
    Object.entries(row).filter(([name]) => name !== "time" && !name.startsWith("perf/")),
  );

test("offline_pairs_are_learned_and_held_out_ones_measured_from_before_the_first_step", async () => {
  const run = await offline("learned", { train: { steps: 40, pairs_per_step: 16, optimizer: { lr: 3e-3 } } });
  const [first, ...later] = stepMetrics(run.events);
  // The policy equals its reference: every margin is exactly 0.
  expect(first!["dpo/loss"]).toBeCloseTo(Math.LN2, 6);
  expect([first!["dpo/accuracy"], first!["dpo/margin"], first!["rewards/chosen"]]).toEqual([0.5, 0, 0]);
  const last = later.at(-1)!;
  expect(last["dpo/accuracy"]).toBeGreaterThan(0.9);
  expect(last["dpo/margin"]).toBeGreaterThan(0.5);
  expect(last["train/loss"]).toBe(last["dpo/loss"]);
  const held = evaluations(run);
  expect(held.map(({ step }) => step)).toEqual([0, 40]);
  expect(held[0]!.metrics["val/loss"]).toBeCloseTo(Math.LN2, 6);
  expect(held[0]!.metrics["val/dpo/accuracy"]).toBe(0.5);
  expect(held[1]!.metrics["val/dpo/accuracy"]).toBeGreaterThan(0.9);
  expect(held[1]!.metrics["val/loss"]).toBeLessThan(0.5);
  expect(run.result.metrics["val/dpo/margin"]).toBe(held[1]!.metrics["val/dpo/margin"]);
  const sections = dpoStage.sections!(run.dir);
  expect(sections.map(({ kind }) => kind)).toEqual(["curve", "curve", "curve", "curve"]);
  expect(sections[0]!.rows.at(-1)).toEqual([40, "", held[1]!.metrics["val/loss"]]);
  expect(sections[0]!.rows.at(-2)).toEqual([40, last["dpo/loss"], ""]);
});

test.each([
  ["offline", offline],
  ["online", online],
] as const)("an_interrupted_%s_run_goes_on_bit_for_bit", async (name, run) => {
  const whole = await run(`${name}-whole`);
  const broken = await run(`${name}-broken`, {}, { stopAt: 3 });
  expect(broken.result.status).toBe("interrupted");
  const resumed = await run(`${name}-broken`, {}, { resumeFrom: broken.result.outputs.checkpoint! });
  expect(weightsOf(resumed.result).equals(weightsOf(whole.result))).toBe(true);
  expect(figures(resumed)).toEqual(figures(whole));
  const samples = ({ dir }: StageRun) => readFileSync(join(dir, "samples.jsonl"), "utf8");
  if (name === "online") expect(samples(resumed)).toBe(samples(whole));
});

test("online_pairs_are_the_best_and_the_worst_output_of_a_question_and_ties_give_none", async () => {
  const run = await online("online", { train: { steps: 3, optimizer: { lr: 1e-3 }, eval_every: 0 } });
  type Row = { step: number; id: string; reward: number; pair?: string };
  const rows = readJsonl<Row>(join(run.dir, "samples.jsonl"));
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const key = `${row.step} ${row.id}`;
    groups.set(key, [...(groups.get(key) ?? []), row]);
  }
  const counts: number[] = [0, 0, 0];
  for (const group of groups.values()) {
    const rewards = group.map(({ reward }) => reward);
    const [best, worst] = [Math.max(...rewards), Math.min(...rewards)];
    const of = (pair: string) => group.filter((row) => row.pair === pair).map(({ reward }) => reward);
    if (best === worst) expect([of("chosen"), of("rejected")]).toEqual([[], []]);
    else expect([of("chosen"), of("rejected")]).toEqual([[best], [worst]]);
    if (best > worst) counts[group[0]!.step - 1]!++;
  }
  expect(stepMetrics(run.events).map((m) => m["rollout/pairs"])).toEqual(counts);
  expect(Math.min(...counts)).toBeGreaterThan(0);
  // On their own outputs policy and reference agree before the first step.
  expect(stepMetrics(run.events)[0]!["dpo/margin"]).toBe(0);
  expect(evaluations(run).map(({ step, metrics }) => [step, "eval/pass_at_8" in metrics])).toEqual([
    [0, true],
    [3, true],
  ]);
});

test("the_best_and_the_worst_are_the_first_of_equals_among_outputs_that_count", () => {
  const output = (group: number, total: number, discarded = false) =>
    ({ discarded, rewards: { group }, row: { reward: { total } } }) as unknown as Output;
  const outputs = [
    ...[output(4, 1), output(7, 0.5), output(4, 3), output(4, Number.NaN), output(4, 3), output(4, 1)],
    // A question whose outputs all earn the same, and one with a single reward.
    ...[output(7, 0.5), output(8, 2), output(8, Number.NaN)],
    ...[output(9, -1), output(9, 5, true), output(9, -2), output(9, -9, true), output(9, -2)],
  ];
  const places = bestAgainstWorst(outputs).map(({ best, worst }) =>
    [best, worst].map((o) => outputs.indexOf(o)),
  );
  expect(places).toEqual([
    [2, 0],
    [9, 11],
  ]);
});

test("the_outputs_of_a_sampling_run_become_pairs_of_right_against_wrong", async () => {
  const config = parseConfig(
    sampleSchema,
    {
      init: { checkpoint: base },
      task: { family: "addition", difficulty: 1, template: "{question}=" },
      prompts: { questions: 12 },
      sampling: { n: 8, max_tokens: 24 },
    } as never,
    "test",
  );
  const sampled = await runStage(root, "sampled", runSample, config);
  const rows = readJsonl<{ prompt: string; verdict: string }>(join(sampled.dir, "samples.jsonl"));
  // A sum that was asked twice is one question.
  const verdicts = new Map<string, Set<boolean>>();
  for (const { prompt, verdict } of rows)
    verdicts.set(prompt, (verdicts.get(prompt) ?? new Set()).add(verdict === "right"));
  const mixed = [...verdicts.values()].filter((own) => own.size === 2).length;
  const asked = verdicts.size;
  expect([rows.length, asked > 8, mixed > 2]).toEqual([96, true, true]);
  const data = { files: [join(sampled.dir, "samples.jsonl")], pairs_per_question: 1, held_out: 0 };
  const run = await offline("from-samples", { data, train: { steps: 1, optimizer: { lr: 1e-3 } } });
  const told = run.events.flatMap((e) => (e.type === "log" ? [e.text] : []));
  expect(told).toContain(`${mixed} pairs, 0 held out`);
  expect(told).toContain(
    `${asked - mixed} of ${asked} sampled questions have no right or no wrong output and give no pair`,
  );
});

test("questions_that_never_give_a_pair_end_the_run_with_a_clear_error", async () => {
  const reward = join(root, "equal.ts");
  writeFileSync(reward, "export default () => 1;\n");
  const rollout = { questions_per_step: 1, group_size: 2, max_tokens: 4 };
  const set = { rollout, rewards: [{ kind: "custom", file: reward }] };
  await expect(online("ties", set)).rejects.toMatchObject({ code: "no_pair", exitCode: 3 });
});

test("a_reference_of_its_own_sets_the_margin_and_one_of_other_tokens_is_refused", async () => {
  const learned = join(root, "learned/checkpoints/step-000040");
  const run = await offline("from-reference", {
    init: { checkpoint: learned },
    reference: base,
    train: { steps: 1, pairs_per_step: 16, optimizer: { lr: 0 } },
  });
  // Where the policy stands after 40 steps, measured against where it began.
  expect(evaluations(run)[0]!.metrics["val/dpo/margin"]).toBeCloseTo(
    readJsonl<Record<string, number>>(join(root, "learned/metrics.jsonl")).at(-1)!["val/dpo/margin"]!,
    4,
  );
  const other = join(root, "other-tokens");
  cpSync(base, other, { recursive: true });
  writeFileSync(join(other, "tokenizer.json"), `${readFileSync(join(base, "tokenizer.json"), "utf8")} `);
  await expect(offline("other", { reference: other })).rejects.toMatchObject({
    code: "tokenizer_mismatch",
    exitCode: 3,
  });
});

test("an_estimate_counts_pairs_tokens_the_reference_and_the_cache", () => {
  const off = estimateDpo(offlineRecipe(base, file));
  // The model's context of 64 is shorter than data.max_length.
  expect(off.pairs_at_most).toBe(8 * 8);
  expect(off.tokens_at_most).toBe(8 * 8 * 2 * 64);
  const model = readModelConfig(base);
  expect(off.memory_reference_bytes).toBe(4 * layoutOf(model).numel);
  // A training step of both outputs and the reference's forward, a third of one.
  const step = trainFlops(model, 64).actual;
  expect(off.flops! / step).toBeCloseTo((4 / 3) * off.tokens_at_most!, 3);
  const on = estimateDpo(onlineRecipe(base));
  expect(on.samples_at_most).toBe(8 * 6 * 8);
  // Prompts of 4 tokens (`3+5=`), outputs of 24.
  expect(on.sampled_tokens_at_most).toBe(8 * 6 * 8 * 28);
  // Besides, a forward for each token that is sampled: six pairs a step, eight outputs to each question.
  const short = trainFlops(model, 28).actual;
  expect(on.flops! / short).toBeCloseTo((4 / 3) * (8 * 6 * 2 * 28) + (8 * 6 * 8 * 28) / 3, 3);
  // 8 held-out questions of 8 samples are more outputs than 6 of 8; each has at most 28 positions.
  const fewer = estimateDpo(onlineRecipe(base, { evaluation: { questions: 6, samples: 8 } }));
  expect(on.memory_cache_bytes! / fewer.memory_cache_bytes!).toBeCloseTo(64 / 48, 10);
  const held = on.memory_parameters_bytes! + on.memory_reference_bytes!;
  const engine = { maxSequences: 512, cacheTokens: 262_144, prefillTokens: 16_384 };
  const calls = [
    { prompts: 6, n: 8 },
    { prompts: 8, n: 8 },
  ];
  const { total } = generationBytes(model, { calls, prompt: 4, length: 28, ...engine });
  expect(on.memory_bytes).toBe(held + Math.max(on.memory_activations_bytes!, total));
  expect(() => estimateDpo(offlineRecipe(base, file, { data: {} }))).toThrow("data.files is empty");
  expect(() => estimateDpo(onlineRecipe(base, { data: { files: [file] } }))).toThrow("beside pairs: online");
  expect(() => estimateDpo(onlineRecipe(base, { rollout: { group_size: 1 } }))).toThrow("group_size 1");
});

test("a_run_without_held_out_pairs_is_not_measured", async () => {
  const run = await offline("none-held", { data: { files: [file], held_out: 0 } });
  expect(evaluations(run)).toEqual([]);
  expect(warningsOf(run.events)).toEqual([]);
});
