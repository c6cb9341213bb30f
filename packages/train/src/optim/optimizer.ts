// The update of a step: global norm, clip scale and skip flag on the device, then the kind's update over all weights; captured where
// the device can. The state is the kind's named buffers.
import type { CapturedStep, Device, Tensor } from "@nsa/kernels";
import type { Parameters } from "@nsa/model";
import type { OptimizerConfig } from "./config.ts";
import type { OptimizerContext, OptimizerKind } from "./kind.ts";
import { optimizerKinds } from "./registry.ts";

/** What became of an update. */
export interface UpdateOutcome {
  /** Global norm of the summed gradients. */
  norm: number;
  /** The weights were left: loss or gradients are not finite, or the norm is an outlier. */
  skipped: "no" | "not_finite" | "outlier";
}

export class Optimizer {
  /** The kind's state by name, each buffer laid out as the parameters. */
  readonly buffers: Readonly<Record<string, Tensor>>;
  private readonly kind: OptimizerKind;
  /** f32 [8]: lr, step, clip scale, skip, gradient norm, largest norm that is no outlier. */
  private readonly state: Tensor;
  private readonly sumsq: Tensor;
  private readonly device: Device;
  private captured: CapturedStep | undefined;
  private capturedFor = -1;
  private runs = 0;

  constructor(
    private readonly parameters: Parameters,
    readonly config: OptimizerConfig,
  ) {
    const { device } = parameters;
    this.device = device;
    parameters.enableGradients();
    using scope = device.scope();
    this.kind = optimizerKinds.get(config.kind);
    this.kind.check?.(config);
    const dtypes = Object.entries(this.kind.buffers(config, parameters.flat.dtype as "f32" | "f64"));
    this.buffers = Object.fromEntries(
      dtypes.map(([name, dtype]) => {
        const zeros = device.zeros([parameters.layout.numel], dtype);
        return [name, scope.detach(device.label(zeros, "moments"))];
      }),
    );
    this.state = scope.detach(device.zeros([8], "f32"));
    this.sumsq = scope.detach(device.zeros([1], "f64"));
  }

  /** Whether the update reads all it depends on from the device, so that nobody has to look at the norm in between. */
  get onDevice(): boolean {
    return this.kind.onDevice;
  }

  /**
   * Global norm of the summed gradients, clip scale and skip flag, on the device. `losses`: a step with one that is not
   * finite is skipped; so is one whose norm is above `limit` (0: none). `step` counts from 1.
   */
  prepare(lr: number, step: number, losses: Tensor, limit = 0): void {
    this.state.write(Float32Array.of(lr, step, 0, 0, 0, limit), 0);
    this.measure(losses);
  }

  /** Updates all weights, or none when `prepare` said so. */
  apply(lr: number): void {
    using _ = this.device.scope();
    this.kind.apply(this.context, lr);
  }

  /** `prepare` and `apply` in one, as a captured step from the second time on. `memory` names the memory of `losses`. */
  update(lr: number, step: number, losses: Tensor, limit: number, memory: number): void {
    const { device } = this;
    this.state.write(Float32Array.of(lr, step, 0, 0, 0, limit), 0);
    const body = () => {
      this.measure(losses);
      this.apply(lr);
    };
    if (!this.onDevice || !device.canCapture || device.profiled) {
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
    for (const t of [...Object.values(this.buffers), this.state, this.sumsq]) t.free();
  }

  private forget(): void {
    this.captured?.destroy();
    this.captured = undefined;
    this.runs = 0;
  }

  private measure(losses: Tensor): void {
    const { device, sumsq, state } = this;
    device.run("fill", { x: sumsq, value: 0 });
    device.run("sum_squares", { x: this.parameters.gradients!, y: sumsq });
    device.run("optim_prepare", { sumsq, losses, state, max_norm: this.config.clip, grad_scale: 1 });
  }

  private get context(): OptimizerContext {
    const { device, parameters, config, state, buffers } = this;
    return { device, parameters, config, state, buffers };
  }
}
