// Distillation: what the loss is, that a student comes nearer to its teacher by either kind, exact resume, and what is refused.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openStageContext, parseConfig, type StageResult } from "@nsa/core";
import {
  cacheBytesPerToken,
  logprobs,
  readModelConfig,
  resolveModelConfig,
  Transformer,
  trainFlops,
} from "@nsa/model";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openBackend } from "../../kernels/test/backend.ts";
import { countingBatch, stepOf, tinyConfig } from "../../model/test/training-fixture.ts";
import { divergences } from "../src/distill/divergences.ts";
import { distillation } from "../src/distill/loss.ts";
import {
  estimateSft,
  pretrainSchema,
  runPretrain,
  runSft,
  sftSchema,
  sftStage,
  Trainer,
} from "../src/index.ts";
import { StudentSamples } from "../src/stages/sft/student-samples.ts";
import { tinyRecipe } from "./tiny-recipe.ts";

const cpu = openBackend({ threads: 1 });
const root = mkdtempSync(join(tmpdir(), "nsa-distill-"));
afterAll(() => {
  cpu.close();
  rmSync(root, { recursive: true, force: true });
});

const config = resolveModelConfig({ ...tinyConfig, initStd: 0.2 });
function drawn(seed: number, more: object = {}): Transformer {
  const model = new Transformer(cpu, resolveModelConfig({ ...config, ...more }));
  model.parameters.init(seed);
  return model;
}

/** log-probabilities of all tokens at a position: the batch once for each token as the target. */
function distributions(model: Transformer, batch: ReturnType<typeof countingBatch>, temperature: number) {
  return Array.from({ length: 17 }, (_, id) => {
    const targets = batch.targets.map((t) => (t < 0 ? -1 : id));
    return logprobs(model, { ...batch, targets }, { temperature }).logp;
  });
}

for (const [name, weight, temperature] of [
  ["forward_kl", 1, 1],
  ["reverse_kl", 1, 1.5],
  ["forward_kl", 0.25, 2],
] as const)
  test(`the_loss_is_the_mean_divergence_beside_cross_entropy_${name}_${weight}`, () => {
    // The teacher is wider, deeper and of another attention.
    const [student, teacher] = [
      drawn(1),
      drawn(2, { dModel: 24, headDim: 8, numLayers: 3, attention: "full" }),
    ];
    const batches = [countingBatch(5, 0), countingBatch(6, 1, 3, 11)];
    let [sum, tokens, n] = [0, 0, 0];
    for (const batch of batches) {
      const [s, t] = [student, teacher].map((m) => distributions(m, batch, temperature));
      const logp = logprobs(student, batch).logp;
      for (const [i, w] of batch.lossWeight.entries()) {
        if (w === 0) continue;
        n++;
        tokens -= logp[i]!;
        for (let id = 0; id < 17; id++) {
          const [q, p] = [s![id]![i]!, t![id]![i]!];
          sum += name === "forward_kl" ? Math.exp(p) * (p - q) : Math.exp(q) * (q - p);
        }
      }
    }
    const settings = { divergence: divergences.get(name), temperature, topK: 0, weight };
    const trainer = new Trainer(student, 2, { optimizer: { lr: 0 } });
    const metrics = trainer.step(stepOf(...batches), distillation(student, teacher, settings));
    expect(metrics["distill/divergence"]).toBeCloseTo(sum / n, 4);
    expect(metrics["distill/cross_entropy"]).toBeCloseTo(tokens / n, 4);
    expect(metrics["train/loss"]).toBeCloseTo((weight * sum) / n + ((1 - weight) * tokens) / n, 4);
    expect(metrics["train/grad_norm"]).toBeGreaterThan(0.01);
  });

test("a_student_that_is_its_teacher_has_nothing_to_learn", () => {
  for (const name of ["forward_kl", "reverse_kl"]) {
    const [student, teacher] = [drawn(1), drawn(1)];
    const trainer = new Trainer(student, 2, { optimizer: { lr: 0, clip: 0 } });
    const settings = { divergence: divergences.get(name), temperature: 1, topK: 0, weight: 1 };
    const metrics = trainer.step(stepOf(countingBatch(5, 0)), distillation(student, teacher, settings));
    expect(Math.abs(metrics["train/loss"]!)).toBeLessThan(1e-6);
    expect(metrics["train/grad_norm"]).toBeLessThan(1e-5);
  }
});

