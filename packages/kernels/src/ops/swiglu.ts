// The second half of a SwiGLU MLP: the gated product and the projection down, in one step.
//
// Legend: R rows, C channels of the hidden layer, N outputs.
import type { Tensor } from "../device/tensor.ts";
import type { Tape } from "../tape.ts";
import {
  type Adapter,
  adapterGradient,
  adapterTensors,
  addAdapter,
  addAdapterInputGradient,
} from "./adapter.ts";
import { inputGradient, product, weightGradient } from "./linear.ts";

/**
 * y = (silu(g)·u)·Wᵀ + residual (+ s·(h·Aᵀ)·Bᵀ of the hidden layer h = silu(g)·u); gu [R, 2·C] with the gate first, w [N, C], residual
 * [R, N]. The hidden layer is kept for the backward, or, without `keep`, made again there with the same bits. The gradient of gu is
 * written over gu: nobody else may read it.
 */
export function swigluDown(
  tape: Tape,
  gu: Tensor,
  w: Tensor,
  residual: Tensor,
  keep = false,
  adapter?: Adapter,
): Tensor {
  const device = gu.device;
  const cols = w.shape[1]!;
  const rows = gu.numel / (2 * cols);
  const hidden = device.empty([rows, cols], gu.dtype);
  device.run("swiglu_fwd", { gu, y: hidden, rows, cols });
  const y = product(hidden, w, { residual });
  const z = adapter && addAdapter(hidden, y, adapter);
  const needed = tape.needs(gu, w, residual, ...adapterTensors(adapter));
  const reads = w.requiresGrad || adapter?.a.requiresGrad;
  const kept = keep && needed && reads ? hidden : undefined;
  if (!kept) hidden.free();
  if (!needed) {
    z?.free();
    return y;
  }
  tape.push([y], () => {
    const dy = y.grad!;
    const d = inputGradient(dy, w, [rows, cols]);
    const dz = adapter && adapterGradient(dy, z!, adapter);
    if (adapter) addAdapterInputGradient(dz!, adapter, d);
    device.run("swiglu_bwd", { dy: d, gu, dgu: gu, y: kept ? undefined : d, rows, cols });
    if (w.requiresGrad) weightGradient(dy, kept ?? d, w);
    if (adapter?.a.requiresGrad) weightGradient(dz!, kept ?? d, adapter.a);
    dz?.free();
    d.free();
    kept?.free();
    if (gu.requiresGrad) gu.grad = gu;
    if (residual.requiresGrad) tape.handOver(y, residual);
  });
  return y;
}
