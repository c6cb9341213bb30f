// Rewards by reward models whose number at a token is known: where it is read, ensembles, and texts that get no number.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Tokenizer, trainBpe } from "@nsa/data";
import { Device } from "@nsa/kernels";
import { REWARD_FILE, type RewardModelFile, saveCheckpoint, writeRewardFile } from "@nsa/model";
import { afterAll, beforeAll, expect, test } from "vitest";
import { advantages, makeScorer, type Scored, type Scorer } from "../src/index.ts";
import { rewardSchema } from "../src/rewards/config.ts";
import { rewardsByToken } from "../src/stages/grpo/rollout.ts";
import { scoreTable } from "./score-table.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-model-rewards-"));
const [reference, device] = [Device.open("reference"), Device.open("cpu", { threads: 1 })];
const open: Scorer[] = [];
afterAll(async () => {
  for (const scorer of open) await scorer.close();
  reference.close();
  device.close();
  rmSync(root, { recursive: true, force: true });
});

/** One id a byte, id 256 ends a text. */
const tokenizer = new Tokenizer(
  trainBpe(["ab"], { vocabSize: 257, preTokenizer: "digits", specialTokens: ["<|endoftext|>"] }),
);
const end = tokenizer.eosId;
const idOf = (text: string) => tokenizer.encode(text)[0]!;

/** A checkpoint whose number at a token is that of `numbers` by the token's text, else 1.5. */
async function table(name: string, numbers: Record<string, number>, file: Partial<RewardModelFile> = {}) {
  const all = Array<number>(257).fill(1.5);
  for (const [text, number] of Object.entries(numbers)) all[text === "end" ? end : idOf(text)] = number;
  const model = scoreTable(reference, all);
  const row: RewardModelFile = {
    ...{ format: 1, kind: "outcome", loss: "bradley_terry", probability: false, steps: "lines" },
    tokenizer: tokenizer.hash,
    ...file,
  };
  const path = join(root, name);
  await saveCheckpoint(path, { model, step: 0, files: { [REWARD_FILE]: writeRewardFile(row) } });
  model.free();
  return path;
}

/** An output; with its end where the text goes on to it. */
function output(prompt: string, completion: string, ended = true): Scored {
  const ids = [...tokenizer.encode(completion), ...(ended ? [end] : [])];
  return {
    ...{ prompt, question: prompt, completion, answer: "", tokens: ids.length, maxTokens: 99 },
    ...{ promptIds: [...tokenizer.encode(prompt)], ids },
  };
}

async function scorerOf(entry: object): Promise<Scorer> {
  const log = () => {};
  const scorer = await makeScorer([rewardSchema.parse(entry)], { device, tokenizer, log });
  open.push(scorer);
  return scorer;
}
const score = async (entry: object, outputs: Scored[]) =>
  (await scorerOf(entry)).score(outputs, { step: 1, group: outputs.map(() => 0) });
const near = (x: number) => expect.closeTo(x, 5);
const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));

let [one, other, steps, moreSteps] = ["", "", "", ""];
beforeAll(async () => {
  one = await table("one", { a: -1, b: 0.25, c: 3, end: 2 });
  other = await table("other", { a: 2, b: -0.25, c: 1, end: -1 });
  const process = { kind: "process", loss: "pointwise", probability: true } as const;
  steps = await table("steps", { "\n": 0.5, c: -2, end: -1 }, process);
  moreSteps = await table("more-steps", { "\n": 1.25, c: 2, end: 0.5 }, process);
});

test("an_outcome_model_s_reward_is_its_number_at_the_outputs_last_token", async () => {
  const outputs = [output("pa", "bc"), output("pp", "cb", false), output("p", "ba", false)];
  const rewards = await score({ kind: "model", checkpoint: one, weight: 2 }, outputs);
  expect(rewards.map(({ parts }) => parts)).toEqual([2, 0.25, -1].map((x) => ({ model: near(x) })));
  expect(rewards.map(({ total }) => total)).toEqual([4, 0.5, -2].map(near));
  const likely = await table("likely", { end: 2 }, { loss: "pointwise", probability: true });
  const [reward] = await score({ kind: "model", checkpoint: likely }, [output("p", "a")]);
  expect(reward!.total).toEqual(near(sigmoid(2)));
});

