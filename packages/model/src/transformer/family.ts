// Models of one shape in other sizes: heads, width, MLP and layers grow together, so that each is as deep for its width as the first.
import type { ModelConfig } from "../config/schema.ts";

const nearest = (x: number, grain: number) => Math.max(grain, Math.round(x / grain) * grain);

/**
 * The member with `n` KV heads (query heads, where the model has one KV head): the same head dim, heads a group and layer kinds. Vocabulary
 * and context stay.
 */
export function familyMember(model: ModelConfig, n: number): ModelConfig {
  const { numHeads, numKvHeads, numLayers, attentionLayers } = model;
  const heads = numKvHeads === 1 ? n : (numHeads / numKvHeads) * n;
  const scale = heads / numHeads;
  const layers = Math.max(1, Math.round(numLayers * scale));
  return {
    ...model,
    numHeads: heads,
    numKvHeads: numKvHeads === 1 ? 1 : n,
    dModel: nearest(model.dModel * scale, 8),
    dFf: nearest(model.dFf * scale, 8),
    numLayers: layers,
    ...(attentionLayers
      ? {
          attentionLayers: Array.from(
            { length: layers },
            (_, i) => attentionLayers[Math.floor((i * numLayers) / layers)]!,
          ),
        }
      : {}),
  };
}
