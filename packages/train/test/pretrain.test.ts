// `nsa pretrain` as a library: what it records, exact resume, kills, interruption, bad input.
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { latestCheckpoint, openStageContext, parseConfig, Rng } from "@nsa/core";
import { afterAll, expect, test } from "vitest";
import { estimatePretrain, pretrainSchema, runPretrain } from "../src/index.ts";
import { loadCorpus } from "../src/stages/pretrain/corpus.ts";
import { tinyRecipe } from "./tiny-recipe.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-pretrain-"));
afterAll(() => rmSync(root, { recursive: true }));

function newRun(name: string): string {
  const dir = join(root, name);
  mkdirSync(join(dir, "checkpoints"), { recursive: true });
  return dir;
}

async function run(runDir: string, recipe: object, options: { resumeFrom?: string; stopAt?: number } = {}) {
  const abort = new AbortController();
  const context = openStageContext({
    runDir,
    device: "cpu",
    resumeFrom: options.resumeFrom,
    signal: abort.signal,
    onEvent: (e) => {
      if (e.type === "step" && e.step === options.stopAt) abort.abort();
      if (e.type === "start" && options.stopAt === 0) abort.abort();
    },
  });
  try {
    const config = parseConfig(pretrainSchema, recipe as Record<string, never>, "test");
    return await runPretrain(config, context);
  } finally {
    await context.close();
  }
}

