// Parameter groups: a frozen group keeps its bits and owns its weights alone; decay and learning rate by group; gradients in buckets.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SafetensorsReader } from "@nsa/core";
import type { Device } from "@nsa/kernels";
import {
  INFERENCE_ONLY,
  layoutOf,
  loadCheckpoint,
  loadModel,
  logprobs,
  type ModelConfig,
  type ParameterGroup,
  Parameters,
  resolveModelConfig,
  saveCheckpoint,
  Transformer,
  trainMemory,
  weightBytes,
} from "@nsa/model";
import { afterAll, expect, test } from "vitest";
import { openBackend } from "../../kernels/test/backend.ts";
import { CountingSource, countingBatch, stepOf, tinyConfig } from "../../model/test/training-fixture.ts";
import {
  crossEntropy,
  estimateTraining,
  Optimizer,
  optimizerKinds,
  optimizerSchema,
  Trainer,
  trainerSchema,
} from "../src/index.ts";

const cpu = openBackend({ threads: 1 });
const root = mkdtempSync(join(tmpdir(), "nsa-groups-"));
afterAll(() => {
  cpu.close();
  rmSync(root, { recursive: true, force: true });
});

const frozen = (...weights: string[]): ParameterGroup[] => [{ name: "frozen", weights, trainable: false }];

/** What is frozen, and which names that comes to. */
const cases: Record<string, { groups: ParameterGroup[]; has: (name: string) => boolean; tied?: boolean }> = {
  "the embedding": { groups: frozen("model.embed_tokens.weight"), has: (n) => n.includes("embed_tokens") },
  "a tied embedding": {
    groups: frozen("model.embed_tokens.*"),
    has: (n) => n.includes("embed_tokens"),
    tied: true,
  },
  "all but the last layer": {
    groups: [
      { name: "last", weights: ["model.layers.1.*"] },
      { name: "rest", trainable: false },
    ],
    has: (n) => !n.startsWith("model.layers.1."),
  },
  "the first layer and the head": {
    groups: frozen("model.layers.0.*", "lm_head.weight", "model.norm.weight"),
    has: (n) => /layers\.0\.|lm_head|model\.norm/.test(n),
  },
  "all matrices, as a scale of norms learns": {
    groups: frozen("*_proj*", "*.phi_*", "model.embed_tokens.weight", "lm_head.weight"),
    has: (n) => !n.includes("norm"),
  },
};

function open(config: ModelConfig, groups?: readonly ParameterGroup[], more: object = {}, device = cpu) {
  const model = new Transformer(device, config, undefined, groups);
  model.parameters.init(4);
  const trainer = new Trainer(model, 8, { optimizer: { lr: 0.01, clip: 0 }, ...more }, undefined, {
    bucketBytes: 4096,
  });
  return { model, trainer, names: model.parameters.names.map(({ name }) => name) };
}

/** Gradients by name. */
function gradientsOf({ parameters }: Transformer): Map<string, number[]> {
  return new Map(
    parameters.tensorsIn(parameters.gradients!).map(({ name, shape, buffer, offset }) => {
      const view = buffer.view(offset, shape);
      const values = [...view.read()];
      view.free();
      return [name, values];
    }),
  );
}

