// Held-out documents of pretraining: how many, cut into which batches, with how many bytes a target, and stages of a mix.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Batch, openStageContext, parseConfig, Rng, type StageEvent } from "@nsa/core";
import { Tokenizer, tokenizeFiles, trainBpe } from "@nsa/data";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { loadCorpus, pretrainSchema, runPretrain } from "../src/index.ts";
import { heldOut } from "../src/stages/pretrain/corpus.ts";
import { mixStages, openMix } from "../src/stages/pretrain/mix.ts";
import { bytesPerTarget } from "../src/stages/pretrain/run.ts";
import { openShards } from "../src/stages/pretrain/shards.ts";
import { Trainer } from "../src/trainer.ts";
import { tinyRecipe } from "./tiny-recipe.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-held-out-"));
afterAll(() => rmSync(root, { recursive: true }));

/** Bytes 12, 4 (ż has 2), 1, 2, 3 and as many tokens, each with its end-of-text token. */
const texts = ["abcdefghijkl", "żxy", "u", "vw", "rst"];
const bytes = new Tokenizer(
  trainBpe(texts, { vocabSize: 257, preTokenizer: "digits", specialTokens: ["<|endoftext|>"] }),
);
const file = join(root, "texts.jsonl");
const write = (path: string, lines: string[]) =>
  writeFileSync(path, lines.map((text) => JSON.stringify({ text })).join("\n"));
beforeAll(async () => {
  write(file, texts);
  writeFileSync(join(root, "tokenizer.json"), JSON.stringify(bytes.json));
  await tokenizeFiles([file], { tokenizer: bytes, out: join(root, "shards") });
});

const recipe = (data: object, train: object = {}) => {
  const tiny = tinyRecipe(1);
  const whole = { ...tiny, seed: 0, data, train: { ...tiny.train, ...train }, sample: { prompts: [] } };
  return parseConfig(pretrainSchema, whole as never, "test");
};
const fromFiles = { sources: [{ files: [file] }], tokenizer: join(root), validation_share: 0.4 };
const log = () => {};

test("a_share_is_rounded_and_at_least_one_document_is_held_out", () => {
  expect([heldOut(0.001, 40), heldOut(0.26, 10), heldOut(0.24, 10), heldOut(0.5, 9), heldOut(0, 10)]).toEqual(
    [1, 3, 2, 5, 0],
  );
  expect(() => heldOut(0.001, 1)).toThrowError(
    expect.objectContaining({ code: "corpus_empty", exitCode: 3 }),
  );
});

test("held_out_documents_are_those_the_seed_draws_and_a_target_s_bytes_count_no_special_one", async () => {
  expect([...new Rng(0, 12).permutation(5)]).toEqual([1, 0, 4, 3, 2]);
  const corpus = await loadCorpus(recipe(fromFiles), { log });
  const ids = (i: number) => [...bytes.encodeIds(texts[i]!), bytes.eosId];
  expect(corpus.validation.map((v) => [...v])).toEqual([ids(1), ids(0)]);
  expect(Array.from({ length: 3 }, (_, i) => Array.from(corpus.train.get(i)))).toEqual([
    ids(4),
    ids(3),
    ids(2),
  ]);
  expect(corpus.trainTokens).toBe(4 + 3 + 2);
  // 4 + 12 bytes in 5 + 13 tokens, of which the first of each document is no target.
  expect(bytesPerTarget(corpus)).toBeCloseTo(16 / 16, 12);
  const shards = openShards(
    join(root, "shards"),
    recipe({ shards: join(root, "shards"), validation_share: 0.4 }),
  );
  expect(shards.validation.map((v) => [...v])).toEqual([ids(1), ids(0)]);
  expect(bytesPerTarget(shards)).toBeCloseTo(16 / 16, 12);
  shards.close();
  const all = openShards(join(root, "shards"), recipe({ shards: join(root, "shards"), validation_share: 0 }));
  expect(bytesPerTarget(all)).toBe(0);
  all.close();
  // Documents are taken until there are enough tokens.
  const few = await loadCorpus(recipe({ ...fromFiles, validation_tokens: 5 }), { log });
  expect(few.validation.map((v) => [...v])).toEqual([ids(1)]);
  expect(bytesPerTarget(few)).toBeCloseTo(4 / 4, 12);
});

