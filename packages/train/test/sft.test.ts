// `nsa sft` as a library: loss on completions only, learning, exact resume, bad input.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { latestCheckpoint, openStageContext, parseConfig } from "@nsa/core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { packExamples, pretrainSchema, runPretrain, runSft, sftSchema } from "../src/index.ts";
import { tinyRecipe } from "./tiny-recipe.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-sft-"));
afterAll(() => rmSync(root, { recursive: true }));
let base = "";
const examples = join(root, "examples.jsonl");

function open(name: string, resumeFrom?: string, stopAt?: number) {
  const runDir = join(root, name);
  mkdirSync(join(runDir, "checkpoints"), { recursive: true });
  const abort = new AbortController();
  return openStageContext({
    runDir,
    device: "cpu",
    resumeFrom,
    signal: abort.signal,
    onEvent: (e) => {
      if (e.type === "step" && e.step === stopAt) abort.abort();
    },
  });
}

beforeAll(async () => {
  const context = open("base");
  const result = await runPretrain(parseConfig(pretrainSchema, tinyRecipe(2), "tiny"), context);
  await context.close();
  base = result.outputs.checkpoint!;
  const rows = Array.from({ length: 40 }, (_, i) => JSON.stringify({ q: `n ${i % 5}`, a: `yes ${i % 5}` }));
  writeFileSync(examples, `${rows.join("\n")}\n`);
});

const recipe = (changes: object = {}) => ({
  init_from: base,
  threads: 1,
  data: { sources: [{ files: [examples], prompt: "Q: {q} A:", completion: " {a}", ...changes }] },
  train: { steps: 40, micro_batch_tokens: 96, seq_len: 64, optimizer: { lr: 0.02 }, eval_every: 0 },
  sample: { prompts: 1, max_tokens: 6 },
});

interface SftOptions {
  resumeFrom?: string;
  stopAt?: number;
  changes?: object;
  train?: object;
  data?: object;
}

async function sft(name: string, options: SftOptions = {}) {
  const context = open(name, options.resumeFrom, options.stopAt);
  try {
    const chosen = recipe(options.changes);
    const data = { ...chosen.data, ...options.data };
    const whole = { ...chosen, data, train: { ...chosen.train, ...options.train } };
    return await runSft(parseConfig(sftSchema, whole as never, "sft"), context);
  } finally {
    await context.close();
  }
}

test("only_the_tokens_of_completions_carry_loss_and_documents_stay_apart", () => {
  const example = { ids: Int32Array.of(5, 6, 7, 8, 0), promptLength: 3, format: "cot", prompt: "" };
  const batch = packExamples([example, example], [0, 1]);
  expect([...batch.tokens]).toEqual([5, 6, 7, 8, 5, 6, 7, 8]);
  expect([...batch.targets]).toEqual([-1, -1, 8, 0, -1, -1, 8, 0]);
  expect([...batch.lossWeight]).toEqual([0, 0, 1, 1, 0, 0, 1, 1]);
  expect([...batch.cuSeqlens]).toEqual([0, 4, 8]);
});

test("answers_are_learned_and_reported_by_format", async () => {
  const result = await sft("whole");
  expect(result.status).toBe("completed");
  expect(result.metrics["val/loss"]).toBeLessThan(1);
  const rows = readFileSync(join(root, "whole", "metrics.jsonl"), "utf8");
  expect(rows).toContain('"val/loss_cot"');
  const first = JSON.parse(rows.split("\n")[0]!)["train/loss"];
  expect(first).toBeGreaterThan(4);
});

test("an_interrupted_run_resumes_to_the_same_bits", async () => {
  await sft("broken", { stopAt: 13 });
  await sft("broken", { resumeFrom: latestCheckpoint(join(root, "broken"))! });
  const weights = (name: string) =>
    readFileSync(join(latestCheckpoint(join(root, name))!, "model.safetensors"));
  expect(weights("broken").equals(weights("whole"))).toBe(true);
});

test("examples_on_demand_give_the_same_weights_also_after_an_interruption", async () => {
  const data = { on_demand: true };
  await sft("on-demand", { data, stopAt: 17 });
  await sft("on-demand", { data, resumeFrom: latestCheckpoint(join(root, "on-demand"))! });
  const weights = (name: string) =>
    readFileSync(join(latestCheckpoint(join(root, name))!, "model.safetensors"));
  expect(weights("on-demand").equals(weights("whole"))).toBe(true);
  await expect(sft("packed", { data, train: { packing: "bfd" } })).rejects.toMatchObject({
    code: "sft_on_demand",
    exitCode: 2,
  });
});

test("a_template_with_an_unknown_field_names_the_line_and_exits_3", async () => {
  await expect(sft("bad", { changes: { prompt: "{question}" } })).rejects.toThrowError(
    expect.objectContaining({
      code: "data_field_missing",
      exitCode: 3,
      what: expect.stringMatching(/examples\.jsonl:1/),
    }),
  );
});

for (const packing of ["bfd", "wrapped"]) {
  test(`${packing}_packs_are_learned_from_and_resume_to_the_same_bits`, async () => {
    const train = { packing };
    const result = await sft(`${packing}-whole`, { train });
    expect(result.metrics["val/loss"]).toBeLessThan(1);
    await sft(`${packing}-broken`, { train, stopAt: 9 });
    const resumeFrom = latestCheckpoint(join(root, `${packing}-broken`))!;
    await sft(`${packing}-broken`, { train, resumeFrom });
    const weights = (name: string) =>
      readFileSync(join(latestCheckpoint(join(root, name))!, "model.safetensors"));
    expect(weights(`${packing}-broken`).equals(weights(`${packing}-whole`))).toBe(true);
  });
}
