// Modes `perf` and `support`: rates of every case on one device, and which ops it has.
import type { Device, FloatDtype } from "../../src/index.ts";
import { dtypeBytes } from "../../src/index.ts";
import { dtypeOf, type OpCase, upload } from "./case.ts";

export interface Rate {
  ms: number;
  value: number;
  unit: "GFLOP/s" | "GB/s";
}

/** Best of repeated runs within about `budgetMs`. */
export function rate(c: OpCase, dtype: FloatDtype, device: Device, budgetMs = 300): Rate {
  using scope = device.scope();
  void scope;
  const args = { ...upload(c, device, dtype), ...c.numbers };
  device.run(c.op, args);
  device.sync();
  let ms = Number.POSITIVE_INFINITY;
  for (const start = performance.now(); performance.now() - start < budgetMs; ) {
    const before = performance.now();
    device.run(c.op, args);
    device.sync();
    ms = Math.min(ms, performance.now() - before);
  }
  const bytes = Object.values(c.buffers).reduce((sum, spec) => {
    const elements = spec.shape.reduce((a, b) => a * b, 1);
    return sum + elements * dtypeBytes[dtypeOf(spec, dtype)] * (spec.role === "add" ? 2 : 1);
  }, 0);
  return { ms, value: (c.flops ?? bytes) / ms / 1e6, unit: c.flops ? "GFLOP/s" : "GB/s" };
}

/** Whether the device runs this case: `yes`, or the reason why not. */
export function support(c: OpCase, dtype: FloatDtype, device: Device): string {
  if (!device.supports(c.op)) return "no such op";
  using scope = device.scope();
  void scope;
  try {
    device.run(c.op, { ...upload(c, device, dtype), ...c.numbers });
    device.sync();
    return "yes";
  } catch (cause) {
    return (cause as Error).message;
  }
}
