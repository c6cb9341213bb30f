// RMSNorm over rows or over the heads inside a row (QK-norm).
//
// Legend: R rows, H heads in a row, C channels that are normalised together.
import type { Tensor } from "../device/tensor.ts";
import type { Tape } from "../tape.ts";
import { statsDtype } from "./flash-attention.ts";
import { gradientBuffer } from "./nsa-compress.ts";

/** y = x / sqrt(mean(x²) + eps) · w for each of the H groups of C = w.numel channels in a row; x [R, H·C]. */
export function rmsNorm(tape: Tape, x: Tensor, w: Tensor, eps: number): Tensor {
  const device = x.device;
  const cols = w.numel;
  const rows = x.shape[0]!;
  const width = x.numel / rows;
  const heads = width / cols;
  const y = device.empty(x.shape, x.dtype);
  const rstd = device.empty([rows, heads], statsDtype(x));
  const sizes = { rows, heads, cols, ldx: width, ldy: width };
  device.run("rms_norm_fwd", { x, w, y, rstd, ...sizes, eps });
  if (!tape.needs(x, w)) {
    rstd.free();
    return y;
  }
  tape.push([y], () => {
    // The residual stream already carries a gradient: the op adds to it instead of a separate pass.
    const accumulate = x.requiresGrad && x.grad ? 1 : 0;
    const dx = accumulate ? x.grad! : device.empty(x.shape, x.dtype);
    const dw = w.requiresGrad ? gradientBuffer(w) : device.zeros(w.shape, statsDtype(x));
    device.run("rms_norm_bwd", { dy: y.grad!, x, w, rstd, dx, dw, ...sizes, accumulate });
    if (!accumulate) tape.accumulate(x, dx);
  });
  return y;
}
