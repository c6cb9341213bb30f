// Every taped op outside attention against central differences in the double-precision reference.
import { afterAll, expect, test } from "vitest";
import {
  Device,
  type Divergence,
  distillHead,
  embedding,
  gatherRows,
  linear,
  lmHead,
  type RowMath,
  rmsNorm,
  ropeFrequencies,
  ropeTables,
  scatterRows,
  splitHeads,
  swigluDown,
  Tape,
  type Tensor,
  TensorMath,
} from "../src/index.ts";
import { noise } from "./nsa-fixture.ts";

const device = Device.open("reference");
afterAll(() => device.close());

/** Largest relative error ‖analytic − numeric‖/‖numeric‖ over the inputs, for Σ c·output with fixed random c. */
function gradientError(
  shapes: number[][],
  body: (tape: Tape, inputs: Tensor[]) => Tensor[],
  transform = (x: number) => x,
): number {
  using _ = device.scope();
  const next = noise(7);
  const values = shapes.map((s) =>
    Array.from({ length: s.reduce((a, b) => a * b, 1) }, () => transform(next())),
  );
  const weights: number[][] = [];
  const inputs = () => values.map((v, i) => device.from(v, shapes[i]!, "f64"));
  const evaluate = () => {
    using _inner = device.scope();
    return body(new Tape(false), inputs()).reduce((sum, out, i) => {
      weights[i] ??= Array.from({ length: out.numel }, () => next());
      return out.read().reduce((s, x, j) => s + x * weights[i]![j]!, sum);
    }, 0);
  };
  evaluate();
  const tape = new Tape();
  const taped = inputs();
  for (const t of taped) t.requiresGrad = true;
  const outputs = body(tape, taped);
  tape.backward(outputs.map((out, i) => [out, device.from(weights[i]!, out.shape, "f64")]));
  let worst = 0;
  for (const [i, v] of values.entries()) {
    const analytic = taped[i]!.grad!.read();
    let [difference, norm] = [0, 0];
    for (let j = 0; j < v.length; j++) {
      const x = v[j]!;
      const h = 1e-5;
      v[j] = x + h;
      const up = evaluate();
      v[j] = x - h;
      const down = evaluate();
      v[j] = x;
      const numeric = (up - down) / (2 * h);
      difference += (analytic[j]! - numeric) ** 2;
      norm += numeric ** 2;
    }
    worst = Math.max(worst, Math.sqrt(difference / Math.max(norm, 1e-20)));
  }
  return worst;
}

const i32 = (values: number[]) => device.from(values, [values.length], "i32");

test("linear_with_bias_and_residual", () => {
  const error = gradientError([[3, 4], [5, 4], [5], [3, 5]], (tape, [x, w, bias, residual]) => [
    linear(tape, x!, w!, { bias: bias!, residual: residual! }),
  ]);
  expect(error).toBeLessThan(1e-6);
});

test("a_residual_block_adds_both_paths_into_its_input", () => {
  const error = gradientError([[3, 4], [4], [4, 4]], (tape, [x, norm, w]) => [
    linear(tape, rmsNorm(tape, x!, norm!, 1e-5), w!, { residual: x! }),
  ]);
  expect(error).toBeLessThan(1e-6);
});

test("embedding_gather_and_scatter", () => {
  expect(gradientError([[4, 3]], (tape, [w]) => [embedding(tape, w!, i32([1, 3, 1, 0]))])).toBeLessThan(1e-6);
  expect(gradientError([[4, 3]], (tape, [x]) => [gatherRows(tape, x!, i32([2, 0]))])).toBeLessThan(1e-6);
  expect(gradientError([[2, 3]], (tape, [y]) => [scatterRows(tape, y!, i32([3, 1]), 5)])).toBeLessThan(1e-6);
});

test("rms_norm_over_heads_and_a_swiglu_mlp", () => {
  expect(gradientError([[3, 8], [4]], (tape, [x, w]) => [rmsNorm(tape, x!, w!, 1e-5)])).toBeLessThan(1e-6);
  const down = [
    [3, 8],
    [5, 4],
    [3, 5],
  ];
  for (const keep of [false, true])
    expect(gradientError(down, (tape, [gu, w, x]) => [swigluDown(tape, gu!, w!, x!, keep)])).toBeLessThan(
      1e-6,
    );
  const mlp = gradientError(
    [
      [3, 6],
      [8, 6],
      [6, 4],
    ],
    (tape, [x, up, w]) => [swigluDown(tape, linear(tape, x!, up!), w!, x!)],
  );
  expect(mlp).toBeLessThan(1e-6);
});

