// The attention kinds by name. A plugin registers its own beside these.
import { Registry } from "@nsa/core";
import { attentionOf, type ModelConfig } from "../config/schema.ts";
import { full, window } from "./dense.ts";
import type { AttentionKind } from "./kind.ts";
import { nsa } from "./nsa.ts";

// biome-ignore lint/suspicious/noExplicitAny: each kind has its own inputs, which only it makes and takes.
export const attentionKinds = new Registry<AttentionKind<any>>("attention", {
  needs: {
    heads: "function",
    inputs: "function",
    attend: "function",
    cache: "object",
    work: "function",
    memory: "function",
  },
}).register(nsa, full, window);

/** The kinds of a model's layers, each once, in the order of the layers. */
// biome-ignore lint/suspicious/noExplicitAny: as above.
export function kindsOf(config: ModelConfig): AttentionKind<any>[] {
  const names = Array.from({ length: config.numLayers }, (_, i) => attentionOf(config, i));
  return [...new Set(names)].map((name) => attentionKinds.get(name));
}

/** The grid of compressed blocks that the model's documents carry; undefined where no layer has one. */
export function gridOf(config: ModelConfig) {
  for (const kind of kindsOf(config)) {
    const grid = kind.grid?.(config);
    if (grid) return grid;
  }
  return undefined;
}

/** Tokens of a page where no kind asks for another number. */
const PAGE_TOKENS = 16;

/** Tokens of a page of the KV cache: what a kind of the model needs. */
export function pageSizeOf(config: ModelConfig): number {
  for (const kind of kindsOf(config)) {
    const tokens = kind.cache.pageSize?.(config);
    if (tokens !== undefined) return tokens;
  }
  return PAGE_TOKENS;
}
