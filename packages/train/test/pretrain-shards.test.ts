// Pretraining from token shards: it learns, resumes to the same bits, and refuses ids of another tokenizer.
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { latestCheckpoint, openStageContext, parseConfig } from "@nsa/core";
import { Tokenizer, tokenizeFiles, trainBpe } from "@nsa/data";
import { afterAll, beforeAll, expect, test } from "vitest";
import { pretrainSchema, runPretrain } from "../src/index.ts";
import { tinyRecipe } from "./tiny-recipe.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-shards-"));
afterAll(() => rmSync(root, { recursive: true }));
const shards = join(root, "shards");

async function tokenize(out: string, vocabSize: number) {
  const texts = Array.from({ length: 30 }, (_, i) => `Page ${i}. ${"one and two are three. ".repeat(8)}`);
  const file = join(root, "texts.jsonl");
  writeFileSync(file, texts.map((text) => JSON.stringify({ text })).join("\n"));
  const json = trainBpe(texts, { vocabSize, preTokenizer: "digits", specialTokens: ["<|endoftext|>"] });
  await tokenizeFiles([file], { tokenizer: new Tokenizer(json), out });
}

beforeAll(() => tokenize(shards, 280));

async function run(name: string, data: object, options: { resumeFrom?: string; stopAt?: number } = {}) {
  const runDir = join(root, name);
  mkdirSync(join(runDir, "checkpoints"), { recursive: true });
  const abort = new AbortController();
  const onEvent = (e: { type: string; step?: number }) => {
    if (e.type === "step" && e.step === options.stopAt) abort.abort();
  };
  const { resumeFrom } = options;
  const context = openStageContext({ runDir, device: "cpu", resumeFrom, signal: abort.signal, onEvent });
  try {
    const recipe = { ...tinyRecipe(12), data } as never;
    return await runPretrain(parseConfig(pretrainSchema, recipe, "test"), context);
  } finally {
    await context.close();
  }
}

const weights = (name: string) =>
  readFileSync(join(latestCheckpoint(join(root, name))!, "model.safetensors"));

test("a_run_from_shards_learns_and_resumes_to_the_same_bits", async () => {
  const data = { shards, validation_share: 0.1 };
  const whole = await run("whole", data);
  expect(whole.status).toBe("completed");
  const losses = readFileSync(join(root, "whole", "metrics.jsonl"), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line)["train/loss"])
    .filter((x) => x !== undefined);
  expect(losses.at(-1)).toBeLessThan(losses[0] - 0.3);
  await run("broken", data, { stopAt: 5 });
  await run("broken", data, { resumeFrom: latestCheckpoint(join(root, "broken"))! });
  expect(weights("broken").equals(weights("whole"))).toBe(true);
});

test("shards_of_another_tokenizer_and_absent_ones_are_refused", async () => {
  const other = join(root, "other");
  await tokenize(other, 262);
  const resumeFrom = latestCheckpoint(join(root, "whole"))!;
  await expect(run("mixed", { shards: other }, { resumeFrom })).rejects.toThrow(/another tokenizer/);
  await expect(run("none", { shards: join(root, "absent") })).rejects.toThrow(/no token shards/);
});

test("the_ends_that_shards_were_made_with_go_into_checkpoints_and_shards_with_another_end_are_refused", async () => {
  const stated = (folder: string, ids: number[]) => {
    cpSync(shards, folder, { recursive: true });
    writeFileSync(join(folder, "generation_config.json"), JSON.stringify({ eos_token_id: ids }));
    return folder;
  };
  const data = { shards: stated(join(root, "ends"), [0, 7]), validation_share: 0.1 };
  await run("ends-run", data, { stopAt: 2 });
  const resumeFrom = latestCheckpoint(join(root, "ends-run"))!;
  expect(Tokenizer.load(resumeFrom).eosIds).toEqual([0, 7]);
  expect(Tokenizer.load(join(root, "ends-run", "tokenizer.json")).eosIds).toEqual([0, 7]);
  const other = { shards: stated(join(root, "other-ends"), [9]), validation_share: 0.1 };
  await expect(run("ends-run", other, { resumeFrom })).rejects.toMatchObject({
    code: "tokenizer_mismatch",
    exitCode: 3,
    what: expect.stringMatching(/end with .*\(9\), those of the checkpoint with .*\(0\)/),
  });
});

test("a_staged_mix_learns_resumes_to_the_same_bits_and_names_its_mistakes", async () => {
  const mix = { code: { shards }, math: { shards, weight: 3 } };
  const data = {
    mix,
    mix_stages: [
      { share: 0.5, weights: { code: 1 } },
      { share: 0.5, weights: { code: 1, math: 3 } },
    ],
    validation_share: 0.1,
  };
  await run("mix", data);
  await run("mix-broken", data, { stopAt: 8 });
  await run("mix-broken", data, { resumeFrom: latestCheckpoint(join(root, "mix-broken"))! });
  expect(weights("mix-broken").equals(weights("mix"))).toBe(true);
  const half = [{ share: 0.5, weights: { code: 1 } }];
  await expect(run("half", { mix, mix_stages: half })).rejects.toMatchObject({ code: "mix_stages" });
  const unknown = [{ share: 1, weights: { law: 1 } }];
  await expect(run("unknown", { mix, mix_stages: unknown })).rejects.toMatchObject({ code: "mix_unknown" });
  await tokenize(join(root, "other-mix"), 265);
  const foreign = { ...mix, other: { shards: join(root, "other-mix") } };
  await expect(run("foreign", { mix: foreign })).rejects.toMatchObject({ code: "tokenizer_mismatch" });
});