const rows = (dir: string, file: string) =>
  readFileSync(join(dir, file), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
const weights = (dir: string) => readFileSync(join(latestCheckpoint(dir)!, "model.safetensors"));
const losses = (dir: string) =>
  rows(dir, "metrics.jsonl")
    .filter((r) => "train/loss" in r)
    .map((r) => [r.step, r["train/loss"]]);

test("a_run_lowers_its_loss_and_records_metrics_samples_and_a_checkpoint", async () => {
  const dir = newRun("whole");
  const result = await run(dir, tinyRecipe(60));
  const history = losses(dir);
  expect(result.status).toBe("completed");
  expect(history.length).toBe(60);
  expect(history[59]![1]).toBeLessThan(history[0]![1] - 1);
  expect(rows(dir, "samples.jsonl")[0].prompt).toBe("The ");
  expect(result.metrics["val/bits_per_byte"]).toBeGreaterThan(0);
  expect(result.outputs.checkpoint).toBe(latestCheckpoint(dir));
});

test("a_run_interrupted_and_resumed_equals_the_unbroken_one_bit_for_bit", async () => {
  const dir = newRun("broken");
  const first = await run(dir, tinyRecipe(60), { stopAt: 17 });
  expect([first.status, first.step]).toEqual(["interrupted", 17]);
  await run(dir, tinyRecipe(60), { resumeFrom: latestCheckpoint(dir)!, stopAt: 30 });
  await run(dir, tinyRecipe(60), { resumeFrom: latestCheckpoint(dir)! });
  expect(weights(dir).equals(weights(join(root, "whole")))).toBe(true);
  expect(losses(dir)).toEqual(losses(join(root, "whole")));
});

test("an_interruption_behind_a_save_that_was_due_leaves_its_checkpoint_as_it_is", async () => {
  const recipe = tinyRecipe(6, { eval_every: 2, save_every: 2, keep_last: 1 });
  const dir = newRun("stopped-at-a-save");
  const first = join(dir, "checkpoints/step-000002");
  const lossOf = () => JSON.parse(readFileSync(join(first, "state.json"), "utf8")).valLoss;
  await run(dir, recipe, { stopAt: 2 });
  const loss = lossOf();
  expect(loss).toBe(rows(dir, "metrics.jsonl").find((r) => r.step === 2 && "val/loss" in r)["val/loss"]);
  // Resumed, and interrupted before its first step.
  const resumed = await run(dir, recipe, { resumeFrom: first, stopAt: 0 });
  expect(resumed).toMatchObject({ status: "interrupted", step: 2, outputs: { checkpoint: first } });
  expect(lossOf()).toBe(loss);
});

test("the_validation_loss_of_a_checkpoint_is_that_of_its_step_and_of_saves_that_are_due", async () => {
  const recipe = tinyRecipe(9, { eval_every: 3, save_every: 2, keep_last: 9 });
  const losses = (dir: string) =>
    readdirSync(join(dir, "checkpoints"))
      .filter((name) => name.startsWith("step-"))
      .map((name) => {
        const { step, valLoss } = JSON.parse(
          readFileSync(join(dir, "checkpoints", name, "state.json"), "utf8"),
        );
        return [step, valLoss];
      });
  const dir = newRun("losses");
  await run(dir, recipe, { stopAt: 3 });
  await run(dir, recipe, { resumeFrom: latestCheckpoint(dir)! });
  const loss = Object.fromEntries(
    rows(dir, "metrics.jsonl").flatMap((r) => ("val/loss" in r ? [[r.step, r["val/loss"]]] : [])),
  );
  // Validated after 3, 6 and 9 steps; saved after 2, 4, 6, 8 and 9, and where the run was interrupted.
  expect(Object.keys(loss)).toEqual(["3", "6", "9"]);
  expect(losses(dir).sort(([a], [b]) => a - b)).toEqual([
    ...[2, 3, 4].map((step) => [step, undefined]),
    [6, loss[6]],
    [8, undefined],
    [9, loss[9]],
  ]);
});

test("a_run_killed_six_times_at_random_moments_equals_the_unbroken_one", async () => {
  // Long enough for six lives of a few steps each, however fast the machine: a life ends at its fourth checkpoint.
  const [whole, dir, steps] = [newRun("whole of the killed"), newRun("killed"), 70];
  await run(whole, tinyRecipe(steps));
  const child = fileURLToPath(new URL("./pretrain-child.ts", import.meta.url));
  const rng = new Rng(1, 77);
  let kills = 0;
  for (let attempt = 0; ; attempt++) {
    const done = await new Promise<boolean>((resolve, reject) => {
      const p = spawn(
        process.execPath,
        ["--conditions=nsa-source", "--import", "tsx", child, dir, `${steps}`],
        {
          stdio: ["ignore", "pipe", "inherit"],
        },
      );
      let finished = false;
      let saved = 0;
      createInterface({ input: p.stdout }).on("line", (line) => {
        if (line === "done") finished = true;
        // Armed by its first checkpoint, so that every life makes progress.
        if (!line.startsWith("saved") || kills >= 6) return;
        if (++saved === 1) setTimeout(() => p.kill("SIGKILL"), rng.int(40, attempt, 0));
        if (saved === 4) p.kill("SIGKILL");
      });
      p.on("exit", (code, signal) => {
        if (signal === "SIGKILL") kills++;
        else if (code !== 0) reject(new Error(`the child ended with ${code}`));
        resolve(finished);
      });
    });
    if (done) break;
    expect(attempt).toBeLessThan(20);
  }
  expect(kills).toBe(6);
  expect(weights(dir).equals(weights(whole))).toBe(true);
  expect(losses(dir)).toEqual(losses(whole));
}, 400_000);

test("bad_input_is_refused_with_its_exit_code", async () => {
  const empty = join(root, "empty.jsonl");
  writeFileSync(empty, "");
  const withData = (data: object) => ({ ...tinyRecipe(2), data });
  const refusals: [object, string, number][] = [
    [withData({ sources: [{ files: [empty] }] }), "corpus_empty", 3],
    [withData({ sources: [{ files: [join(root, "absent.txt")] }] }), "input_missing", 3],
    [withData({ tokenizer: join(root, "absent.json") }), "tokenizer_missing", 3],
    [{ ...tinyRecipe(2), model: { ...tinyRecipe(2).model, stride: 3 } }, "nsa_config_invalid", 2],
    [
      { ...tinyRecipe(2), model: { ...tinyRecipe(2).model, num_selected_blocks: 2 } },
      "nsa_config_invalid",
      2,
    ],
    [{ ...tinyRecipe(2), model: { ...tinyRecipe(2).model, vocab_size: 100 } }, "tokenizer_mismatch", 2],
  ];
  for (const [i, [recipe, code, exitCode]] of refusals.entries()) {
    await expect(run(newRun(`bad-${i}`), recipe), code).rejects.toThrowError(
      expect.objectContaining({ code, exitCode }),
    );
  }
});

test("the_estimate_counts_tokens_parameters_and_memory", () => {
  const estimate = estimatePretrain(parseConfig(pretrainSchema, tinyRecipe(10), "tiny"));
  expect(estimate.tokens).toBe(10 * 2 * 64);
  expect(estimate.memory_parameters_bytes).toBeGreaterThan(16 * estimate.parameters!);
  expect(estimate.flops).toBe(estimate.flops_per_token_actual! * 1280);
});

test("a_source_of_more_documents_than_a_call_takes_arguments_is_read", async () => {
  const recipe = tinyRecipe(1);
  const sources = [{ family: "arithmetic", documents: 140_000, template: "{question}" }];
  const data = { ...recipe.data, sources, tokenizer_documents: 100 };
  const many: object = { ...recipe, data };
  const config = parseConfig(pretrainSchema, many as Record<string, never>, "test");
  const corpus = await loadCorpus(config, { log: () => {} });
  expect(corpus.train.length).toBe(126_000);
  corpus.close();
});