for (const [what, { groups, has, tied = false }] of Object.entries(cases)) {
  for (const [dtype, recompute] of [
    ["fp32", false],
    ["fp32", true],
    ["bf16", false],
  ] as const) {
    const config = resolveModelConfig({ ...tinyConfig, tieEmbeddings: tied, dtype });
    const title = `${what}_frozen_in_${dtype}${recompute ? "_with_recompute" : ""}`.replaceAll(/\W+/g, "_");
    test(`${title}_changes_by_no_bit_and_the_others_get_the_gradients_of_the_whole_model`, () => {
      const part = open(config, groups, { recompute });
      const whole = open(config, undefined, { recompute });
      const before = new Map(part.names.map((name) => [name, part.model.parameters.readMaster(name)]));
      for (const name of whole.names)
        expect(before.get(name), name).toEqual(whole.model.parameters.readMaster(name));
      const source = new CountingSource();
      const first = source.next();
      const [a, b] = [part, whole].map(({ trainer }) => trainer.step(first, crossEntropy));
      expect(a!["train/loss"]).toBe(b!["train/loss"]);
      const [mine, all] = [gradientsOf(part.model), gradientsOf(whole.model)];
      expect([...mine.keys()].sort()).toEqual(part.names.filter((n) => !has(n)).sort());
      for (const [name, values] of mine) expect(values, name).toEqual(all.get(name));
      // The norm is that of the trained gradients alone.
      const squares = [...mine.values()].flat().reduce((s, g) => s + g * g, 0);
      expect(a!["train/grad_norm"]).toBeCloseTo(Math.sqrt(squares), 5);
      expect(a!["train/grad_norm"]).toBeLessThan(b!["train/grad_norm"]!);

      for (let i = 0; i < 2; i++) part.trainer.step(source.next(), crossEntropy);
      for (const name of part.names) {
        const same = part.model.parameters
          .readMaster(name)
          .every((x, i) => Object.is(x, before.get(name)![i]));
        expect(same, name).toBe(has(name));
      }
      for (const { trainer, model } of [part, whole]) {
        trainer.free();
        model.free();
      }
    });
  }
}

const held = (device: Device, purpose: string) =>
  device.tenants().find((t) => t.purpose === purpose)?.bytes ?? 0;

test("the_memory_of_a_frozen_group_is_its_weights_alone", () => {
  const config = resolveModelConfig({ ...tinyConfig, tieEmbeddings: false });
  // The embedding and the head have 17 × 16 numbers each, a multiple of 16.
  const rest = layoutOf(config).numel - 2 * 272;
  for (const dtype of ["fp32", "bf16"] as const) {
    const device = openBackend({ threads: 1 });
    const groups = frozen("model.embed_tokens.weight", "lm_head.weight");
    const { trainer } = open({ ...config, dtype }, groups, {}, device);
    trainer.step(stepOf(countingBatch(5, 0)), crossEntropy);
    expect(held(device, "weights") + held(device, "masters")).toBe((rest + 544) * (dtype === "bf16" ? 6 : 4));
    expect(held(device, "gradients")).toBe(4 * rest);
    expect(held(device, "moments")).toBe(2 * 4 * rest);
    device.close();
  }
});

test("a_step_makes_no_gradient_of_a_frozen_head_on_its_way", () => {
  // A gradient of the head would take 5000 × 16 numbers.
  const config = resolveModelConfig({ ...tinyConfig, vocabSize: 5000, tieEmbeddings: true });
  const transient = (groups: ParameterGroup[] | undefined) => {
    const device = openBackend({ threads: 1 });
    const { trainer } = open(config, groups, { logitsBudgetMb: 0 }, device);
    const step = () => trainer.step(stepOf(countingBatch(5, 0)), crossEntropy);
    step();
    const { liveBytes } = device.stats(true);
    step();
    const { peakBytes } = device.stats();
    device.close();
    return peakBytes - liveBytes;
  };
  expect(transient(frozen("model.embed_tokens.weight"))).toBeLessThanOrEqual(transient(undefined));
});

test("weights_for_inference_alone_are_held_in_the_dtype_of_computation", () => {
  const config = resolveModelConfig({ ...tinyConfig, dtype: "bf16" });
  const { weights, numel } = layoutOf(config);
  const vectors = weights.filter((w) => !w.matrix).reduce((n, w) => n + Math.ceil(w.shape[0]! / 16) * 16, 0);
  expect(vectors).toBeGreaterThan(0);
  const device = openBackend({ threads: 1 });
  const model = new Transformer(device, config, undefined, INFERENCE_ONLY);
  expect(held(device, "weights")).toBe(2 * (numel - vectors) + 4 * vectors);
  expect(weightBytes(config, INFERENCE_ONLY)).toBe(held(device, "weights"));
  expect(model.parameters.hasMasters).toBe(false);
  device.close();
});

