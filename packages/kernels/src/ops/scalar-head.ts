// One number a row: rewards and values from hidden states, in fp32 whatever the model computes in.
//
// Legend: n rows, D model width.
import type { Tensor } from "../device/tensor.ts";
import type { Tape } from "../tape.ts";
import { statsDtype } from "./flash-attention.ts";
import { inputGradient, weightGradient } from "./linear.ts";

/** h·wᵀ; h [n, D], w [1, D] → [n]. Gradients of h and w are taken in h's dtype. */
export function scalarHead(tape: Tape, h: Tensor, w: Tensor): Tensor {
  const { device } = h;
  const d = w.numel;
  const n = h.numel / d;
  const value = device.empty([n], statsDtype(h));
  const sizes = { m: n, n: 1, k: d, lda: d, ldb: d, ldc: 1, trans_a: 0, trans_b: 1, alpha: 1, beta: 0 };
  device.run("gemm", { a: h, b: w, c: value.view(0, [n, 1]), ...sizes });
  if (!tape.needs(h, w)) return value;
  tape.push([value], () => {
    const dy = device.empty([n, 1], h.dtype);
    device.run("copy", { x: value.grad!, y: dy });
    if (w.requiresGrad) weightGradient(dy, h, w);
    if (h.requiresGrad) tape.accumulate(h, inputGradient(dy, w, h.shape));
  });
  return value;
}
