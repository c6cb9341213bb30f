// The transformer as a whole: gradients, packed documents, recomputation, counts.
import { Device, lmHead, Tape, TensorMath } from "@nsa/kernels";
import { afterAll, expect, test } from "vitest";
import { openBackend } from "../../kernels/test/backend.ts";
import {
  type ModelConfigInput,
  parameterCount,
  resolveModelConfig,
  TrainWork,
  Transformer,
  trainFlops,
} from "../src/index.ts";

const reference = Device.open("reference");
const cpu = openBackend({ threads: 2 });
afterAll(() => {
  reference.close();
  cpu.close();
});

const tiny: ModelConfigInput = {
  vocabSize: 11,
  dModel: 8,
  numLayers: 2,
  numHeads: 2,
  numKvHeads: 1,
  dFf: 12,
  blockSize: 4,
  stride: 2,
  selectionBlockSize: 4,
  numSelectedBlocks: 3,
  windowSize: 4,
  maxSeqLen: 64,
  initStd: 0.3,
};

const batchOf = (lengths: number[]) => {
  const T = lengths.reduce((a, b) => a + b, 0);
  const cuSeqlens = Int32Array.from([
    0,
    ...lengths.map((_, i) => lengths.slice(0, i + 1).reduce((a, b) => a + b, 0)),
  ]);
  const tokens = Int32Array.from({ length: T }, (_, i) => (i * 7 + 3) % 11);
  const targets = Int32Array.from({ length: T }, (_, i) =>
    cuSeqlens.includes(i + 1) ? -1 : (i * 7 + 10) % 11,
  );
  return { tokens, targets, cuSeqlens };
};

function lossOf(model: Transformer, tape: Tape, batch: ReturnType<typeof batchOf>, recompute = false) {
  const m = new TensorMath(tape);
  const hidden = model.forward(tape, model.upload(batch), { recompute });
  const targets = model.device.from(batch.targets, [batch.targets.length], "i32");
  return m.neg(m.mean(lmHead(tape, hidden, model.headWeight, targets).logp));
}

for (const variant of [
  { attention: "nsa" },
  { attention: "nsa", compress: "weighted", compressedRope: "none", qkNorm: true },
  {
    attention: "nsa",
    compress: "mean",
    attentionLayers: ["full", "nsa"],
    tieEmbeddings: false,
    qkvBias: true,
  },
  { attention: "window", qkNorm: true, valueHeadDim: 6 },
] satisfies Partial<ModelConfigInput>[]) {
  test(`gradients_of_all_weights_match_differences ${JSON.stringify(variant)}`, () => {
    using _ = reference.scope();
    const model = new Transformer(reference, resolveModelConfig({ ...tiny, ...variant }), "f64");
    model.parameters.init(1).enableGradients();
    const batch = batchOf([9, 5]);
    const tape = new Tape();
    const loss = lossOf(model, tape, batch);
    tape.backward([[loss, reference.full([1], "f64", 1)]]);
    const evaluate = () => {
      using _inner = reference.scope();
      return lossOf(model, new Tape(false), batch).item();
    };
    for (const { name, shape } of model.parameters.names) {
      const { offset } = model.parameters.range(name);
      const numel = shape.reduce((a, b) => a * b, 1);
      const view = model.parameters.flat.view(offset, shape);
      const values = view.read();
      const gradient = model.parameters.gradients!.view(offset, shape).read();
      // A random direction in the whole tensor: one directional derivative checks all its elements.
      const direction = Float64Array.from({ length: numel }, (_, i) => Math.sin(1 + i * 1.7));
      const h = 1e-5 / Math.sqrt(numel);
      const at = (sign: number) => {
        view.write(values.map((v, i) => v + sign * h * direction[i]!));
        const y = evaluate();
        view.write(values);
        return y;
      };
      const numeric = (at(1) - at(-1)) / (2 * h);
      const analytic = gradient.reduce((s, g, i) => s + g * direction[i]!, 0);
      expect(Math.abs(analytic - numeric), name).toBeLessThan(1e-6 * Math.abs(numeric) + 1e-8);
    }
  });
}

test("a_packed_document_equals_the_document_alone_bit_for_bit", () => {
  using _ = cpu.scope();
  const model = new Transformer(cpu, resolveModelConfig({ ...tiny, attentionLayers: ["nsa", "window"] }));
  model.parameters.init(2);
  const packed = batchOf([13, 21, 6]);
  const rows = model.forward(new Tape(false), model.upload(packed)).read();
  const alone = { tokens: packed.tokens.slice(13, 34), cuSeqlens: Int32Array.of(0, 21) };
  const single = model.forward(new Tape(false), model.upload(alone)).read();
  expect([...rows.slice(13 * 8, 34 * 8)]).toEqual([...single]);
});

test("recomputation_gives_the_same_loss_and_gradients_bit_for_bit", () => {
  const gradients = [false, true].map((recompute) => {
    using _ = cpu.scope();
    const model = new Transformer(cpu, resolveModelConfig(tiny));
    model.parameters.init(3).enableGradients();
    const tape = new Tape();
    const loss = lossOf(model, tape, batchOf([17, 9]), recompute);
    tape.backward([[loss, cpu.full([1], "f32", 1)]]);
    const out = [loss.item(), ...model.parameters.gradients!.read()];
    model.free();
    return out;
  });
  expect(gradients[1]).toEqual(gradients[0]);
});

test("the_cpu_agrees_with_the_double_reference", () => {
  const losses = [cpu, reference].map((device) => {
    using _ = device.scope();
    const model = new Transformer(device, resolveModelConfig(tiny), device === cpu ? "f32" : "f64");
    model.parameters.init(4);
    return lossOf(model, new Tape(false), batchOf([30])).item();
  });
  expect(Math.abs(losses[0]! - losses[1]!)).toBeLessThan(1e-5);
});

test("counts_follow_the_formulas_by_hand", () => {
  const c = resolveModelConfig({ ...tiny, attention: "full" });
  const layer = 8 * (8 + 4 + 4) + 8 * 8 + 3 * 8 * 12 + 2 * 8;
  expect(parameterCount(c)).toBe(11 * 8 + 2 * layer + 8);
  const dense = 6 * (11 * 8 + 2 * (layer - 16));
  expect(trainFlops(c, 16).palm).toBe(dense + 2 * 12 * 8 * 16);
  expect(trainFlops(c, 16).causal).toBe(dense + 2 * 12 * 8 * 8.5);
  expect(trainFlops(c, 16).actual).toBe(trainFlops(c, 16).causal);
});

test("work_counts_each_document_at_its_own_length", () => {
  for (const attention of ["full", "nsa"] as const) {
    const c = resolveModelConfig({ ...tiny, attention });
    const work = new TrainWork(c);
    const expected = 16 * trainFlops(c, 16).actual + 3 * trainFlops(c, 3).actual;
    // The empty document costs nothing.
    expect(work.add({ cuSeqlens: Int32Array.of(0, 16, 16, 19) })).toBeCloseTo(expected, 6);
    expect(work.add({ cuSeqlens: Int32Array.of(0, 0) })).toBe(0);
    expect(work.flops).toBeCloseTo(expected, 6);
    if (attention === "full") expect(work.readShare).toBeCloseTo(1, 12);
  }
});

test("sizes_that_do_not_fit_are_refused_with_exit_2", () => {
  expect(() => resolveModelConfig({ ...tiny, numKvHeads: 3 })).toThrowError(
    expect.objectContaining({ code: "model_config_invalid", exitCode: 2 }),
  );
});