/** W [7, 3] of projections of 2, 1 and 4 rows; the first and the last have adapters, of ranks 2 and 1. */
const adapted = { w: [7, 3], a: [3, 3], b1: [2, 2], b2: [4, 1], scales: [0.5, 3] as const };

const adapterOf = (a: Tensor, b1: Tensor, b2: Tensor) => ({
  a,
  blocks: [
    { b: b1, column: 0, row: 0, scale: adapted.scales[0] },
    { b: b2, column: 3, row: 2, scale: adapted.scales[1] },
  ],
});

test("adapters_of_a_fused_weight_have_the_gradients_of_their_projections", () => {
  const { w, a, b1, b2 } = adapted;
  const error = gradientError(
    [[5, 3], w, [7], [5, 7], a, b1, b2],
    (tape, [x, W, bias, residual, A, B1, B2]) => [
      linear(tape, x!, W!, { bias: bias!, residual: residual!, adapter: adapterOf(A!, B1!, B2!) }),
    ],
  );
  expect(error).toBeLessThan(1e-6);
  // The hidden layer of three channels goes down to five, by an adapter of rank two.
  for (const keep of [false, true]) {
    const down = gradientError(
      [
        [4, 6],
        [5, 3],
        [4, 5],
        [2, 3],
        [5, 2],
      ],
      (tape, [gu, W, x, A, B]) => [
        swigluDown(tape, gu!, W!, x!, keep, { a: A!, blocks: [{ b: B!, column: 0, row: 0, scale: 0.75 }] }),
      ],
    );
    expect(down).toBeLessThan(1e-6);
  }
});

test("an_adapter_adds_its_scaled_products_to_the_rows_of_its_projections_alone", () => {
  using _ = device.scope();
  const next = noise(11);
  const draw = (shape: number[]) =>
    device.from(
      Array.from({ length: shape.reduce((p, q) => p * q, 1) }, () => next()),
      shape,
      "f64",
    );
  const { w, a, b1, b2, scales } = adapted;
  const [x, W, A, B1, B2] = [[5, 3], w, a, b1, b2].map(draw) as [Tensor, Tensor, Tensor, Tensor, Tensor];
  const [av, w0, v1, v2] = [A, W, B1, B2].map((t) => t.read()) as Float64Array[];
  // W + s·B·A by hand: rows 0 and 1 by the first two rows of A, rows 3 to 6 by its third; row 2 stays.
  const merged = w0!.map((value, i) => {
    const [row, k] = [Math.floor(i / 3), i % 3];
    if (row < 2) return value + scales[0] * (v1![2 * row]! * av![k]! + v1![2 * row + 1]! * av![3 + k]!);
    return row === 2 ? value : value + scales[1] * v2![row - 3]! * av![6 + k]!;
  });
  const y = linear(new Tape(false), x, W, { adapter: adapterOf(A, B1, B2) }).read();
  const expected = linear(new Tape(false), x, device.from(merged, w, "f64")).read();
  for (const [i, value] of expected.entries()) expect(y[i]).toBeCloseTo(value, 12);
});

const kl = {
  /** Σ p·log(p/q) and Σ q·log(q/p), as formulas on rows. */
  forward: ({ math, sum }: RowMath, s: Tensor, t: Tensor) => {
    const p = math.exp(t);
    return { loss: sum(math.mul(p, math.sub(t, s))), slope: math.sub(math.exp(s), p) };
  },
  reverse: ({ math, sum, spread }: RowMath, s: Tensor, t: Tensor) => {
    const q = math.exp(s);
    const loss = sum(math.mul(q, math.sub(s, t)));
    return { loss, slope: math.mul(q, math.sub(math.sub(s, t), spread(loss))) };
  },
};

test("a_divergence_of_heads_has_the_gradients_of_its_formula_whatever_the_chunks", () => {
  using _ = device.scope();
  const next = noise(5);
  const draw = (rows: number, cols: number) =>
    device.from(
      Array.from({ length: rows * cols }, () => 2 * next()),
      [rows, cols],
      "f64",
    );
  // Five rows, students of width 3 and teachers of width 4 over seven words.
  const teacher = { h: draw(5, 4), w: draw(7, 4) };
  const weight = device.from([0.5, 0, 2, 1, 0.25], [5], "f64");
  for (const divergence of [kl.forward, kl.reverse])
    for (const options of [{ temperature: 1.7 }, { temperature: 1, chunk: 14 }]) {
      const values = [draw(5, 3).read(), draw(7, 3).read()] as [Float64Array, Float64Array];
      const tensors = () => ({
        h: device.from(values[0], [5, 3], "f64"),
        w: device.from(values[1], [7, 3], "f64"),
      });
      const value = () => {
        const each = distillHead(new Tape(false), tensors(), teacher, weight, divergence, options).read();
        return each.reduce((sum, x, i) => sum + x * weight.read()[i]!, 0);
      };
      const student = tensors();
      student.h.requiresGrad = true;
      student.w.requiresGrad = true;
      distillHead(new Tape(), student, teacher, weight, divergence, options);
      for (const [i, own] of [student.h, student.w].entries())
        for (const [j, analytic] of own.grad!.read().entries()) {
          const x = values[i]![j]!;
          const at = (y: number) => {
            values[i]![j] = y;
            return value();
          };
          const numeric = (at(x + 1e-5) - at(x - 1e-5)) / 2e-5;
          at(x);
          expect(Math.abs(numeric - analytic)).toBeLessThan(1e-8);
        }
    }
});

