// Shares of replayed history over many draws, in packed steps and in a retraining, and the reservoir that history is kept in, against
// counts made by hand.
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Batch, StepBatch } from "@nsa/core";
import { Tokenizer, trainBpe } from "@nsa/data";
import { Device } from "@nsa/kernels";
import { REWARD_FILE, saveCheckpoint, writeRewardFile } from "@nsa/model";
import { Trainer } from "@nsa/train";
import { afterAll, afterEach, expect, test, vi } from "vitest";
import { rewardModelSchema } from "../src/index.ts";
import type { LabelledText } from "../src/stages/reward/records.ts";
import { ReplaySource, Reservoir, withReplay } from "../src/stages/reward/replay.ts";
import { retrainRewardModel } from "../src/stages/reward/retrain.ts";
import { scoreTable } from "./score-table.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-reward-replay-"));
afterEach(() => void vi.restoreAllMocks());
afterAll(() => rmSync(root, { recursive: true, force: true }));

const draws = (fresh: number, history: number, share: number, count: number) => {
  const source = withReplay(
    Array.from({ length: fresh }, (_, i) => `f${i}`),
    Array.from({ length: history }, (_, i) => `h${i}`),
    share,
    3,
  );
  return Array.from({ length: count }, () => source.next().value as { item: string; replayed: boolean });
};

test("ten_per_cent_of_a_thousand_draws_are_history_each_tenth_one", () => {
  const all = draws(37, 11, 0.1, 1000);
  const places = all.flatMap(({ replayed }, i) => (replayed ? [i] : []));
  expect(places).toEqual(Array.from({ length: 100 }, (_, i) => 10 * i + 9));
  for (const { item, replayed } of all) expect(item[0]).toBe(replayed ? "h" : "f");
  // 900 fresh draws over 37 items: each 24 times, and 12 of them once more; 100 over 11: each 9 times, one once more.
  const counts = (kind: string) => {
    const by = new Map<string, number>();
    for (const { item } of all) if (item[0] === kind) by.set(item, (by.get(item) ?? 0) + 1);
    return [...by.values()].sort((a, b) => a - b);
  };
  expect(counts("f")).toEqual([...Array(25).fill(24), ...Array(12).fill(25)]);
  expect(counts("h")).toEqual([...Array(10).fill(9), 10]);
});

test("shares_of_none_all_and_a_third_and_an_absent_side", () => {
  const replays = (...args: Parameters<typeof draws>) =>
    draws(...args).filter(({ replayed }) => replayed).length;
  expect(replays(5, 5, 0, 100)).toBe(0);
  expect(replays(5, 5, 1, 100)).toBe(100);
  expect(replays(5, 5, 1 / 3, 100)).toBe(33);
  expect(replays(5, 0, 0.5, 10)).toBe(0);
  expect(replays(0, 5, 0.1, 10)).toBe(10);
});

test("a_reservoir_holds_every_item_with_the_same_chance_and_goes_on_where_it_was_saved", () => {
  const hits = Array<number>(20).fill(0);
  for (let seed = 0; seed < 2000; seed++) {
    const reservoir = new Reservoir<number>(5, seed);
    for (let i = 0; i < 20; i++) reservoir.add(i);
    expect(reservoir.items).toHaveLength(5);
    for (const i of reservoir.items) hits[i]!++;
  }
  // A quarter of 2,000, within five deviations of √(2000 · ¼ · ¾) = 19.4.
  for (const n of hits) expect(Math.abs(n - 500)).toBeLessThan(97);
  // Two of four: the third and the fourth item come in with 2/3 and 2/4, and each is there in half of all cases, ± five deviations.
  const few = Array<number>(4).fill(0);
  for (let seed = 0; seed < 2000; seed++) {
    const reservoir = new Reservoir<number>(2, seed);
    for (let i = 0; i < 4; i++) reservoir.add(i);
    for (const i of reservoir.items) few[i]!++;
  }
  for (const n of few) expect(Math.abs(n - 1000)).toBeLessThan(112);
  const whole = new Reservoir<number>(5, 7);
  for (let i = 0; i < 20; i++) whole.add(i);
  const first = new Reservoir<number>(5, 7);
  for (let i = 0; i < 12; i++) first.add(i);
  const second = new Reservoir<number>(5, 7, first.seen, first.items);
  for (let i = 12; i < 20; i++) second.add(i);
  expect(second.items).toEqual(whole.items);
  expect(second.seen).toBe(20);
});

/** A text that begins with an id by which it is found again in a micro-batch; its length differs from text to text. */
const text = (first: number, ...labels: number[]): LabelledText => ({
  ids: Int32Array.from([first, ...labels.map(() => 3), 4]),
  promptLength: 1,
  ends: labels.map((label, i) => ({ at: i + 1, label })),
  question: "",
  ended: true,
});
const firstIds = (batches: readonly Batch[]) =>
  batches.flatMap(({ tokens, cuSeqlens }) => [...cuSeqlens.slice(0, -1)].map((at) => tokens[at]!));

