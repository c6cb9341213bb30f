// The update of a step: global norm over all trained groups, clip scale and skip flag on the device, then each kind's update of its
// groups; captured where the device can. The state is the kinds' named buffers, laid out as the gradients.
import { ExitCode, NsaError } from "@nsa/core";
import {
  type CapturedStep,
  type Collectives,
  type Device,
  type FloatDtype,
  singleRank,
  type Tensor,
} from "@nsa/kernels";
import type { Parameters } from "@nsa/model";
import type { OptimizerConfig } from "./config.ts";
import type { OptimizerGroup, OptimizerKind } from "./kind.ts";
import { optimizerKinds } from "./registry.ts";
import { passWeights, sharedContexts, sharedSquares } from "./shared.ts";

/** What became of an update. */
export interface UpdateOutcome {
  /** Global norm of the summed gradients. */
  norm: number;
  /** The weights were left: loss or gradients are not finite, or the norm is an outlier. */
  skipped: "no" | "not_finite" | "outlier";
}

/** A kind and the groups that it updates. */
interface Share {
  kind: OptimizerKind;
  groups: OptimizerGroup[];
}

/** The trained groups by the kind of their optimizer. Throws `nothing_to_train` (exit 2) where all groups are frozen. */
function sharesOf({ layout }: Parameters, config: OptimizerConfig): Share[] {
  const groups = layout.groups
    .filter((g) => g.trainable)
    .map((g): OptimizerGroup => ({ ...g, weightDecay: g.decay ? config.weightDecay : 0 }));
  if (groups.length === 0) {
    throw new NsaError({
      code: "nothing_to_train",
      what: "no weight of the model is trained",
      why: "every parameter group is frozen",
      fix: "set `trainable: true` for a group",
      exitCode: ExitCode.usage,
    });
  }
  const names = [...new Set(groups.map((g) => g.optimizer ?? config.kind))];
  return names.map((name) => {
    const kind = optimizerKinds.get(name);
    kind.check?.(config);
    return { kind, groups: groups.filter((g) => (g.optimizer ?? config.kind) === name) };
  });
}

/** State buffers of all kinds by name. Throws `optimizer_state_conflict` (exit 2) where two kinds want one name in two dtypes. */
function bufferDtypes(shares: readonly Share[], config: OptimizerConfig, master: "f32" | "f64") {
  const dtypes: Record<string, FloatDtype> = {};
  for (const { kind } of shares) {
    for (const [name, dtype] of Object.entries(kind.buffers(config, master))) {
      if ((dtypes[name] ?? dtype) !== dtype) {
        throw new NsaError({
          code: "optimizer_state_conflict",
          what: `optimizer ${kind.name} with ${shares.map((s) => s.kind.name).join(", ")}`,
          why: `state "${name}" would be both ${dtypes[name]} and ${dtype}`,
          fix: "choose kinds with equal state, or one kind for all groups",
          exitCode: ExitCode.usage,
        });
      }
      dtypes[name] = dtype;
    }
  }
  return dtypes;
}

export class Optimizer {
  /** The kinds' state by name, each buffer laid out as the gradients, or as this rank's share of them. */
  readonly buffers: Readonly<Record<string, Tensor>>;
  private readonly shares: Share[];
  /** f32 [8]: lr, step, clip scale, skip, gradient norm, largest norm that is no outlier. */
  private readonly state: Tensor;
  private readonly sumsq: Tensor;
  /** [1]: the step's loss over all ranks. */
  private readonly loss: Tensor;
  private readonly device: Device;
  private captured: CapturedStep | undefined;
  private capturedFor = -1;
  private runs = 0;