test("divergences_of_two_words_are_those_of_their_formulas", () => {
  using _ = device.scope();
  // Logits are the hidden states themselves: the teacher ¾ and ¼, the student ½ each; a third word the teacher gives e⁻⁹ of the first.
  const eye = device.from([1, 0, 0, 0, 1, 0, 0, 0, 1], [3, 3], "f64");
  const head = (logits: number[]) => ({ h: device.from(logits, [1, 3], "f64"), w: eye });
  const one = device.from([1], [1], "f64");
  const far = -40;
  const teacher = head([Math.log(3), 0, far]);
  const of = (divergence: Divergence, student: number[], options = {}, from = teacher) =>
    distillHead(new Tape(false), head(student), from, one, divergence, options).read()[0]!;
  const student = [0, 0, far];
  const forward = 0.75 * Math.log(1.5) + 0.25 * Math.log(0.5);
  expect(of(kl.forward, student)).toBeCloseTo(forward, 9);
  expect(of(kl.reverse, student)).toBeCloseTo(0.5 * Math.log(0.5 / 0.75) + 0.5 * Math.log(2), 9);
  expect(of(kl.forward, [Math.log(3), 0, far])).toBeCloseTo(0, 12);
  // At temperature ½ logits count twice: 9 to 1.
  expect(of(kl.forward, student, { temperature: 0.5 })).toBeCloseTo(
    0.9 * Math.log(1.8) + 0.1 * Math.log(0.2),
    9,
  );
  // The two likeliest of three words, 4 : 2 : 1, become ⅔ and ⅓; the student keeps a third for each of three.
  const three = head([Math.log(4), Math.log(2), 0]);
  const cut = of(kl.forward, [0, 0, 0], { topK: 2 }, three);
  expect(cut).toBeCloseTo((2 / 3) * Math.log(2) + (1 / 3) * Math.log(1), 9);
  expect(of(kl.forward, [0, 0, 0], { topK: 1 }, three)).toBeCloseTo(Math.log(3), 9);
  expect(of(kl.forward, [0, 0, 0], { topK: 3 }, three)).toBeCloseTo(of(kl.forward, [0, 0, 0], {}, three), 12);
});

test("split_heads_turns_only_the_marked_columns", () => {
  const parts = [
    { offset: 0, heads: 2, headDim: 4, rotate: true },
    { offset: 8, heads: 1, headDim: 4, rotate: false },
    { offset: 12, heads: 1, headDim: 3, rotate: false },
  ];
  const error = gradientError([[3, 15]], (tape, [x]) => {
    const tables = ropeTables(device, { rotDim: 4, positions: 8, theta: 100, dtype: "f64" });
    return splitHeads(tape, x!, parts, tables, i32([0, 1, 5]));
  });
  expect(error).toBeLessThan(1e-6);
});

test("lm_head_through_logp_lse_and_entropy_with_and_without_stored_logits", () => {
  for (const logitsBudgetBytes of [0, 1e6]) {
    const error = gradientError(
      [
        [3, 4],
        [6, 4],
      ],
      (tape, [h, w]) => {
        const out = lmHead(tape, h!, w!, i32([2, -1, 5]), { temperature: 0.7, logitsBudgetBytes });
        return [out.logp, out.lse, out.entropy];
      },
    );
    expect(error).toBeLessThan(1e-6);
  }
});

test("a_frozen_head_gets_no_gradient_and_h_the_same_one", () => {
  const next = noise(5);
  const values = (n: number) => Array.from({ length: n }, () => next());
  const [h0, w0, s0] = [values(12), values(24), values(3)];
  for (const known of [false, true]) {
    for (const logitsBudgetBytes of [0, 1e6]) {
      const gradients = [true, false].map((trained) => {
        using _ = device.scope();
        const [h, w] = [device.from(h0, [3, 4], "f64"), device.from(w0, [6, 4], "f64")];
        const slope = device.from(s0, [3], "f64");
        h.requiresGrad = true;
        w.requiresGrad = trained;
        const tape = new Tape();
        const options = { logitsBudgetBytes, slope: known ? slope : undefined };
        const { logp } = lmHead(tape, h, w, i32([2, -1, 5]), options);
        tape.backward(known ? [] : [[logp, slope]]);
        expect(w.grad !== undefined).toBe(trained);
        return [...h.grad!.read()];
      });
      expect(gradients[1]).toEqual(gradients[0]);
      expect(gradients[0]!.some((x) => x !== 0)).toBe(true);
    }
  }
});