test("a_reference_without_masters_has_the_bits_of_the_policy_and_is_not_saved", async () => {
  for (const dtype of ["bf16", "fp32"] as const) {
    const { model: policy, trainer } = open(resolveModelConfig({ ...tinyConfig, dtype }));
    const source = new CountingSource();
    trainer.step(source.next(), crossEntropy);
    const dir = join(root, `policy-${dtype}`);
    await saveCheckpoint(dir, { model: policy, step: 1 });
    const batch = countingBatch(5, 9);
    const logp = (model: Transformer) => [...logprobs(model, batch).logp];
    const reference = await loadModel(cpu, dir, {}, INFERENCE_ONLY);
    expect(logp(reference)).toEqual(logp(policy));
    trainer.step(source.next(), crossEntropy);
    expect(logp(reference)).not.toEqual(logp(policy));
    reference.parameters.copyFrom(policy.parameters);
    expect(logp(reference)).toEqual(logp(policy));
    const drawn = new Transformer(cpu, policy.config, undefined, INFERENCE_ONLY);
    drawn.parameters.init(4);
    expect(logp(drawn)).toEqual(logp(open(policy.config).model));
    if (dtype === "bf16") {
      await expect(saveCheckpoint(join(root, "no"), { model: reference, step: 1 })).rejects.toMatchObject({
        code: "masters_missing",
      });
    }
    expect(() => new Trainer(reference, 1)).toThrow(expect.objectContaining({ code: "nothing_to_train" }));
  }
});

for (const dtype of ["fp32", "bf16"] as const) {
  test(`a_run_with_a_frozen_group_resumes_with_equal_bits_in_${dtype}`, async () => {
    const config = resolveModelConfig({ ...tinyConfig, dtype });
    const groups = frozen("model.layers.0.*");
    const start = () => ({
      ...open(config, groups, { optimizer: { lr: 0.01 } }),
      source: new CountingSource(),
    });
    const whole = start();
    const first = new Map(whole.names.map((name) => [name, whole.model.parameters.readMaster(name)]));
    for (let i = 0; i < 2; i++) whole.trainer.step(whole.source.next(), crossEntropy);
    const dir = join(root, `resume-${dtype}`);
    const { optimizer } = whole.trainer;
    const stateful = [whole.trainer, whole.source];
    await saveCheckpoint(dir, { model: whole.model, optimizer, stateful, step: 2 });
    {
      using moments = SafetensorsReader.open(join(dir, "optimizer.safetensors"));
      const trained = whole.names.filter((name) => !name.startsWith("model.layers.0."));
      const wanted = trained.flatMap((name) => [`${name}.m`, `${name}.v`]);
      expect([...moments.entries.keys()].sort()).toEqual(wanted.sort());
      using weights = SafetensorsReader.open(join(dir, "model.safetensors"));
      expect(weights.entries.size).toBe(whole.names.length);
      const name = "model.layers.0.mlp.up_proj.weight";
      weights.forEachPiece(name, (values, at) => {
        if (at === 0) expect(Float64Array.from(values)).toEqual(first.get(name));
      });
    }
    const again = start();
    await loadCheckpoint(dir, {
      model: again.model,
      optimizer: again.trainer.optimizer,
      stateful: [again.trainer, again.source],
    });
    for (const { trainer, source } of [whole, again]) trainer.step(source.next(), crossEntropy);
    for (const name of whole.names)
      expect(again.model.parameters.readMaster(name), name).toEqual(whole.model.parameters.readMaster(name));
    // More weights are trained than the checkpoint has moments of.
    const more = open(config);
    await expect(
      loadCheckpoint(dir, { model: more.model, optimizer: more.trainer.optimizer }),
    ).rejects.toMatchObject({ code: "checkpoint_mismatch", exitCode: 3 });
  });
}