test("the_gradient_is_the_slope_of_the_loss_in_the_weights", () => {
  const teacher = drawn(2);
  const batch = countingBatch(5, 0);
  const lossAt = (change: (values: Float64Array) => void) => {
    const student = drawn(1);
    const { flat } = student.parameters;
    const values = flat.read();
    change(values);
    flat.write(values);
    const trainer = new Trainer(student, 2, { optimizer: { lr: 0, clip: 0 } });
    const settings = { divergence: divergences.get("reverse_kl"), temperature: 1.3, topK: 0, weight: 0.5 };
    const { "train/loss": loss } = trainer.step(stepOf(batch), distillation(student, teacher, settings));
    return { loss: loss!, gradient: student.parameters.gradients!.read() };
  };
  const { gradient } = lossAt(() => {});
  // Along the gradient itself: the slope is its squared norm.
  const norm = Math.hypot(...gradient);
  const along = (h: number) =>
    lossAt((values) => {
      for (const [i, g] of gradient.entries()) values[i] = values[i]! + (h * g) / norm;
    }).loss;
  expect((along(5e-3) - along(-5e-3)) / 1e-2 / norm).toBeCloseTo(1, 2);
});

let base = "";
let teacher = "";
const examples = join(root, "examples.jsonl");

async function stage<C>(
  name: string,
  run: (config: C, context: ReturnType<typeof openStageContext>) => Promise<StageResult>,
  recipe: C,
  options: { resumeFrom?: string; stopAt?: number } = {},
) {
  const runDir = join(root, name);
  mkdirSync(join(runDir, "checkpoints"), { recursive: true });
  const abort = new AbortController();
  const steps: Record<string, number>[] = [];
  const context = openStageContext({
    runDir,
    device: "cpu",
    signal: abort.signal,
    ...(options.resumeFrom ? { resumeFrom: options.resumeFrom } : {}),
    onEvent: (e) => {
      if (e.type === "step") steps.push(e.metrics);
      if (e.type === "step" && e.step === options.stopAt) abort.abort();
    },
  });
  try {
    return { result: await run(recipe, context), steps };
  } finally {
    await context.close();
  }
}

const recipe = (set: object = {}, train: object = {}) =>
  parseConfig(
    sftSchema,
    {
      init_from: base,
      threads: 1,
      data: { sources: [{ files: [examples], prompt: "Q: {q} A:", completion: " {a}" }] },
      train: {
        ...{ steps: 40, micro_batch_tokens: 96, seq_len: 64, eval_every: 0, save_every: 10 },
        optimizer: { lr: 0.02, weight_decay: 0 },
        ...train,
      },
      sample: { prompts: 0 },
      ...set,
    } as never,
    "test",
  );

beforeAll(async () => {
  const first = await stage("base", runPretrain, parseConfig(pretrainSchema, tinyRecipe(2), "tiny"));
  base = first.result.outputs.checkpoint!;
  const rows = Array.from({ length: 40 }, (_, i) => JSON.stringify({ q: `n ${i % 5}`, a: `yes ${i % 5}` }));
  writeFileSync(examples, `${rows.join("\n")}\n`);
  teacher = (await stage("teacher", runSft, recipe())).result.outputs.checkpoint!;
});

const weights = ({ outputs }: StageResult) => readFileSync(join(outputs.checkpoint!, "model.safetensors"));

for (const [kind, set] of [
  ["logits", { top_k: 40 }],
  ["on_policy", { prompts: 6, samples: 2, max_tokens: 8 }],
] as const)
  test(`a_student_comes_nearer_to_its_teacher_and_resumes_with_equal_bits_${kind}`, async () => {
    const own = recipe({ distill: { teacher, kind, ...set } }, { optimizer: { lr: 0.01, weight_decay: 0 } });
    const whole = await stage(kind, runSft, own);
    const divergence = whole.steps.map((m) => m["distill/divergence"]!);
    const mean = (from: number, to: number) =>
      divergence.slice(from, to).reduce((a, b) => a + b, 0) / (to - from);
    expect(mean(35, 40)).toBeLessThan(0.5 * mean(0, 5));
    await stage(`${kind}-parts`, runSft, own, { stopAt: 25 });
    const resumeFrom = join(root, `${kind}-parts`, "checkpoints", "step-000020");
    const parts = await stage(`${kind}-parts`, runSft, own, { resumeFrom });
    expect(weights(parts.result).equals(weights(whole.result))).toBe(true);
  });

