// Mode `test`: a backend against the reference in f64, and bit equality between thread counts.
import type { Device, FloatDtype } from "../../src/index.ts";
import { fromBf16, toBf16 } from "../../src/index.ts";
import { execute, type OpCase } from "./case.ts";

const same = (a: number, b: number) => a === b || (Number.isNaN(a) && Number.isNaN(b));

/** ‖a − b‖/‖b‖ of one row; Infinity where only one of the two is finite. */
function relative(a: Float64Array, b: Float64Array): number {
  let [diff, norm] = [0, 0];
  for (let i = 0; i < b.length; i++) {
    if (same(a[i]!, b[i]!)) {
      if (Number.isFinite(b[i])) norm += b[i]! ** 2;
      continue;
    }
    if (!Number.isFinite(a[i]) || !Number.isFinite(b[i])) return Number.POSITIVE_INFINITY;
    diff += (a[i]! - b[i]!) ** 2;
    norm += b[i]! ** 2;
  }
  return diff === 0 ? 0 : Math.sqrt(diff / norm);
}

/** The case with every float rounded to `dtype`. */
function rounded(c: OpCase, dtype: FloatDtype): OpCase {
  if (dtype === "f64") return c;
  const buffers: OpCase["buffers"] = {};
  for (const [field, spec] of Object.entries(c.buffers)) {
    const round =
      spec.kind === "float" && dtype === "bf16" ? (x: number) => fromBf16(toBf16(x)) : Math.fround;
    const isFloat = spec.kind === "float" || spec.kind === "f32";
    buffers[field] =
      spec.values && isFloat ? { ...spec, values: Float64Array.from(spec.values, round) } : spec;
  }
  return { ...c, buffers };
}

/** What is wrong with the backend on this case, in words; empty when nothing is. */
export function check(c: OpCase, dtype: FloatDtype, device: Device, reference: Device): string[] {
  const faults: string[] = [];
  const got = execute(c, device, dtype);
  const exact = execute(dtype === "f32" ? rounded(c, "f32") : c, reference, "f64");
  const low = dtype === "bf16" ? execute(c, reference, "bf16") : undefined;
  for (const [field, want] of Object.entries(exact)) {
    const a = got[field]!;
    const spec = c.buffers[field]!;
    if (spec.kind === "i32" || spec.kind === "i64") {
      if (!want.every((x, i) => x === a[i])) faults.push(`${field}: integers differ`);
      continue;
    }
    if (low) {
      const bound = (c.backward ? 3 : 2) * relative(low[field]!, want) + 1e-5;
      const error = relative(a, want);
      if (!(error <= bound))
        faults.push(`${field}: error ${error.toExponential(2)} > ${bound.toExponential(2)}`);
      continue;
    }
    const cols = spec.shape.at(-1)!;
    let squares = 0;
    let worst = 0;
    for (let at = 0; at < want.length; at += cols) {
      const error = relative(a.subarray(at, at + cols), want.subarray(at, at + cols));
      if (!(error <= 1e-5)) faults.push(`${field} row ${at / cols}: error ${error.toExponential(2)} > 1e-5`);
    }
    want.forEach((x, i) => {
      squares += Number.isFinite(x) ? x * x : 0;
      if (same(x, a[i]!)) return;
      worst = Math.max(worst, Math.abs(a[i]! - x));
    });
    const rms = Math.sqrt(squares / want.length);
    if (worst > 1e-4 * rms) faults.push(`${field}: max error ${worst.toExponential(2)} > 1e-4·rms`);
  }
  return faults.slice(0, 4);
}

/** Buffers whose bits differ between two devices. */
export function bitDifferences(c: OpCase, dtype: FloatDtype, a: Device, b: Device): string[] {
  const [one, two] = [execute(c, a, dtype), execute(c, b, dtype)];
  return Object.keys(one).filter((field) => !one[field]!.every((x, i) => Object.is(x, two[field]![i])));
}
