// The second half of a SwiGLU MLP: the gated product and the projection down, in one step that keeps only its input.
//
// Legend: R rows, C channels of the hidden layer, N outputs.
import type { Tensor } from "../device/tensor.ts";
import type { Tape } from "../tape.ts";
import { inputGradient, product, weightGradient } from "./linear.ts";

/**
 * y = (silu(g)·u)·Wᵀ + residual; gu [R, 2·C] with the gate first, w [N, C], residual [R, N]. The hidden layer is made again in the
 * backward, which writes the gradient of gu over gu: nobody else may read it.
 */
export function swigluDown(tape: Tape, gu: Tensor, w: Tensor, residual: Tensor): Tensor {
  const device = gu.device;
  const cols = w.shape[1]!;
  const rows = gu.numel / (2 * cols);
  const hidden = device.empty([rows, cols], gu.dtype);
  device.run("swiglu_fwd", { gu, y: hidden, rows, cols });
  const y = product(hidden, w, { residual });
  hidden.free();
  if (!tape.needs(gu, w, residual)) return y;
  tape.push([y], () => {
    const dy = y.grad!;
    const d = inputGradient(dy, w, [rows, cols]);
    device.run("swiglu_bwd", { dy: d, gu, dgu: gu, y: d, rows, cols });
    if (w.requiresGrad) weightGradient(dy, d, w);
    d.free();
    if (gu.requiresGrad) gu.grad = gu;
    if (residual.requiresGrad) tape.handOver(y, residual);
  });
  return y;
}