/** Untied, with biases: asymmetric sizes. */
const small = resolveModelConfig({
  vocabSize: 5,
  dModel: 6,
  numLayers: 2,
  numHeads: 2,
  numKvHeads: 1,
  headDim: 4,
  dFf: 7,
  attention: "full",
  qkvBias: true,
  tieEmbeddings: false,
});

/** One update with weights 0.5 and gradients 0.4 everywhere. */
function updated(groups: readonly ParameterGroup[], config: object): (name: string) => number[] {
  const parameters = new Parameters(cpu, small, undefined, groups).enableGradients();
  cpu.run("fill", { x: parameters.flat, value: 0.5 });
  cpu.run("fill", { x: parameters.gradients!, value: 0.4 });
  const optimizer = new Optimizer(parameters, optimizerSchema.parse({ clip: 0, ...config }));
  optimizer.prepare(0.1, 1, cpu.from(Float32Array.of(1), [1], "f32"));
  optimizer.apply(0.1);
  return (name) => [...parameters.readMaster(name)];
}

test("decay_and_learning_rate_of_each_group_by_hand", () => {
  const groups: ParameterGroup[] = [
    { name: "embeddings", weights: ["*embed*", "lm_head.weight"], decay: false, lrMultiplier: 3 },
    { name: "first", weights: ["model.layers.0.mlp.*"], lrMultiplier: 0.5 },
    { name: "still", weights: ["model.layers.0.self_attn.*"], lrMultiplier: 0 },
    { name: "frozen", weights: ["model.layers.1.mlp.*"], trainable: false },
  ];
  // m̂ = 0.4, v̂ = 0.16: u = 0.4/(0.4 + 0.01) = 0.97560976; lr 0.1, decay 0.2 of 0.5.
  const u = 0.4 / 0.41;
  const expected: [string, number][] = [
    ["model.embed_tokens.weight", 0.5 - 0.3 * u],
    ["lm_head.weight", 0.5 - 0.3 * u],
    ["model.layers.0.mlp.down_proj.weight", 0.5 - 0.05 * (u + 0.2 * 0.5)],
    ["model.layers.0.self_attn.q_proj.weight", 0.5],
    ["model.layers.0.self_attn.k_proj.bias", 0.5],
    ["model.layers.1.mlp.up_proj.weight", 0.5],
    ["model.layers.1.self_attn.o_proj.weight", 0.5 - 0.1 * (u + 0.2 * 0.5)],
    ["model.layers.1.self_attn.q_proj.bias", 0.5 - 0.1 * u],
    ["model.norm.weight", 0.5 - 0.1 * u],
  ];
  for (const stateDtype of ["fp32", "bf16"] as const) {
    const read = updated(groups, { eps: 0.01, weightDecay: 0.2, stateDtype });
    for (const [name, want] of expected) {
      // A bf16 moment is rounded to one part in 256.
      const digits = stateDtype === "bf16" ? 2 : 6;
      for (const x of read(name)) expect(x, `${name} ${stateDtype}`).toBeCloseTo(want, digits);
    }
  }
});

test("muon_takes_decay_and_learning_rate_of_each_group_and_a_group_may_name_its_kind", () => {
  // A matrix of equal numbers orthogonalizes to c in every element; 0.5·(1 − lr·decay) − lr·0.2·√max(rows, cols)·c.
  const name = "model.layers.0.mlp.down_proj.weight";
  const [plain] = updated([], { kind: "muon", weightDecay: 0 })(name);
  const step = 0.5 - plain!;
  expect(step).toBeGreaterThan(0.001);
  const own = { name: "own", weights: ["model.layers.0.mlp.*"], lrMultiplier: 2 };
  const [faster] = updated([own], { kind: "muon", weightDecay: 0.3 })(name);
  expect(faster).toBeCloseTo(0.5 * (1 - 0.2 * 0.3) - 2 * step, 6);
  const [undecayed] = updated([{ ...own, decay: false }], { kind: "muon", weightDecay: 0.3 })(name);
  expect(undecayed).toBeCloseTo(0.5 - 2 * step, 6);
  const adam = updated([{ ...own, optimizer: "adamw" }], { kind: "muon", weightDecay: 0.3, eps: 0.01 });
  expect(adam(name)[0]).toBeCloseTo(0.5 - 0.2 * (0.4 / 0.41 + 0.3 * 0.5), 6);
  const other = "model.layers.1.mlp.down_proj.weight";
  expect(adam(other)[0]).toBeCloseTo(0.5 * (1 - 0.1 * 0.3) - step, 6);
});