test("validation_batches_are_documents_cut_at_the_length_and_packed_to_the_budget", async () => {
  const evaluate = vi.spyOn(Trainer.prototype, "evaluate");
  const runDir = join(root, "run");
  mkdirSync(join(runDir, "checkpoints"), { recursive: true });
  const events: StageEvent[] = [];
  const context = openStageContext({ runDir, device: "cpu", onEvent: (e) => void events.push(e) });
  await runPretrain(recipe(fromFiles, { seq_len: 5, micro_batch_tokens: 8, micro_batches: 1 }), context);
  await context.close();
  const batches = [...evaluate.mock.calls[0]![0]] as Batch[];
  const a = bytes.encodeIds("abcdefghijkl");
  const [x, end] = [[...bytes.encodeIds("żxy")], bytes.eosId];
  const list = (values: ArrayLike<number>) => Array.from(values);
  // 4 positions of żxy; 12 of the other as 5 + 5 + 2, of which 5 + 2 fit into 8.
  expect(batches.map((b) => list(b.tokens))).toEqual([x, list(a.slice(0, 5)), list(a.slice(5, 12))]);
  expect(batches.map((b) => list(b.targets))).toEqual([
    [...x.slice(1), end],
    list(a.slice(1, 6)),
    [...a.slice(6, 12), end],
  ]);
  expect(batches.map((b) => list(b.positions))).toEqual([
    [0, 1, 2, 3],
    [0, 1, 2, 3, 4],
    [0, 1, 2, 3, 4, 0, 1],
  ]);
  expect(batches.map((b) => list(b.cuSeqlens))).toEqual([
    [0, 4],
    [0, 5],
    [0, 5, 7],
  ]);
  expect(batches.every((b) => b.lossWeight.every((w) => w === 1))).toBe(true);
  const { metrics } = events.find((e) => e.type === "eval")! as { metrics: Record<string, number> };
  expect(metrics["val/bits_per_byte"]! / metrics["val/loss"]!).toBeCloseTo(16 / 16 / Math.LN2, 9);
});

test("stages_of_a_mix_end_at_their_share_of_the_steps", () => {
  const config = (steps: number, stages?: object[]) =>
    recipe({ mix: { a: { shards: "a", weight: 2 }, b: { shards: "b" } }, mix_stages: stages }, { steps });
  const until = (steps: number, ...shares: number[]) => {
    const c = config(
      steps,
      shares.map((share, i) => ({ share, weights: { a: i + 1 } })),
    );
    return mixStages(c.data.mix!, c).map((s) => [s.until, s.weights.a]);
  };
  // 0.3·7 = 2.1 and 0.55·7 = 3.85.
  expect(until(7, 0.3, 0.25, 0.45)).toEqual([
    [2, 1],
    [4, 2],
    [7, 3],
  ]);
  const c = config(9);
  expect(mixStages(c.data.mix!, c)).toEqual([{ until: 9, weights: { a: 2, b: 1 } }]);
  expect(() => until(7, 0.3, 0.6)).toThrowError(expect.objectContaining({ code: "mix_stages", exitCode: 2 }));
});

test("a_mix_holds_out_tokens_of_each_part_by_its_mean_weight", async () => {
  const other = join(root, "other.jsonl");
  write(other, ["01234567", "89", "012", "3456", "78901"]);
  await tokenizeFiles([other], { tokenizer: bytes, out: join(root, "digits") });
  const mix = {
    a: { shards: join(root, "shards"), weight: 1 },
    b: { shards: join(root, "digits"), weight: 3 },
  };
  const of = (stages?: object[]) => {
    const config = recipe(
      { mix, mix_stages: stages, validation_share: 0.4, validation_tokens: 8 },
      { steps: 10 },
    );
    const corpus = openMix(config.data.mix!, config);
    const lengths = corpus.validation.map((v) => v.length);
    corpus.close();
    return { lengths, bytesPerTarget: bytesPerTarget(corpus) };
  };
  // Of 8 tokens, 2 from a (żxy has 5) and 6 from b: documents 1 and 0 in the order of the seed, 3 and 9 tokens.
  expect(of()).toEqual({
    lengths: [5, 3, 9],
    bytesPerTarget: expect.closeTo((4 + 10) / (4 + 2 + 8), 12),
  });
  // Stages: a for 4 of 10 steps, then both 1 : 1, so a 0.7 (5.6 tokens, 6) and b 0.3 (2.4, 2).
  const stages = [
    { share: 0.4, weights: { a: 5 } },
    { share: 0.6, weights: { a: 2, b: 2 } },
  ];
  expect(of(stages)).toEqual({
    lengths: [5, 13, 3],
    bytesPerTarget: expect.closeTo((16 + 2) / (4 + 12 + 2), 12),
  });
  // A part without weight gives none.
  expect(of([{ share: 1, weights: { b: 1 } }]).lengths).toEqual([3, 9]);
});