test("a_process_model_s_rewards_are_its_numbers_at_the_tokens_that_end_steps", async () => {
  const texts = [output("p\n", "ab\nbc"), output("p", "a\n\nb\nc", false), output("p", " ", true)];
  const rewards = await score({ kind: "process_model", checkpoint: steps }, texts);
  const [line, c, last] = [0.5, -2, -1].map(sigmoid) as [number, number, number];
  expect(rewards.map((r) => r.steps?.map(({ end: at, reward }) => [at, reward]))).toEqual([
    [
      [3, near(line)],
      [5, near(last)],
    ],
    [
      [3, near(line)],
      [5, near(line)],
      [6, near(c)],
    ],
    // White space alone has no step.
    undefined,
  ]);
  expect(rewards.map(({ total }) => total)).toEqual([line + last, 2 * line + c, 0].map(near));
});

test("advantages_of_process_supervision_by_a_model_are_the_normalized_numbers_of_this_and_later_steps", async () => {
  // Ids of the first output: a \n b end; of the second one: c, cut.
  const outputs = [output("p", "a\nb"), output("p", "c", false)];
  const rewards = await score({ kind: "process_model", checkpoint: steps, weight: 3 }, outputs);
  const samples = rewards.map((reward, i) => rewardsByToken(tokenizer, 7, { ids: outputs[i]!.ids }, reward));
  expect(samples.map((s) => s.steps.map(({ token }) => token))).toEqual([[1, 3], [0]]);
  const all = [0.5, -1, -2].map((x) => 3 * sigmoid(x)) as [number, number, number];
  const mean = (all[0] + all[1] + all[2]) / 3;
  const std = Math.sqrt(all.reduce((sum, x) => sum + (x - mean) ** 2, 0) / 3);
  const [first, last, alone] = all.map((x) => (x - mean) / std) as [number, number, number];
  const got = advantages(samples, "process");
  expect(got.map((a) => [...a])).toEqual([[first + last, first + last, last, last].map(near), [near(alone)]]);
});

test("an_ensemble_s_reward_is_the_mean_of_its_models_and_their_population_deviation_a_note", async () => {
  const rewards = await score({ kind: "model", checkpoint: one, ensemble: [other, other] }, [
    output("p", "a"),
    output("p", "b", false),
  ]);
  // 2, −1, −1 and 0.25, −0.25, −0.25.
  expect(rewards.map(({ parts }) => parts)).toEqual([
    { model: near(0), model_spread: near(Math.SQRT2) },
    { model: near(-0.25 / 3), model_spread: near(Math.SQRT2 / 6) },
  ]);
  const [process] = await score({ kind: "process_model", checkpoint: steps, ensemble: [moreSteps] }, [
    output("p", "a\nb"),
  ]);
  // Of two steps: the mean of their deviations, each half of a difference.
  const pairs = [
    [0.5, 1.25],
    [-1, 0.5],
  ].map((row) => row.map(sigmoid) as [number, number]);
  expect(process!.steps!.map(({ reward }) => reward)).toEqual(pairs.map(([a, b]) => near((a + b) / 2)));
  const spread = pairs.reduce((sum, [a, b]) => sum + (b - a) / 2, 0) / 2;
  expect(process!.parts.process_model_spread).toEqual(near(spread));
});

test("a_text_that_is_too_long_and_a_number_that_is_none_put_out_their_own_outputs_alone", async () => {
  const broken = await table("broken", { c: Number.NaN, end: 2 });
  const outputs = [output("p", "b"), output("p", "bcb"), output("p", "b".repeat(15))];
  const rewards = await score({ kind: "model", checkpoint: broken }, outputs);
  expect(rewards.map(({ fault }) => fault)).toEqual([
    undefined,
    "model got NaN from the reward model",
    "model was given 17 tokens of prompt and output, and its checkpoint reads 16 at most",
  ]);
  expect(rewards[0]!.total).toEqual(near(2));
});

test("models_that_do_not_fit_are_refused_with_what_to_do", async () => {
  const unfit = (entry: object, why: RegExp) =>
    expect(scorerOf(entry)).rejects.toMatchObject({
      code: "reward_model_unfit",
      exitCode: 2,
      why: expect.stringMatching(why),
    });
  await unfit({ kind: "process_model", checkpoint: one }, /of the kind outcome/);
  await unfit({ kind: "model", checkpoint: steps }, /of the kind process/);
  const likely = await table("another-loss", {}, { loss: "pointwise", probability: true });
  await unfit({ kind: "model", checkpoint: one, ensemble: [likely] }, /other losses or other steps/);
  const foreign = await table("foreign", {}, { tokenizer: "0".repeat(64) });
  await expect(scorerOf({ kind: "model", checkpoint: one, ensemble: [foreign] })).rejects.toMatchObject({
    code: "reward_tokenizer_mismatch",
    exitCode: 3,
    what: expect.stringContaining(foreign),
  });
});