test("kinds_of_different_state_share_a_step_and_a_name_in_two_dtypes_is_refused", () => {
  optimizerKinds.register(
    {
      name: "test_sign",
      onDevice: false,
      buffers: () => ({ seen: "f32" }),
      apply({ device, parameters, groups }, lr) {
        for (const { from, to, lrMultiplier } of groups)
          device.run("binary_scalar", {
            a: parameters.flat.view(from, [to - from]),
            y: parameters.flat.view(from, [to - from]),
            value: -lr * lrMultiplier,
            kind: 0,
          });
      },
    },
    { name: "test_clash", onDevice: true, buffers: () => ({ m: "bf16" }), apply: () => {} },
  );
  const group = { name: "own", weights: ["model.norm.weight"], lrMultiplier: 3, optimizer: "test_sign" };
  const read = updated([group], { eps: 0.01, weightDecay: 0 });
  expect(read("model.norm.weight")[0]).toBeCloseTo(0.5 - 0.3, 6);
  expect(read("lm_head.weight")[0]).toBeCloseTo(0.5 - 0.1 * (0.4 / 0.41), 6);
  expect(() => updated([{ ...group, optimizer: "test_clash" }], {})).toThrow(
    expect.objectContaining({ code: "optimizer_state_conflict", exitCode: 2 }),
  );
});

test("groups_that_name_nothing_split_a_product_or_share_a_name_are_refused", () => {
  const refused = (groups: ParameterGroup[]) => {
    try {
      layoutOf(small, groups);
    } catch (error) {
      const { code, exitCode, what, why } = error as Record<string, unknown>;
      return [code, exitCode, `${what}: ${why}`];
    }
    return [];
  };
  const invalid = (text: RegExp) => ["parameter_group_invalid", 2, expect.stringMatching(text)];
  expect(refused(frozen("model.norm.wieght"))).toEqual(
    invalid(/"frozen": no tensor .* named model.norm.wieght; did you mean model.norm.weight/),
  );
  expect(refused(frozen("*.q_proj.weight"))).toEqual(
    invalid(/has model.layers.0.self_attn.q_proj.weight and not .*k_proj.weight/),
  );
  const [one] = frozen("lm_head.weight");
  expect(refused([one!, { name: "frozen" }])).toEqual(invalid(/two groups/));
  // A point is a point, and the first group that names a weight has it.
  expect(refused(frozen("model?norm.weight"))[0]).toBe("parameter_group_invalid");
  const { groups } = layoutOf(small, [...frozen("lm_head.*"), { name: "all", weights: ["*"], decay: false }]);
  expect(groups.map((g) => [g.name, g.weights.length])).toEqual([
    ["all", layoutOf(small).weights.length - 1],
    ["frozen", 1],
  ]);
});

test("buckets_follow_the_backward_and_cover_every_gradient_once", () => {
  const parameters = new Parameters(cpu, small, undefined, frozen("model.layers.0.mlp.*"));
  const short = (key: string) => key.replace(/^model\.layers\.(\d)\..*/, "$1");
  const buckets = parameters.buckets(1);
  expect(buckets.map((b) => [...new Set(b.weights.map(short))])).toEqual([
    ["norm", "lm_head"],
    ["1"],
    ["0"],
    ["embed"],
  ]);
  expect(buckets.map((b) => b.index)).toEqual([0, 1, 2, 3]);
  expect(buckets[2]!.weights.some((key) => key.includes("mlp"))).toBe(false);
  for (const bytes of [1, 900, 1e9]) {
    const ranges = parameters
      .buckets(bytes)
      .flatMap((b) => b.ranges)
      .sort((a, b) => a.from - b.from);
    expect(ranges[0]!.from).toBe(0);
    for (let i = 1; i < ranges.length; i++) expect(ranges[i]!.from).toBe(ranges[i - 1]!.to);
    expect(ranges.at(-1)!.to).toBe(parameters.layout.trainableNumel);
  }
  expect(parameters.buckets(1e9)).toHaveLength(1);
  // norm (16) + lm_head (32 for 30) = 48 elements are 192 bytes; the second bucket takes layer 1 whole.
  expect(buckets.map((b) => b.numel).slice(0, 1)).toEqual([48]);
  expect(parameters.buckets(193).map((b) => new Set(b.weights.map(short)).size)[0]).toBe(3);
});

