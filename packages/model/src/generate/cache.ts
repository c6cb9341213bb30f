// The paged KV cache of all layers: written by the prefill, extended token by token, pages copied between sequences.
//
// Legend: T prompt tokens, B sequences, P pages.
import {
  cacheSlot,
  type DecodePlan,
  type Device,
  type Documents,
  decodeAttention,
  decodeFused,
  type FlashConfig,
  flashAttention,
  type NsaLayerCache,
  nsaAttention,
  nsaDecode,
  nsaLayerCache,
  type RopeTables,
  type Tape,
  type Tensor,
  writeCache,
} from "@nsa/kernels";
import { type ModelConfig, nsaConfigOf } from "../config/model-config.ts";
import type { AttentionInputs, Layer } from "../transformer/layer.ts";
import type { Transformer } from "../transformer/transformer.ts";

type LayerCache = { kind: "dense"; k: Tensor; v: Tensor } | { kind: "nsa"; nsa: NsaLayerCache };

/** Where a prefill writes: rows of the token caches and of the compressed caches, −1 skips. */
export interface PrefillSlots {
  tokens: Tensor;
  blocks?: Tensor;
}

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
    const c = model.config;
    const dtype = model.parameters.weight("embed").dtype as "f32" | "bf16" | "f64";
    using scope = this.device.scope();
    this.layers = model.layers.map((layer): LayerCache => {
      if (layer.kind === "nsa") {
        const nsa = nsaLayerCache(this.device, nsaConfigOf(c), pages, pageSize, dtype);
        for (const t of Object.values(nsa) as Tensor[]) scope.detach(this.device.label(t, "KV cache"));
        return { kind: "nsa", nsa };
      }
      const rows = pages * pageSize;
      const make = (cols: number) =>
        scope.detach(this.device.label(this.device.zeros([rows, cols], dtype), "KV cache"));
      return { kind: "dense", k: make(c.numKvHeads * c.headDim), v: make(c.numKvHeads * c.valueHeadDim) };
    });
  }

  /** Attention of a prefill over packed prompts, whose keys and values go into the cache. */
  prefill(layer: Layer, inputs: AttentionInputs, docs: Documents, slots: PrefillSlots, tape: Tape): Tensor {
    const cache = this.layers[layer.index]!;
    const rows = docs.tokens;
    if (inputs.kind === "nsa" && cache.kind === "nsa") {
      const { o, kBlocks, vBlocks } = nsaAttention(tape, inputs, docs, nsaConfigOf(this.config));
      for (const name of ["kCmp", "vCmp", "kSlc", "vSlc", "kWin", "vWin"] as const) {
        writeCache(inputs[name], cache.nsa[name], slots.tokens, rows);
      }
      const blocks = docs.compressed!.blocks;
      if (blocks > 0 && slots.blocks) {
        writeCache(kBlocks, cache.nsa.kBlocks, slots.blocks, blocks);
        writeCache(vBlocks, cache.nsa.vBlocks, slots.blocks, blocks);
      }
      return o;
    }
    if (inputs.kind === "nsa" || cache.kind === "nsa") throw new Error("cache and layer differ in kind");
    writeCache(inputs.k, cache.k, slots.tokens, rows);
    writeCache(inputs.v, cache.v, slots.tokens, rows);
    return flashAttention(tape, inputs, docs, this.flash(inputs.kind));
  }

  /** Attention of one new token per sequence, written into the cache first. */
  decode(layer: Layer, inputs: AttentionInputs, plan: DecodePlan): Tensor {
    const cache = this.layers[layer.index]!;
    if (inputs.kind === "nsa" && cache.kind === "nsa") {
      return nsaDecode(inputs, cache.nsa, plan, nsaConfigOf(this.config));
    }
    if (inputs.kind === "nsa" || cache.kind === "nsa") throw new Error("cache and layer differ in kind");
    writeCache(inputs.k, cache.k, plan.slots, plan.b);
    writeCache(inputs.v, cache.v, plan.slots, plan.b);
    return decodeAttention(inputs.q, cache.k, cache.v, plan, this.flash(inputs.kind));
  }

  /** The same from the layer's fused projection [B, W], where it `fuses`. */
  decodeFused(layer: Layer, fused: Tensor, tables: RopeTables, plan: DecodePlan): Tensor {
    const cache = this.layers[layer.index]!;
    if (layer.kind === "nsa" || cache.kind === "nsa") throw new Error("an NSA layer is not fused");
    return decodeFused(fused, cache.k, cache.v, plan, tables, this.flash(layer.kind));
  }

  /** Copies whole pages in every layer: page to[i] = page from[i]. */
  copyPages(from: readonly number[], to: readonly number[]): void {
    if (from.length === 0) return;
    using _scope = this.device.scope();
    const src = this.device.from(from, [from.length], "i32");
    const dst = this.device.from(to, [to.length], "i32");
    for (const cache of this.layers) {
      const tensors = cache.kind === "dense" ? [cache.k, cache.v] : (Object.values(cache.nsa) as Tensor[]);
      for (const t of tensors) {
        const page_elems = t.numel / this.pages;
        this.device.run("page_copy", { cache: t, src, dst, n: from.length, page_elems });
      }
    }
  }

  /** Cache row of a token. */
  tokenSlot(pages: readonly number[], token: number): number {
    return cacheSlot(pages, token, this.pageSize);
  }

  /** Row of the m-th compressed block. */
  blockSlot(pages: readonly number[], block: number): number {
    return cacheSlot(pages, block, this.pageSize / this.config.stride);
  }

  free(): void {
    for (const cache of this.layers) {
      if (cache.kind === "dense") {
        cache.k.free();
        cache.v.free();
      } else for (const t of Object.values(cache.nsa) as Tensor[]) t.free();
    }
  }

  private flash(kind: "full" | "window"): FlashConfig {
    const c = this.config;
    return {
      heads: c.numHeads,
      kvHeads: c.numKvHeads,
      dimK: c.headDim,
      dimV: c.valueHeadDim,
      windowSize: kind === "window" ? c.windowSize : 0,
    };
  }
}