test("packed_steps_lose_no_draw_and_are_divided_by_their_numbers", () => {
  // Fresh texts of one and of three numbers, ids 100 to 108; history of two, ids 200 to 202.
  const fresh = Array.from({ length: 9 }, (_, i) => [i % 2 ? text(100 + i, 1) : text(100 + i, 1, 0.5, 0)]);
  const history = [200, 201, 202].map((id) => [text(id, 0, 1)]);
  const options = { share: 0.25, seed: 3, loss: "pointwise", microBatches: 2, microBatchTokens: 23 };
  const source = new ReplaySource(fresh, history, options);
  const steps = Array.from({ length: 150 }, () => source.next());
  const found = firstIds(steps.flatMap(({ microBatches }) => microBatches));
  const draws = withReplay(fresh, history, 0.25, 3);
  const wanted = found.map(() => draws.next().value!.item[0]!.ids[0]);
  expect(found).toEqual(wanted);
  expect(found.length).toBeGreaterThan(1000);
  expect(found.slice(0, 1000).filter((id) => id >= 200)).toHaveLength(250);
  for (const { microBatches, weightSum } of steps) {
    expect(microBatches).toHaveLength(2);
    for (const { tokens } of microBatches)
      expect([tokens.length > 18, tokens.length <= 23]).toEqual([true, true]);
    const numbers = microBatches.reduce((n, { targets }) => n + targets.filter((t) => t >= 0).length, 0);
    expect(weightSum).toBe(numbers);
  }
});

test("a_retraining_draws_its_share_of_history_and_measures_before_and_after", async () => {
  const tokenizer = new Tokenizer(
    trainBpe(["ab"], { vocabSize: 257, preTokenizer: "digits", specialTokens: ["<|endoftext|>"] }),
  );
  const [reference, device] = [Device.open("reference"), Device.open("cpu", { threads: 1 })];
  // The number at a token is a hundredth of its id.
  const model = scoreTable(
    reference,
    Array.from({ length: 257 }, (_, id) => id / 100),
  );
  const kind = { format: 1, kind: "outcome", loss: "pointwise", probability: true, steps: "lines" } as const;
  const file = writeRewardFile({ ...kind, tokenizer: tokenizer.hash });
  const from = join(root, "first");
  const files = { "tokenizer.json": JSON.stringify(tokenizer.json), [REWARD_FILE]: file };
  await saveCheckpoint(from, { model, step: 0, files });
  const steps: StepBatch[] = [];
  vi.spyOn(Trainer.prototype, "step").mockImplementation(function (this: Trainer, batch) {
    steps.push(batch);
    // What was large becomes small.
    const { parameters } = this.model;
    const view = parameters.flat.view(parameters.range("score.weight").offset, [1]);
    view.write(Float32Array.of(-2));
    view.free();
    return { "train/loss": 10 * steps.length };
  });
  const outcome = (first: number, last: number, label: number): LabelledText => ({
    ...text(first, label),
    ids: Int32Array.of(first, 3, last),
    ends: [{ at: 2, label }],
  });
  const recipe = rewardModelSchema.parse({
    init: { checkpoint: "none" },
    data: { files: ["none"] },
    train: { steps: 5, microBatchTokens: 30 },
  });
  const metrics = await retrainRewardModel({
    ...{ device, from, to: join(root, "second"), recipe, replayShare: 0.2, seed: 1, step: 40 },
    fresh: Array.from({ length: 30 }, (_, i) => outcome(100 + i, 50, i % 2)),
    history: Array.from({ length: 10 }, (_, i) => outcome(200 + i, 50, i % 2)),
    // Right outputs of numbers 2.4, 0.9 and 2, wrong ones of 1.2 and 0.3: five of six pairs are in order.
    heldOut: [240, 90, 200, 120, 30].map((last, i) => outcome(1, last, i < 3 ? 1 : 0)),
    interrupted: () => false,
  });
  expect(steps).toHaveLength(5);
  const drawn = firstIds(steps.flatMap(({ microBatches }) => microBatches));
  expect([drawn.length, drawn.filter((id) => id >= 200).length]).toEqual([50, 10]);
  expect(metrics).toMatchObject({
    "reward_model/train_loss": 50,
    "reward_model/fresh_examples": 30,
    "reward_model/history_examples": 10,
    "reward_model/auc_before": expect.closeTo(5 / 6, 12),
    "reward_model/auc": expect.closeTo(1 / 6, 12),
    "reward_model/accuracy_before": 3 / 5,
    "reward_model/accuracy": 2 / 5,
  });
  expect(existsSync(join(root, "second", REWARD_FILE))).toBe(true);
  // Labels that are all equal teach nothing and leave no checkpoint.
  const equal = { fresh: [outcome(100, 5, 1)], history: [outcome(200, 5, 0)], heldOut: [] };
  const none = { device, from, to: join(root, "third"), recipe, replayShare: 0.2, seed: 1, step: 40 };
  expect(await retrainRewardModel({ ...none, ...equal, interrupted: () => false })).toBe("nothing");
  expect(existsSync(join(root, "third"))).toBe(false);
  model.free();
  device.close();
  reference.close();
});
