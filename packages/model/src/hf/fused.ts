// Projections that files of Phi-3 hold as one tensor: queries, keys and values in qkv_proj, gate and up in gate_up_proj.
import type { ModelConfig } from "../config/schema.ts";

interface Part {
  name: string;
  from: number;
  rows: number;
}

/** The tensor that holds a projection's rows among others, were the file one with fused projections; undefined for other weights. */
export function fusedPart(name: string, config: ModelConfig): Part | undefined {
  const match = /^(.*)\.([qkv]|gate|up)_proj\.weight$/.exec(name);
  if (!match) return undefined;
  const [, place, which] = match as unknown as [string, string, string];
  const [q, kv] = [config.numHeads * config.headDim, config.numKvHeads * config.headDim];
  const from = { q: 0, k: q, v: q + kv, gate: 0, up: config.dFf }[which]!;
  return which === "gate" || which === "up"
    ? { name: `${place}.gate_up_proj.weight`, from, rows: 2 * config.dFf }
    : { name: `${place}.qkv_proj.weight`, from, rows: q + 2 * kv };
}
