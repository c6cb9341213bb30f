// What a case of the tester is: an op, its numbers, and for each buffer a shape, a role and host values.
import type { Device, Dtype, FloatDtype, Tensor } from "../../src/index.ts";

/** in: read; out: overwritten (poisoned before); add: read and written. */
export type Role = "in" | "out" | "add";

/** float: the dtype under test; f32: always f32 on fast backends and f64 in exact runs; the rest as they are. */
export type Kind = "float" | "f32" | "i32" | "i64";

export interface BufferSpec {
  role: Role;
  kind: Kind;
  shape: number[];
  /** Host values; absent for role `out`. */
  values?: ArrayLike<number>;
}

export interface OpCase {
  op: string;
  name: string;
  buffers: Record<string, BufferSpec>;
  numbers: Record<string, number>;
  /** Gradients get 3× the error of rounded inputs in bf16, forwards 2×. */
  backward?: boolean;
  /** Dtypes the case runs in; default f32 and bf16. */
  dtypes?: FloatDtype[];
  /** Floating-point operations, for `perf`; without it bytes are counted. */
  flops?: number;
  /** Environment of the op's call: which of several kernels a backend takes. */
  env?: Record<string, string>;
  /** Large shapes: only `perf` runs them. */
  perfOnly?: boolean;
}

/** Deterministic values, roughly normal with the given deviation. */
export function normal(seed: number, n: number, std = 1): Float64Array {
  let s = (seed * 2654435761 + 12345) >>> 0;
  const next = () => {
    s = (s + 0x6d2b79f5) >>> 0;
    let t = Math.imul(s ^ (s >>> 15), s | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  return Float64Array.from({ length: n }, () => (next() + next() + next() + next() - 2) * 1.7320508 * std);
}

const size = (shape: number[]) => shape.reduce((a, b) => a * b, 1);

export const input = (seed: number, shape: number[], std = 1, kind: Kind = "float"): BufferSpec => ({
  role: "in",
  kind,
  shape,
  values: normal(seed, size(shape), std),
});
export const given = (values: ArrayLike<number>, kind: Kind, shape = [values.length]): BufferSpec => ({
  role: "in",
  kind,
  shape,
  values,
});
export const output = (shape: number[], kind: Kind = "float"): BufferSpec => ({ role: "out", kind, shape });
export const added = (seed: number, shape: number[], kind: Kind = "float"): BufferSpec => ({
  ...input(seed, shape, 1, kind),
  role: "add",
});

/** The dtype a buffer has when `float` buffers have `dtype`. */
export function dtypeOf(spec: BufferSpec, dtype: FloatDtype): Dtype {
  if (spec.kind === "float") return dtype;
  return spec.kind === "f32" && dtype === "f64" ? "f64" : spec.kind;
}

const poison = (dtype: Dtype) => (dtype === "i32" || dtype === "i64" ? -77777 : Number.NaN);

/** The case's tensors on a device; outputs are poisoned. */
export function upload(c: OpCase, device: Device, dtype: FloatDtype): Record<string, Tensor> {
  const tensors: Record<string, Tensor> = {};
  for (const [field, spec] of Object.entries(c.buffers)) {
    const type = dtypeOf(spec, dtype);
    tensors[field] = spec.values
      ? device.from(spec.values, spec.shape, type)
      : device.full(spec.shape, type, poison(type));
  }
  return tensors;
}

/** Runs `body` with the case's environment, which backends read at each call. */
function within(c: OpCase, body: () => void): void {
  const before = Object.keys(c.env ?? {}).map((name) => [name, process.env[name]] as const);
  Object.assign(process.env, c.env);
  try {
    body();
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
}

/** Runs the case once and reads every buffer it writes. */
export function execute(c: OpCase, device: Device, dtype: FloatDtype): Record<string, Float64Array> {
  using scope = device.scope();
  void scope;
  const tensors = upload(c, device, dtype);
  within(c, () => device.run(c.op, { ...tensors, ...c.numbers }));
  const out: Record<string, Float64Array> = {};
  for (const [field, spec] of Object.entries(c.buffers)) {
    if (spec.role !== "in") out[field] = tensors[field]!.read();
  }
  return out;
}
