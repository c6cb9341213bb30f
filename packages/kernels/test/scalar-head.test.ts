// The scalar head on the fast backend against fp64 on the reference, in fp32 and bf16; its gradient against differences.
import { afterAll, expect, test } from "vitest";
import { Device, type FloatDtype, scalarHead, Tape, TensorMath } from "../src/index.ts";
import { openBackend } from "./backend.ts";

const fast = openBackend();
const reference = Device.open("reference");
afterAll(() => {
  fast.close();
  reference.close();
});

/** Rows of an odd number and widths that are no power of two: nothing aligns by chance. */
const [ROWS, WIDTH] = [7, 40];
const wave = (n: number, phase: number) =>
  Float64Array.from({ length: n }, (_, i) => Math.sin(1.7 * i + phase));

function run(device: Device, dtype: FloatDtype) {
  using _ = device.scope();
  const stats = dtype === "f64" ? "f64" : "f32";
  const put = (values: Float64Array, shape: number[]) => {
    const x = device.from(values, shape, stats);
    if (dtype !== "bf16") return x;
    const y = device.empty(shape, dtype);
    device.run("copy", { x, y });
    return y;
  };
  const h = put(wave(ROWS * WIDTH, 0.3), [ROWS, WIDTH]);
  const w = put(wave(WIDTH, 0.9), [1, WIDTH]);
  for (const t of [h, w]) t.requiresGrad = true;
  w.grad = device.zeros([1, WIDTH], stats);
  const tape = new Tape();
  const value = scalarHead(tape, h, w);
  const m = new TensorMath(tape);
  const slopes = device.from(wave(ROWS, 2), [ROWS], stats);
  tape.backward([[m.sum(m.mul(m.square(value), slopes)), device.full([1], stats, 1)]]);
  return { value: value.read(), dh: h.grad!.read(), dw: w.grad.read() };
}

const distance = (a: ArrayLike<number>, b: ArrayLike<number>) => {
  const [x, y] = [Array.from(a), Array.from(b)];
  const norm = (v: number[]) => Math.hypot(...v);
  return norm(x.map((v, i) => v - y[i]!)) / norm(y);
};

test.each([
  ["f32", 1e-5],
  ["bf16", 2e-2],
] as const)("values_and_gradients_in_%s_equal_fp64", (dtype, tolerance) => {
  const exact = run(reference, "f64");
  const got = run(fast, dtype);
  expect(got.value).toHaveLength(ROWS);
  for (const key of ["value", "dh", "dw"] as const)
    expect(distance(got[key], exact[key])).toBeLessThan(tolerance);
  expect(run(fast, dtype)).toEqual(got);
});

test("values_are_products_of_rows_and_the_weight_and_gradients_their_slopes", () => {
  const { value, dh, dw } = run(reference, "f64");
  const [h, w, s] = [wave(ROWS * WIDTH, 0.3), wave(WIDTH, 0.9), wave(ROWS, 2)];
  for (let r = 0; r < ROWS; r++) {
    const row = h.subarray(r * WIDTH, (r + 1) * WIDTH);
    const dot = row.reduce((sum, x, i) => sum + x * w[i]!, 0);
    expect(value[r]).toBeCloseTo(dot, 10);
    expect(dh[r * WIDTH + 3]).toBeCloseTo(2 * s[r]! * dot * w[3]!, 10);
  }
  const second = Array.from({ length: ROWS }, (_, r) => 2 * s[r]! * value[r]! * h[r * WIDTH + 1]!);
  expect(dw[1]).toBeCloseTo(
    second.reduce((a, b) => a + b, 0),
    10,
  );
});