  constructor(
    private readonly parameters: Parameters,
    readonly config: OptimizerConfig,
    private readonly collectives: Collectives = singleRank,
  ) {
    const { device } = parameters;
    this.device = device;
    this.shares = sharesOf(parameters, config);
    parameters.enableGradients();
    using scope = device.scope();
    const dtypes = bufferDtypes(this.shares, config, parameters.flat.dtype as "f32" | "f64");
    this.buffers = Object.fromEntries(
      Object.entries(dtypes).map(([name, dtype]) => {
        const { sharing, layout } = parameters;
        const zeros = device.zeros([Math.max(1, sharing?.trainedNumel ?? layout.trainableNumel)], dtype);
        return [name, scope.detach(device.label(zeros, "moments"))];
      }),
    );
    this.state = scope.detach(device.zeros([8], "f32"));
    this.sumsq = scope.detach(device.zeros([1], "f64"));
    this.loss = scope.detach(device.zeros([1], parameters.flat.dtype === "f64" ? "f64" : "f32"));
  }

  /** Whether the update reads all it depends on from the device, so that nobody has to look at the norm in between. */
  get onDevice(): boolean {
    return this.shares.every(({ kind }) => kind.onDevice);
  }

  /**
   * Global norm of the summed gradients, clip scale and skip flag, on the device. `losses`: a step with one that is not
   * finite, on whichever rank, is skipped; so is one whose norm is above `limit` (0: none). `step` counts from 1.
   */
  prepare(lr: number, step: number, losses: Tensor, limit = 0): void {
    this.state.write(Float32Array.of(lr, step, 0, 0, 0, limit), 0);
    this.measure(losses);
  }

  /** Updates all trained weights, or none when `prepare` said so. */
  apply(lr: number): void {
    const { device, parameters, config, state, buffers } = this;
    using _ = device.scope();
    const { sharing } = parameters;
    for (const { kind, groups } of this.shares) {
      const context = { device, parameters, config, state, buffers, groups };
      for (const own of sharing ? sharedContexts(context, sharing) : [context]) kind.apply(own, lr);
    }
    if (sharing) passWeights(parameters, sharing);
  }

  /** `prepare` and `apply` in one, as a captured step from the second time on. `memory` names the memory of `losses`. */
  update(lr: number, step: number, losses: Tensor, limit: number, memory: number): void {
    const { device } = this;
    this.state.write(Float32Array.of(lr, step, 0, 0, 0, limit), 0);
    const body = () => {
      this.measure(losses);
      this.apply(lr);
    };
    // With several ranks the host gives the ops while the backward still runs: there is no pause to save.
    const able = this.onDevice && device.canCapture && this.collectives.world === 1;
    if (!able || device.profiled) {
      body();
      return;
    }
    if (memory !== this.capturedFor) this.forget();
    if (this.runs++ === 0) body();
    else {
      this.captured ??= device.capture(body);
      this.captured.launch();
    }
    this.capturedFor = memory;
  }

  /** Runs the captured update `times` times, for measuring. False where there is none. */
  replay(times: number): boolean {
    for (let i = 0; i < times; i++) this.captured?.launch();
    return this.captured !== undefined;
  }

  /** What `prepare` decided. Waits. */
  outcome(): UpdateOutcome {
    const state = this.state.read();
    const skipped = (["no", "not_finite", "outlier"] as const)[state[3]!]!;
    return { norm: state[4]!, skipped };
  }

  free(): void {
    this.forget();
    for (const t of [...Object.values(this.buffers), this.state, this.sumsq, this.loss]) t.free();
  }

  private forget(): void {
    this.captured?.destroy();
    this.captured = undefined;
    this.runs = 0;
  }

  private measure(losses: Tensor): void {
    const { device, sumsq, state } = this;
    device.run("fill", { x: sumsq, value: 0 });
    const { sharing, gradients } = this.parameters;
    if (sharing) sharedSquares(this.parameters, sharing, sumsq);
    else device.run("sum_squares", { x: gradients!, y: sumsq });
    const found = this.collectives.world === 1 ? losses : this.lossOfAll(losses);
    device.run("optim_prepare", { sumsq, losses: found, state, max_norm: this.config.clip, grad_scale: 1 });
  }

  private lossOfAll(losses: Tensor): Tensor {
    this.device.run("reduce", { x: losses, y: this.loss, kind: 0 });
    this.collectives.allReduce(this.loss);
    return this.loss;
  }
}
