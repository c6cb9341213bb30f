// The adapters of a weight as the kernels take them.
import type { Adapter } from "@nsa/kernels";
import type { Parameters } from "../parameters/parameters.ts";
import { adaptedParts, keyOfA, keyOfB } from "./weights.ts";

/** The adapters of a weight of a layer by its key; undefined where none of its projections has one. */
export function adapterOf(parameters: Parameters, layer: number, key: string): Adapter | undefined {
  const weight = parameters.layout.segments[layer + 1]!.find((w) => w.key === key);
  const parts = weight ? adaptedParts(parameters.config, weight) : [];
  if (parts.length === 0) return undefined;
  let row = 0;
  const blocks = parts.map(({ part, path, rank, scale }) => {
    const block = {
      b: parameters.weight(keyOfB(path)),
      column: part.offset / weight!.shape[1]!,
      row,
      scale,
    };
    row += rank;
    return block;
  });
  return { a: parameters.weight(keyOfA(key)), blocks };
}
