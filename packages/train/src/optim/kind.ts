// The contract of an optimizer: state in named buffers laid out as the gradients, and one update of the groups it is given. Norm,
// clipping and the decision to skip a step belong to the Optimizer class and lie on the device before `apply` runs.
import type { Device, FloatDtype, Tensor } from "@nsa/kernels";
import type { GroupLayout, Layout, Parameters } from "@nsa/model";
import type { OptimizerConfig } from "./config.ts";

/** A trained group, and what the recipe asks of its update. It lies at [from, to) of masters, gradients and state alike. */
export interface OptimizerGroup extends GroupLayout {
  /** Decoupled decay of the matrices, at [from, decayTo); what lies behind them has none. */
  weightDecay: number;
}

/** Weights and gradients of an update. Where ranks share the update out, they are those of some weights, and begin with the first of them. */
export interface UpdatedParameters extends Pick<Parameters, "flat" | "low" | "gradients" | "refreshLow"> {
  readonly layout: Pick<Layout, "trainableNumel">;
}

export interface OptimizerContext {
  readonly device: Device;
  readonly parameters: UpdatedParameters;
  readonly config: OptimizerConfig;
  /** f32 [8] on the device: learning rate, step (from 1), clip scale, skip flag, gradient norm, largest norm that is no outlier. */
  readonly state: Tensor;
  /** The groups to update. */
  readonly groups: readonly OptimizerGroup[];
  /** The buffers that `buffers` named. */
  readonly buffers: Readonly<Record<string, Tensor>>;
}

export interface OptimizerKind {
  readonly name: string;
  /** Whether `apply` reads all it depends on from the device; it may then be captured, and honours the skip flag by itself. */
  readonly onDevice: boolean;
  /** Refuses settings that cannot work. Throws NsaError (exit 2). */
  check?(config: OptimizerConfig): void;
  /** State buffers by name, each as long as the gradients; saved in checkpoints as `<parameter>.<name>`. */
  buffers(config: OptimizerConfig, master: FloatDtype): Record<string, FloatDtype>;
  /**
   * Updates the weights of `context.groups` from the summed gradients. `lr` is what `state` holds, for kinds that are not on the
   * device; a group's own rate is `lr` times its `lrMultiplier`.
   */
  apply(context: OptimizerContext, lr: number): void;
}
