// What a device reaches at best, measured on the spot: a square matmul and a copy. Profiles are judged against it.

import type { FloatDtype } from "./dtype.ts";
import type { Device } from "./tensor.ts";

export interface Ceilings {
  /** FLOP/s of a large square matmul. */
  flops: number;
  /** Bytes read and written a second by a large copy. */
  bytes: number;
}

const REPEATS = 3;

/** FLOP/s of a square matmul of side n, the best of three. */
export function matmulFlops(device: Device, n: number, dtype: FloatDtype): number {
  using _ = device.scope();
  const a = device.full([n, n], dtype, 0.5);
  const c = device.empty([n, n], dtype);
  const sizes = { m: n, n, k: n, lda: n, ldb: n, ldc: n, trans_a: 0, trans_b: 1, alpha: 1, beta: 0 };
  return (2 * n ** 3) / bestSeconds(device, () => device.run("gemm", { a, b: a, c, ...sizes }));
}

function bestSeconds(device: Device, body: () => void): number {
  body();
  device.sync();
  return Math.min(...Array.from({ length: REPEATS }, () => device.milliseconds(body))) / 1000;
}

export function measureCeilings(device: Device, dtype: FloatDtype): Ceilings {
  const large = device.name === "cuda";
  using _ = device.scope();
  const numel = large ? 2 ** 27 : 2 ** 23;
  const [x, y] = [device.zeros([numel], "f32"), device.empty([numel], "f32")];
  const copy = bestSeconds(device, () => device.run("copy", { x, y }));
  x.free();
  y.free();
  return { flops: matmulFlops(device, large ? 8192 : 768, dtype), bytes: (8 * numel) / copy };
}
