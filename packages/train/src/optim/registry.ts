// The optimizers by name. A plugin registers its own beside these.
import { Registry } from "@nsa/core";
import { dtypeBytes } from "@nsa/kernels";
import { adamw } from "./adamw.ts";
import type { OptimizerConfig } from "./config.ts";
import type { OptimizerKind } from "./kind.ts";
import { muon } from "./muon.ts";

export const optimizerKinds = new Registry<OptimizerKind>("optimizer", {
  needs: { onDevice: "boolean", buffers: "function", apply: "function" },
}).register(adamw, muon);

/** Bytes of state that an optimizer holds for each parameter. */
export function stateBytesPerParameter(config: OptimizerConfig): number {
  const dtypes = optimizerKinds.get(config.kind).buffers(config, "f32");
  return Object.values(dtypes).reduce((sum, dtype) => sum + dtypeBytes[dtype], 0);
}
