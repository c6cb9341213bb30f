// The contract of an output head: what a model gives for each position from its last hidden state. One file a kind, registered by name.
//
// Legend: R rows the head runs on, T tokens, D model width, V vocabulary.
import type { LmHeadOptions, Tape, Tensor } from "@nsa/kernels";
import type { ModelConfig } from "../config/schema.ts";
import type { WeightSpec } from "../parameters/weight-spec.ts";

export type HeadOptions = LmHeadOptions;

/** What a head gives, by name; each [R], or [T] once it is back in its place. */
export type HeadOutputs = { readonly [name: string]: Tensor };

export interface HeadInputs {
  /** [R, D], after the final norm. */
  hidden: Tensor;
  /** i32 [R]: the id that follows, −1 in unused rows. */
  targets: Tensor;
  config: ModelConfig;
  /** A weight of the model: `weight("lm_head")`. */
  weight(key: string): Tensor;
}

export interface HeadKind {
  readonly name: string;
  /** Refuses sizes that cannot work. Throws NsaError (exit 2). */
  check?(config: ModelConfig): void;
  /** Weights of its own, behind the final norm. */
  weights(config: ModelConfig): WeightSpec[];
  /** Gradients may flow in through every output. */
  forward(tape: Tape, inputs: HeadInputs, options: HeadOptions): HeadOutputs;
  /** Key of the weight [V, D] whose products are the logits; a kind without it cannot generate. */
  logitsWeight?(config: ModelConfig): string;
  /** Numbers of logits a row for which memory is counted: V, or 0. */
  logits(config: ModelConfig): number;
}
