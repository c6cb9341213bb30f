// The contract of an MLP kind: one file a kind, registered by name. A kind may add an auxiliary loss of its own (load balance of
// experts), which the trainer adds to the loss of the step.
//
// Legend: T tokens, D model width.
import type { Adapter, LinearOptions, Tape, Tensor } from "@nsa/kernels";
import type { ModelConfig } from "../config/schema.ts";
import type { WeightSpec } from "../parameters/weight-spec.ts";

export interface MlpResult {
  /** The residual stream after the MLP, [T, D]. */
  y: Tensor;
  /** A loss of the layer's own, [1], a mean over its tokens. */
  aux?: Tensor;
}

/** What a kind sees of its layer. */
export interface MlpLayer {
  readonly config: ModelConfig;
  readonly index: number;
  /** A weight of this layer: `weight("mlp.down")`. */
  weight(key: string): Tensor;
  /** y = x·Wᵀ of a weight of this layer, with its adapters: use it for weights marked `linear`. */
  linear(tape: Tape, x: Tensor, key: string, options?: LinearOptions): Tensor;
  /** The adapters of a weight, for ops that apply it themselves; undefined where it has none. */
  adapter(key: string): Adapter | undefined;
}

export interface MlpKind {
  readonly name: string;
  /** Refuses sizes that cannot work. Throws NsaError (exit 2). */
  check?(config: ModelConfig): void;
  /** `prefix`: `model.layers.3.mlp.`; `residualStd`: initial standard deviation of what writes into the residual stream. */
  weights(config: ModelConfig, prefix: string, residualStd: number): WeightSpec[];
  /** `normed` [T, D] goes in, the result is added to `residual` [T, D]. */
  forward(tape: Tape, layer: MlpLayer, normed: Tensor, residual: Tensor): MlpResult;
  /** FLOPs a token (both ways) of the weights marked `ownWork`. */
  work?(config: ModelConfig): number;
  /** Numbers a token that are kept for the backward, and that live at once in it. */
  memory(config: ModelConfig, T: number): { kept: number; live: number };
}
