// One transformer layer in three row-wise or attention steps, so that generation replaces the attention step alone.
//
// Legend: T tokens, D model width, H query heads, G KV heads, K and V head dims.
import {
  type Documents,
  type FlashConfig,
  flashAttention,
  fusedAttention,
  linear,
  type NsaInputs,
  nsaAttention,
  type Phi,
  type RopeTables,
  rmsNorm,
  rope,
  splitHeads,
  swigluDown,
  type Tape,
  type Tensor,
} from "@nsa/kernels";
import { type AttentionKind, attentionOf, type ModelConfig, nsaConfigOf } from "../config/model-config.ts";
import { keepsHidden } from "./counts.ts";
import type { Parameters } from "./parameters.ts";

/** What the attention step takes: rotated q [T, H·K], k [T, G·K], v [T, G·V]; for NSA three pairs and the gates. */
export type AttentionInputs =
  | { kind: "full" | "window"; q: Tensor; k: Tensor; v: Tensor }
  | ({ kind: "nsa" } & NsaInputs);

/** Replaces the attention step of a layer: inputs → o [T, H·V]. */
export type Attend = (layer: Layer, inputs: AttentionInputs, tape: Tape) => Tensor;

export class Layer {
  readonly kind: AttentionKind;
  private readonly prefix: string;

  constructor(
    readonly parameters: Parameters,
    readonly config: ModelConfig,
    readonly index: number,
  ) {
    this.kind = attentionOf(config, index);
    this.prefix = `model.layers.${index}.`;
  }

  /** Norm, fused projection, QK-norm, rotation: x [T, D], positions i32 [T]. Rows do not see one another. */
  project(tape: Tape, x: Tensor, tables: RopeTables, positions: Tensor): AttentionInputs {
    const c = this.config;
    const { normed, fused } = this.fusedProjection(tape, x);
    const [H, G, K, V] = [c.numHeads, c.numKvHeads, c.headDim, c.valueHeadDim];
    const nsa = this.kind === "nsa";
    const heads: [heads: number, dim: number, isKey: boolean, turned: boolean][] = [[H, K, true, true]];
    for (const branch of nsa ? ["cmp", "slc", "win"] : [""]) {
      heads.push([G, K, true, branch !== "cmp"], [G, V, false, false]);
    }
    let offset = 0;
    const columns = heads.map(([n, headDim, isKey, turned]) => {
      const part = { offset, heads: n, headDim, rotate: isKey && turned && !c.qkNorm };
      offset += n * headDim;
      return part;
    });
    const parts = splitHeads(tape, fused, columns, tables, positions);
    fused.free();
    if (c.qkNorm) {
      for (const [i, [n, headDim, isKey, turned]] of heads.entries()) {
        if (!isKey) continue;
        const w = this.weight(i === 0 ? "self_attn.q_norm" : "self_attn.k_norm");
        const unit = rmsNorm(tape, parts[i]!, w, c.normEps);
        parts[i] = turned ? rope(tape, unit, n, headDim, tables, positions) : unit;
      }
    }
    const [q, k, v, kSlc, vSlc, kWin, vWin] = parts as [Tensor, Tensor, Tensor, ...Tensor[]];
    if (this.kind !== "nsa") return { kind: this.kind, q, k, v };
    const gate = linear(tape, normed, this.weight("self_attn.gate"), {
      bias: this.weight("self_attn.gate_bias"),
    });
    return {
      kind: "nsa",
      q,
      kCmp: k,
      vCmp: v,
      kSlc: kSlc!,
      vSlc: vSlc!,
      kWin: kWin!,
      vWin: vWin!,
      gate,
      phiK: this.phi("phi_k"),
      phiV: this.phi("phi_v"),
      rope: c.compressedRope === "block_start" ? tables : undefined,
    };
  }

  /** Whether `projectAndAttend` stands for `project` and `attend`: attention reads q, k and v where the projection left them. */
  get fuses(): boolean {
    return this.kind !== "nsa" && !this.config.qkNorm;
  }

  /** Norm and fused projection alone, where the layer `fuses`: x [T, D] → columns q, k, v, not turned. */
  projectFused(tape: Tape, x: Tensor): Tensor {
    return this.fusedProjection(tape, x).fused;
  }

  /** The same values as `attend(project(x))` without a copy of q, k and v. */
  projectAndAttend(tape: Tape, x: Tensor, tables: RopeTables, docs: Documents): Tensor {
    return fusedAttention(tape, this.fusedProjection(tape, x).fused, tables, docs, this.flash());
  }

  /** The attention step of training and prefill over packed documents. */
  attend(tape: Tape, inputs: AttentionInputs, docs: Documents): Tensor {
    if (inputs.kind === "nsa") return nsaAttention(tape, inputs, docs, nsaConfigOf(this.config)).o;
    return flashAttention(tape, inputs, docs, this.flash());
  }

  /** Output projection and residual, then norm, SwiGLU MLP and residual: x [T, D], o [T, H·V] → [T, D]. */
  finish(tape: Tape, x: Tensor, o: Tensor): Tensor {
    const mid = linear(tape, o, this.weight("self_attn.o"), { residual: x });
    const normed = rmsNorm(tape, mid, this.weight("norm2"), this.config.normEps);
    const gateUp = linear(tape, normed, this.weight("mlp.gate_up"));
    return swigluDown(tape, gateUp, this.weight("mlp.down"), mid, keepsHidden(this.config, x.shape[0]!));
  }

  private fusedProjection(tape: Tape, x: Tensor): { normed: Tensor; fused: Tensor } {
    const normed = rmsNorm(tape, x, this.weight("norm1"), this.config.normEps);
    const fused = linear(tape, normed, this.weight("self_attn.qkv"), {
      bias: this.parameters.find(`${this.prefix}self_attn.qkv_bias`),
    });
    return { normed, fused };
  }

  private flash(): FlashConfig {
    const c = this.config;
    return {
      heads: c.numHeads,
      kvHeads: c.numKvHeads,
      dimK: c.headDim,
      dimV: c.valueHeadDim,
      windowSize: this.kind === "window" ? c.windowSize : 0,
    };
  }

  private weight(key: string): Tensor {
    return this.parameters.weight(this.prefix + key);
  }

  private phi(name: string): Phi {
    const key = `self_attn.${name}`;
    switch (this.config.compress) {
      case "mean":
        return { kind: "mean" };
      case "weighted":
        return { kind: "weighted", weight: this.weight(key) };
      case "mlp":
        return {
          kind: "mlp",
          pos: this.weight(`${key}.pos`),
          up: this.weight(`${key}.up`),
          down: this.weight(`${key}.down`),
        };
    }
  }
}
