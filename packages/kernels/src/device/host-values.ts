// Host values of a tensor: from any numbers to its dtype and back.
import type { DataArray } from "./addon.ts";
import { type Dtype, fromBf16, hostArray, toBf16 } from "./dtype.ts";

/** The values in the tensor's own dtype; an array that has it already is returned itself. */
export function toHost(values: ArrayLike<number>, dtype: Dtype): DataArray {
  const host = hostArray(dtype, values.length);
  if (host.constructor === values.constructor && dtype !== "bf16") return values as unknown as DataArray;
  if (dtype === "bf16") for (let i = 0; i < values.length; i++) host[i] = toBf16(values[i]!);
  else if (dtype === "i64") for (let i = 0; i < values.length; i++) host[i] = BigInt(values[i]!);
  else (host as Float32Array).set(values);
  return host;
}

/** Raw values of a dtype as doubles. */
export function toNumbers(host: DataArray, dtype: Dtype): Float64Array {
  if (host instanceof Float64Array) return host;
  const out = new Float64Array(host.length);
  if (dtype === "bf16") for (let i = 0; i < out.length; i++) out[i] = fromBf16(host[i] as number);
  else for (let i = 0; i < out.length; i++) out[i] = Number(host[i]);
  return out;
}