test("a_student_of_adapters_is_taught_on_its_own_samples", async () => {
  const distill = { teacher, kind: "on_policy", prompts: 4, max_tokens: 6 };
  const { result, steps } = await stage(
    "adapters",
    runSft,
    recipe({ distill, adapter: { rank: 4 } }, { steps: 20 }),
  );
  expect(steps.at(-1)!["distill/divergence"]).toBeLessThan(steps[0]!["distill/divergence"]!);
  expect(readFileSync(join(result.outputs.checkpoint!, "adapter.safetensors")).length).toBeGreaterThan(100);
});

test("the_teachers_tokenizer_is_an_input_of_the_stage", () => {
  const inputs = sftStage.inputFiles!(recipe({ distill: { teacher: "models/teacher" } }));
  expect(inputs).toContain(join("models/teacher", "tokenizer.json"));
  expect(sftStage.inputFiles!(recipe())).toEqual([join(base, "tokenizer.json"), examples]);
});

test("a_state_of_samples_that_is_none_is_refused", () => {
  const sampling = {
    prompts: 2,
    samples: 1,
    maxTokens: 4,
    samplingTemperature: 1,
    microBatchTokens: 64,
    seed: 3,
  };
  const known = [{ ids: [1, 2, 3], promptLength: 2 }] as never;
  const samples = new StudentSamples({ examples: known } as never, sampling);
  const order = { epoch: 2, index: 0, of: 1 };
  samples.load({ order, drawn: 5 });
  expect(samples.save()).toEqual({ order, drawn: 5 });
  for (const state of [null, { order }, { order, drawn: -1 }, { order, drawn: 1.5 }, { drawn: 5 }])
    expect(() => samples.load(state), JSON.stringify(state)).toThrowError(
      expect.objectContaining({ code: "state_invalid", exitCode: 3 }),
    );
  // A refused state leaves what there was.
  expect(samples.save()).toEqual({ order, drawn: 5 });
});

test("what_cannot_teach_is_refused_by_name", async () => {
  const run = (distill: object, more: object = {}) => stage("refused", runSft, recipe({ distill, ...more }));
  await expect(run({ teacher, kind: "on_policy", top_k: 3 })).rejects.toMatchObject({
    code: "distill_invalid",
    what: expect.stringContaining("top_k 3 with reverse_kl"),
    exitCode: 2,
  });
  await expect(run({ teacher, kind: "on_policy", weight: 0.5 })).rejects.toMatchObject({ exitCode: 2 });
  await expect(run({ teacher: join(root, "absent") })).rejects.toMatchObject({ exitCode: 3 });
  const other = parseConfig(pretrainSchema, { ...tinyRecipe(1), seed: 9 } as never, "tiny");
  const { sources } = other.data;
  const words = join(root, "words.txt");
  writeFileSync(words, "completely other words, over and over, than those of stories. ".repeat(200));
  const strange = {
    ...other,
    data: { ...other.data, sources: [{ ...sources![0]!, generate: undefined, files: [words] }] },
  };
  const { result } = await stage("other", runPretrain, strange as never);
  await expect(run({ teacher: result.outputs.checkpoint! })).rejects.toMatchObject({
    code: "tokenizer_mismatch",
    exitCode: 3,
  });
});

test("an_estimate_counts_the_teacher", () => {
  const alone = estimateSft(recipe());
  const taught = estimateSft(recipe({ distill: { teacher } }));
  expect(taught.memory_bytes! - alone.memory_bytes!).toBe(taught.memory_teacher_bytes);
  // The tiny model's numbers in fp32; its forward is a third of a training step of the same size.
  expect(taught.memory_teacher_bytes).toBeGreaterThanOrEqual(4 * alone.parameters!);
  expect(taught.flops! / alone.flops!).toBeCloseTo(4 / 3, 6);
  // Its own outputs: 2 · 3 documents of up to 64 + 100 tokens are in the cache at once, of which the model reads 128.
  const distill = { teacher, kind: "on_policy", prompts: 2, samples: 3, max_tokens: 100 };
  const sampled = estimateSft(recipe({ distill }));
  expect(sampled.memory_cache_bytes).toBe(6 * 128 * cacheBytesPerToken(readModelConfig(base)));
  // 40 steps of 6 outputs. A forward of each model is a third of a training step at that length: 5/3 of it with the student's sampling.
  expect([sampled.tokens, sampled.sampled_tokens_at_most]).toEqual([40 * 6 * 164, 40 * 6 * 100]);
  const { actual } = trainFlops(readModelConfig(base), 164);
  expect(sampled.flops! / actual / (40 * 6 * 164)).toBeCloseTo(5 / 3, 6);
});
