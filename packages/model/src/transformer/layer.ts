// One transformer layer in three row-wise or attention steps, so that generation replaces the attention step alone. What the attention
// step computes is its kind's.
//
// Legend: T tokens, D model width, H query heads, V head dim of values.
import {
  type Adapter,
  type Documents,
  type LinearOptions,
  linear,
  type RopeTables,
  rmsNorm,
  rope,
  splitHeads,
  type Tape,
  type Tensor,
} from "@nsa/kernels";
import { adapterOf } from "../adapter/apply.ts";
import type { AttentionKind, AttentionLayer } from "../attention/kind.ts";
import { attentionKinds } from "../attention/registry.ts";
import { attentionOf, type ModelConfig } from "../config/schema.ts";
import type { MlpKind, MlpLayer, MlpResult } from "../mlp/kind.ts";
import { mlpKinds } from "../mlp/registry.ts";
import type { Parameters } from "../parameters/parameters.ts";

/** What the attention step takes, as the layer's kind makes it. */
export type AttentionInputs = unknown;

/** Replaces the attention step of a layer: inputs → o [T, H·V]. */
export type Attend = (layer: Layer, inputs: AttentionInputs, tape: Tape) => Tensor;

export class Layer implements AttentionLayer, MlpLayer {
  // biome-ignore lint/suspicious/noExplicitAny: a kind's inputs are made and taken by itself alone.
  readonly attention: AttentionKind<any>;
  readonly mlp: MlpKind;
  private readonly prefix: string;
  private readonly adapters = new Map<string, Adapter | undefined>();

  constructor(
    readonly parameters: Parameters,
    readonly config: ModelConfig,
    readonly index: number,
  ) {
    this.attention = attentionKinds.get(attentionOf(config, index));
    this.mlp = mlpKinds.get(config.mlp);
    this.prefix = `model.layers.${index}.`;
  }

  /** Whether a weight of the layer gets a gradient. */
  get trained(): boolean {
    return this.parameters.layout.segments[this.index + 1]!.some(
      ({ key }) => this.parameters.weight(key).requiresGrad,
    );
  }

  /** Norm, fused projection, QK-norm, rotation: x [T, D], positions i32 [T]. Rows do not see one another. */
  project(tape: Tape, x: Tensor, tables: RopeTables, positions: Tensor): AttentionInputs {
    const c = this.config;
    const { normed, fused } = this.fusedProjection(tape, x);
    const heads = this.attention.heads(c);
    let offset = 0;
    const columns = heads.map(({ heads: n, dim, role, rotate }) => {
      const part = { offset, heads: n, headDim: dim, rotate: role !== "value" && rotate && !c.qkNorm };
      offset += n * dim;
      return part;
    });
    const parts = splitHeads(tape, fused, columns, tables, positions);
    fused.free();
    if (c.qkNorm) {
      for (const [i, { heads: n, dim, role, rotate }] of heads.entries()) {
        if (role === "value") continue;
        const w = this.weight(role === "query" ? "self_attn.q_norm" : "self_attn.k_norm");
        const unit = rmsNorm(tape, parts[i]!, w, c.normEps);
        parts[i] = rotate ? rope(tape, unit, n, dim, tables, positions) : unit;
      }
    }
    return this.attention.inputs(tape, this, parts, normed, tables);
  }

  /** Attention that reads q, k and v where the projection left them; undefined where the layer cannot. */
  get fused(): AttentionKind["fused"] {
    return this.config.qkNorm ? undefined : this.attention.fused;
  }

  /** Norm and fused projection alone, for {@link fused}: x [T, D] → columns q, k, v, not rotated. */
  projectFused(tape: Tape, x: Tensor): Tensor {
    return this.fusedProjection(tape, x).fused;
  }

  /** The attention step of training and prefill over packed documents. */
  attend(tape: Tape, inputs: AttentionInputs, docs: Documents): Tensor {
    return this.attention.attend(tape, this.config, inputs, docs);
  }

  /** Output projection and residual, then norm, MLP and residual: x [T, D], o [T, H·V] → y [T, D] and the MLP's auxiliary loss. */
  finish(tape: Tape, x: Tensor, o: Tensor): MlpResult {
    const mid = this.linear(tape, o, "self_attn.o", { residual: x });
    const normed = rmsNorm(tape, mid, this.weight("norm2"), this.config.normEps);
    return this.mlp.forward(tape, this, normed, mid);
  }

  weight(key: string): Tensor {
    return this.parameters.weight(this.prefix + key);
  }

  linear(tape: Tape, x: Tensor, key: string, options: LinearOptions = {}): Tensor {
    return linear(tape, x, this.weight(key), { ...options, adapter: this.adapter(key) });
  }

  adapter(key: string): Adapter | undefined {
    const { parameters, config, adapters } = this;
    if (!config.lora || parameters.adaptersOff) return undefined;
    if (!adapters.has(key)) adapters.set(key, adapterOf(parameters, this.index, this.prefix + key));
    return adapters.get(key);
  }

  private fusedProjection(tape: Tape, x: Tensor): { normed: Tensor; fused: Tensor } {
    const normed = rmsNorm(tape, x, this.weight("norm1"), this.config.normEps);
    const fused = this.linear(tape, normed, "self_attn.qkv", {
      bias: this.parameters.find(`${this.prefix}self_attn.qkv_bias`),
    });
    return { normed, fused };
  }
}
