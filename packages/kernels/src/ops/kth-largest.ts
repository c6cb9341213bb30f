// The k-th largest number of each row of a tensor, found on the host.
import { hostArray } from "../device/dtype.ts";
import type { Tensor } from "../device/tensor.ts";

/** Moves the root of a heap down to where it is no larger (`sign` 1) or no smaller (−1) than its children. */
function sink(heap: Float64Array, sign: number): void {
  const x = heap[0]!;
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && sign * heap[child + 1]! < sign * heap[child]!) child++;
    if (sign * heap[child]! >= sign * x) break;
    heap[at] = heap[child]!;
    at = child;
  }
  heap[at] = x;
}

/**
 * The k-th largest of `values`, 1 ≤ k ≤ their number, by a heap of the k largest, or of the smallest where these are fewer. One pass: a
 * number that is not among them so far costs one comparison. Numbers must not be NaN.
 */
export function kthLargest(values: ArrayLike<number>, k: number): number {
  const fewest = values.length - k + 1;
  const [count, sign] = k <= fewest ? [k, 1] : [fewest, -1];
  // Every slot begins beyond all numbers, so that the first ones take their places.
  const heap = new Float64Array(count).fill(-sign * Number.POSITIVE_INFINITY);
  for (let i = 0; i < values.length; i++) {
    const x = values[i]!;
    if (sign * x <= sign * heap[0]!) continue;
    heap[0] = x;
    sink(heap, sign);
  }
  return heap[0]!;
}

/** Of each row of x [rows·V], f32 or f64, read a row at a time. */
export function kthLargestOfRows(x: Tensor, rows: number, k: number): Float64Array {
  const v = x.numel / rows;
  const row = hostArray(x.dtype, v);
  return Float64Array.from({ length: rows }, (_, r) => {
    x.device.readInto(x, row, r * v);
    return kthLargest(row as ArrayLike<number>, k);
  });
}
