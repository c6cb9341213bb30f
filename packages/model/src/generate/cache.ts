// The paged KV cache of all layers: written by the prefill, extended token by token, pages copied between sequences.
//
// Legend: T prompt tokens, B sequences, P pages.
import {
  cacheSlot,
  type DecodePlan,
  type Device,
  type Documents,
  type RopeTables,
  type Tape,
  type Tensor,
} from "@nsa/kernels";
import type { LayerCache, PrefillSlots } from "../attention/kind.ts";
import type { ModelConfig } from "../config/schema.ts";
import type { AttentionInputs, Layer } from "../transformer/layer.ts";
import type { Transformer } from "../transformer/transformer.ts";

export class KvCache {
  private readonly layers: LayerCache[];
  private readonly device: Device;
  private readonly config: ModelConfig;

  /** Allocates the cache; `free` it when done. */
  constructor(
    model: Transformer,
    readonly pages: number,
    readonly pageSize: number,
  ) {
    this.device = model.device;
    this.config = model.config;
    const dtype = model.parameters.weight("embed").dtype as "f32" | "bf16" | "f64";
    using scope = this.device.scope();
    this.layers = model.layers.map((layer) => {
      const cache = layer.attention.cache.make(this.device, model.config, pages, pageSize, dtype);
      for (const t of Object.values(cache)) scope.detach(this.device.label(t, "KV cache"));
      return cache;
    });
  }

  /** Attention of a prefill over packed prompts, whose keys and values go into the cache. */
  prefill(layer: Layer, inputs: AttentionInputs, docs: Documents, slots: PrefillSlots, tape: Tape): Tensor {
    const cache = this.layers[layer.index]!;
    return layer.attention.cache.prefill(tape, this.config, inputs, docs, cache, slots);
  }

  /** Attention of one new token per sequence, written into the cache first. */
  decode(layer: Layer, inputs: AttentionInputs, plan: DecodePlan): Tensor {
    return layer.attention.cache.decode(this.config, inputs, this.layers[layer.index]!, plan);
  }

  /** The same from the layer's fused projection [B, W], where it has `fused`. */
  decodeFused(layer: Layer, fused: Tensor, tables: RopeTables, plan: DecodePlan): Tensor {
    return layer.fused!.decode(this.config, fused, this.layers[layer.index]!, plan, tables);
  }

  /** Copies whole pages in every layer: page to[i] = page from[i]. */
  copyPages(from: readonly number[], to: readonly number[]): void {
    if (from.length === 0) return;
    using _scope = this.device.scope();
    const src = this.device.from(from, [from.length], "i32");
    const dst = this.device.from(to, [to.length], "i32");
    for (const cache of this.layers) {
      for (const t of Object.values(cache)) {
        const page_elems = t.numel / this.pages;
        this.device.run("page_copy", { cache: t, src, dst, n: from.length, page_elems });
      }
    }
  }

  /** Cache row of a token. */
  tokenSlot(pages: readonly number[], token: number): number {
    return cacheSlot(pages, token, this.pageSize);
  }

  /** Row of the m-th compressed block of a grid with this stride. */
  blockSlot(pages: readonly number[], block: number, stride: number): number {
    return cacheSlot(pages, block, this.pageSize / stride);
  }

  free(): void {
    for (const cache of this.layers) for (const t of Object.values(cache)) t.free();
  }
}
