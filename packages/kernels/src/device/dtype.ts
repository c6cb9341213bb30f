// Data types of tensors and the typed arrays that carry them across the seam.
import type { DataArray } from "./addon.ts";

export type Dtype = "f32" | "bf16" | "i32" | "f64" | "i64" | "u8";
export type FloatDtype = "f32" | "bf16" | "f64";

export const dtypeCode: Record<Dtype, number> = { f32: 0, bf16: 1, i32: 2, f64: 3, i64: 4, u8: 5 };
export const dtypeBytes: Record<Dtype, number> = { f32: 4, bf16: 2, i32: 4, f64: 8, i64: 8, u8: 1 };

/** A host array of the tensor's own type (bf16 as raw 16-bit words). */
export function hostArray(dtype: Dtype, numel: number): DataArray {
  switch (dtype) {
    case "f32":
      return new Float32Array(numel);
    case "bf16":
      return new Uint16Array(numel);
    case "i32":
      return new Int32Array(numel);
    case "f64":
      return new Float64Array(numel);
    case "i64":
      return new BigInt64Array(numel);
    case "u8":
      return new Uint8Array(numel);
  }
}

const scratch = new DataView(new ArrayBuffer(4));

/** bf16 word of a number, rounded to nearest even. */
export function toBf16(value: number): number {
  scratch.setFloat32(0, value);
  const u = scratch.getUint32(0);
  if ((u & 0x7fffffff) > 0x7f800000) return (u >>> 16) | 0x40;
  return ((u + 0x7fff + ((u >>> 16) & 1)) >>> 16) & 0xffff;
}

/** Number held by a bf16 word. */
export function fromBf16(word: number): number {
  scratch.setUint32(0, word << 16);
  return scratch.getFloat32(0);
}