for (const recordOps of [false, true]) {
  for (const recompute of [false, true]) {
    const how = `${recordOps ? "captured_steps" : "plain_steps"}${recompute ? "_that_recompute" : ""}`;
    test(`a_bucket_is_ready_once_a_step_when_its_gradients_are_final_in_${how}`, () => {
      const device = openBackend({ threads: 1, recordOps });
      const { model, trainer } = open(tinyConfig, undefined, { recompute }, device);
      const { parameters } = model;
      const source = new CountingSource();
      const at = ({ ranges }: { ranges: { from: number; to: number }[] }) =>
        ranges.flatMap(({ from, to }) => {
          const view = parameters.gradients!.view(from, [to - from]);
          const values = [...view.read()];
          view.free();
          return values;
        });
      for (let step = 0; step < 3; step++) {
        const seen: { index: number; values: number[]; lastLater: number[] }[] = [];
        const buckets = parameters.buckets(4096);
        expect(buckets.length).toBeGreaterThan(2);
        trainer.step(source.next(), crossEntropy, {
          onReady: (b) => seen.push({ index: b.index, values: at(b), lastLater: at(buckets.at(-1)!) }),
        });
        expect(seen.map((s) => s.index)).toEqual(buckets.map((b) => b.index));
        for (const { index, values } of seen) expect(values, `bucket ${index}`).toEqual(at(buckets[index]!));
        // A plain backward is on its way when the first is ready; a captured one is whole.
        const whole = JSON.stringify(seen[0]!.lastLater) === JSON.stringify(at(buckets.at(-1)!));
        expect(whole).toBe(device.canCapture);
      }
      expect(trainer.microSteps.captured > 0).toBe(device.canCapture);
      device.close();
    });
  }
}

test("the_estimate_counts_a_frozen_group_with_its_weights", () => {
  const options = { recompute: false, logitsBudgetBytes: 0 };
  const rope = 4 * small.maxSeqLen * small.headDim;
  // Two matrices of 5·6 in 32 elements each; all of the model's numbers lie in `numel` elements.
  const { numel } = layoutOf(small);
  const groups = frozen("model.embed_tokens.weight", "lm_head.weight");
  const bytes = (more: object, config = small) => trainMemory(config, 8, { ...options, ...more }).parameters;
  expect(bytes({})).toBe(16 * numel + rope);
  expect(bytes({ groups })).toBe(16 * (numel - 64) + 4 * 64 + rope);
  expect(bytes({ groups }, { ...small, dtype: "bf16" })).toBe(18 * (numel - 64) + 6 * 64 + rope);
  expect(bytes({ groups, optimizerBytesPerParameter: 4 })).toBe(12 * (numel - 64) + 4 * 64 + rope);
  const size = {
    steps: 1,
    microBatches: 1,
    microBatchTokens: 8,
    seqLen: 8,
    recompute: false,
    logitsBudgetMb: 0,
  };
  const train = trainerSchema.parse({
    groups: [{ name: "a", weights: ["lm_head.weight"], trainable: false }],
  });
  const estimate = estimateTraining(small, { ...size, ...train });
  expect(estimate.memory_parameters_bytes).toBe(16 * (numel - 32) + 4 * 32 + rope);
});