test("lm_head_with_a_known_slope_takes_the_gradients_of_its_backward", () => {
  using _ = device.scope();
  const next = noise(3);
  const random = (...shape: number[]) =>
    device.from(
      Array.from({ length: shape.reduce((a, b) => a * b) }, () => next()),
      shape,
      "f64",
    );
  const slope = random(3);
  const [h0, w0] = [random(3, 4).read(), random(6, 4).read()];
  const gradients = (known: boolean, logitsBudgetBytes: number) => {
    const [h, w] = [device.from(h0, [3, 4], "f64"), device.from(w0, [6, 4], "f64")];
    h.requiresGrad = w.requiresGrad = true;
    const tape = new Tape();
    const options = { temperature: 0.7, logitsBudgetBytes, slope: known ? slope : undefined };
    const { logp } = lmHead(tape, h, w, i32([2, -1, 5]), options);
    tape.backward(known ? [] : [[logp, slope]]);
    return [logp, h.grad!, w.grad!].map((t) => [...t.read()]);
  };
  const expected = gradients(false, 0);
  for (const bytes of [0, 1e6]) expect(gradients(true, bytes)).toEqual(expected);
  expect(expected[1]!.some((x) => x !== 0)).toBe(true);
});

test("every_expression_has_the_gradient_of_its_formula", () => {
  const two: ((m: TensorMath, a: Tensor, b: Tensor) => Tensor)[] = [
    (m, a, b) => m.add(a, b),
    (m, a, b) => m.sub(a, b),
    (m, a, b) => m.mul(a, b),
    (m, a, b) => m.div(a, b),
    (m, a, b) => m.min(a, b),
    (m, a, b) => m.max(a, b),
    (m, a, b) => m.where(m.gt(a, 0.1), a, b),
    (m, a, b) => m.mul(a, m.sum(b)),
    (m, a, b) => m.div(m.mean(a), m.sum(m.exp(b))),
    (m, a, b) => m.add(m.neg(m.clamp(a, -0.5, 0.5)), m.sigmoid(b)),
    (m, a, b) => m.mul(m.tanh(a), m.logSigmoid(m.square(b))),
    (m, a, b) => m.mul(a, m.segmentBroadcast(m.segmentSum(b, i32([0, 2, 5])), i32([0, 2, 5]), 5)),
    (m, a, b) => m.weightedMean(a, m.detach(m.exp(b))),
  ];
  for (const [i, body] of two.entries()) {
    const shapes = i === two.length - 1 ? [[5]] : [[5], [5]];
    const fixed = () => device.from([0.3, -1, 0.2, 0.9, 1.1], [5], "f64");
    const error = gradientError(shapes, (tape, [a, b]) => [body(new TensorMath(tape), a!, b ?? fixed())]);
    expect(error, two[i]!.toString()).toBeLessThan(1e-6);
  }
  const positive = gradientError(
    [[4]],
    (tape, [x]) => {
      const m = new TensorMath(tape);
      return [m.log(x!), m.sqrt(x!)];
    },
    (x) => Math.abs(x) + 0.3,
  );
  expect(positive).toBeLessThan(1e-6);
});

test("rope_scaling_follows_the_published_formulas", () => {
  const linearScaled = ropeFrequencies(8, 10000, { type: "linear", factor: 4 }).frequencies;
  expect(linearScaled[0]).toBeCloseTo(0.25, 12);
  const llama3 = ropeFrequencies(128, 500000, {
    type: "llama3",
    factor: 8,
    lowFreqFactor: 1,
    highFreqFactor: 4,
    originalMaxPositionEmbeddings: 8192,
  }).frequencies;
  expect(llama3[0]).toBe(1);
  expect(llama3[63]).toBeCloseTo(500000 ** (-126 / 128) / 8, 15);
  const yarn = ropeFrequencies(64, 10000, {
    type: "yarn",
    factor: 4,
    originalMaxPositionEmbeddings: 4096,
    betaFast: 32,
    betaSlow: 1,
  });
  expect(yarn.attentionFactor).toBeCloseTo(1.138629436, 8);
  expect(yarn.frequencies[0]).toBe(1);
  expect(yarn.frequencies[31]).toBeCloseTo(10000 ** (-62 / 64) / 4, 15);
});
