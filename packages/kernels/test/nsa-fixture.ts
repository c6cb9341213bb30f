// Random NSA problems for the tests: host arrays for the naive implementation, tensors for the package's.
import type { Device, FloatDtype, NsaConfig, NsaInputs, Phi, Tensor } from "../src/index.ts";
import type { NaiveConfig, NaiveInputs, NaivePhi } from "./naive-nsa.ts";

/** Deterministic values in about (−1.7, 1.7), roughly uniform. */
export function noise(seed: number): () => number {
  let s = seed >>> 0;
  return () => {
    s = (Math.imul(s, 1664525) + 1013904223) >>> 0;
    return (((s >>> 8) & 0xffff) / 0x8000 - 1) * 1.7;
  };
}

export function nsaConfig(c: NaiveConfig): NsaConfig {
  return {
    heads: c.H,
    kvHeads: c.G,
    dimK: c.K,
    dimV: c.V,
    blockSize: c.l,
    stride: c.d,
    selectionBlockSize: c.lp,
    numSelectedBlocks: c.n,
    windowSize: c.w,
  };
}

export function naiveInputs(T: number, c: NaiveConfig, kind: Phi["kind"], seed: number): NaiveInputs {
  const next = noise(seed);
  const array = (n: number, scale = 1) => Array.from({ length: n }, () => next() * scale);
  const phi = (dim: number): NaivePhi => {
    if (kind === "mean") return { kind };
    if (kind === "weighted") return { kind, weight: array(c.l, 0.3) };
    const hidden = 4 * dim;
    const up = array(hidden * c.l * dim, 1 / Math.sqrt(c.l * dim));
    return { kind, pos: array(c.l * dim, 0.5), up, down: array(dim * hidden, 1 / Math.sqrt(hidden)), hidden };
  };
  const [k, v] = [T * c.G * c.K, T * c.G * c.V];
  return {
    q: array(T * c.H * c.K),
    kCmp: array(k),
    vCmp: array(v),
    kSlc: array(k),
    vSlc: array(v),
    kWin: array(k),
    vWin: array(v),
    gate: array(T * c.H * 3),
    phiK: phi(c.K),
    phiV: phi(c.V),
    theta: Array.from({ length: Math.floor(c.K / 2) }, (_, j) => 0.7 ** (j + 1)),
  };
}

/** Rows [from, to) of every per-token array. */
export function sliceInputs(x: NaiveInputs, T: number, from: number, to: number): NaiveInputs {
  const cut = (a: number[]) => a.slice((a.length / T) * from, (a.length / T) * to);
  const names = ["q", "kCmp", "vCmp", "kSlc", "vSlc", "kWin", "vWin", "gate"] as const;
  return { ...x, ...Object.fromEntries(names.map((name) => [name, cut(x[name])])) } as NaiveInputs;
}

export function deviceInputs(
  device: Device,
  x: NaiveInputs,
  T: number,
  c: NaiveConfig,
  dtype: FloatDtype,
  maxPosition = T,
): NsaInputs {
  const stats = dtype === "f64" ? "f64" : "f32";
  const tensor = (a: number[], shape: number[], type: FloatDtype = dtype): Tensor => {
    const t = device.from(a, shape, type);
    t.requiresGrad = true;
    return t;
  };
  const phi = (f: NaivePhi, dim: number): Phi => {
    if (f.kind === "mean") return f;
    if (f.kind === "weighted") return { kind: f.kind, weight: tensor(f.weight, [c.l]) };
    return {
      kind: f.kind,
      pos: tensor(f.pos, [c.l, dim]),
      up: tensor(f.up, [f.hidden, c.l * dim]),
      down: tensor(f.down, [dim, f.hidden]),
    };
  };
  const table = (fn: (angle: number) => number) => {
    const values = Array.from({ length: maxPosition }, (_, p) =>
      x.theta.map((theta) => fn(p * theta)),
    ).flat();
    return device.from(values, [maxPosition, x.theta.length], stats);
  };
  return {
    q: tensor(x.q, [T, c.H * c.K]),
    kCmp: tensor(x.kCmp, [T, c.G * c.K]),
    vCmp: tensor(x.vCmp, [T, c.G * c.V]),
    kSlc: tensor(x.kSlc, [T, c.G * c.K]),
    vSlc: tensor(x.vSlc, [T, c.G * c.V]),
    kWin: tensor(x.kWin, [T, c.G * c.K]),
    vWin: tensor(x.vWin, [T, c.G * c.V]),
    gate: tensor(x.gate, [T, c.H * 3]),
    phiK: phi(x.phiK, c.K),
    phiV: phi(x.phiV, c.V),
    rope: { cos: table(Math.cos), sin: table(Math.sin), rotDim: 2 * x.theta.length },
  };
}
