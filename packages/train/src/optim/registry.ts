// The optimizers by name. A plugin registers its own beside these.
import { Registry } from "@nsa/core";
import { dtypeBytes, type FloatDtype } from "@nsa/kernels";
import type { ParameterGroup } from "@nsa/model";
import { adamw } from "./adamw.ts";
import type { OptimizerConfig } from "./config.ts";
import type { OptimizerKind } from "./kind.ts";
import { muon } from "./muon.ts";

export const optimizerKinds = new Registry<OptimizerKind>("optimizer", {
  needs: { onDevice: "boolean", buffers: "function", apply: "function" },
}).register(adamw, muon);

/** Bytes of state that an optimizer holds for each trained parameter; `groups` may name further kinds. */
export function stateBytesPerParameter(
  config: OptimizerConfig,
  groups: readonly ParameterGroup[] = [],
): number {
  const kinds = [config.kind, ...groups.flatMap((g) => (g.trainable === false ? [] : (g.optimizer ?? [])))];
  const dtypes = Object.assign({}, ...kinds.map((kind) => optimizerKinds.get(kind).buffers(config, "f32")));
  return Object.values<FloatDtype>(dtypes).reduce((sum, dtype) => sum + dtypeBytes[dtype], 0);
}
