// AdamW over flat buffers, with Muon for hidden matrices as an option; step, clip scale and skip flag live on the device.
import { ExitCode, NsaError } from "@nsa/core";
import type { CapturedStep, Device, Tensor } from "@nsa/kernels";
import { z } from "zod";
import { type Parameters, streamOf } from "../parameters/parameters.ts";

export const optimizerSchema = z.strictObject({
  kind: z
    .enum(["adamw", "muon"])
    .default("adamw")
    .describe("muon: orthogonalised momentum for hidden matrices"),
  lr: z.number().min(0).default(1e-3).describe("Peak learning rate"),
  beta1: z.number().min(0).max(1).default(0.9).describe("Decay of the first moment"),
  beta2: z.number().min(0).max(1).default(0.95).describe("Decay of the second moment"),
  eps: z.number().positive().default(1e-8).describe("ε of AdamW"),
  weightDecay: z.number().min(0).default(0.1).describe("Decoupled decay of matrices; vectors have none"),
  clip: z.number().min(0).default(1).describe("Largest global gradient norm; 0 = no clipping"),
  stateDtype: z
    .enum(["fp32", "bf16"])
    .default("fp32")
    .describe(
      "Moments of AdamW; bf16 halves them, rounded up or down at random so that small changes are not lost",
    ),
  muonMomentum: z.number().min(0).max(1).default(0.95).describe("Momentum of Muon"),
});

export type OptimizerConfig = z.output<typeof optimizerSchema>;

const stateOfMuon = () =>
  new NsaError({
    code: "state_dtype",
    what: "optimizer.state_dtype is bf16 with kind muon",
    why: "the momentum of Muon is kept in fp32",
    fix: "use kind adamw, or state_dtype fp32",
    exitCode: ExitCode.usage,
  });

/** What became of an update. */
export interface UpdateOutcome {
  /** Global norm of the summed gradients. */
  norm: number;
  /** The weights were left: loss or gradients are not finite, or the norm is an outlier. */
  skipped: "no" | "not_finite" | "outlier";
}

/** Coefficients of the quintic Newton–Schulz iteration (Jordan et al., Muon, 2024). */
const [NS_A, NS_B, NS_C] = [3.4445, -4.775, 2.0315];

export class Optimizer {
  /** First and second moments, laid out as the parameters. */
  readonly m: Tensor;
  readonly v: Tensor;
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
    const numel = parameters.layout.numel;
    const dtype = config.stateDtype === "bf16" ? "bf16" : parameters.flat.dtype;
    if (dtype === "bf16" && config.kind === "muon") throw stateOfMuon();
    const moment = () => scope.detach(device.label(device.zeros([numel], dtype), "moments"));
    this.m = moment();
    this.v = moment();
    this.state = scope.detach(device.zeros([8], "f32"));
    this.sumsq = scope.detach(device.zeros([1], "f64"));
  }

  /** Whether the update reads all it depends on from the device, so that nobody has to look at the norm in between. */
  get onDevice(): boolean {
    return this.config.kind === "adamw";
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
    const { config, parameters } = this;
    const { layout, low } = parameters;
    using _ = this.device.scope();
    if (config.stateDtype === "bf16") {
      // Each tensor is rounded by random numbers of its own.
      for (const w of layout.weights) {
        const numel = w.shape.reduce((a, b) => a * b, 1);
        this.adamw(w.offset, w.offset + numel, w.decay ? config.weightDecay : 0, streamOf(w.key));
      }
      return;
    }
    if (config.kind === "adamw") {
      this.adamw(0, layout.decayNumel, config.weightDecay);
    } else {
      for (const w of layout.weights.filter((x) => x.decay)) {
        if (w.key === "embed" || w.key === "lm_head") {
          this.adamw(w.offset, w.offset + w.shape[0]! * w.shape[1]!, config.weightDecay);
        } else {
          for (const part of w.parts) this.muon(w.offset + part.offset, part.shape, lr);
        }
      }
      if (low) this.device.run("copy", { x: parameters.flat, y: low });
    }
    this.adamw(layout.decayNumel, layout.numel, 0);
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
    for (const t of [this.m, this.v, this.state, this.sumsq]) t.free();
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

  /** AdamW on elements [from, to). */
  private adamw(from: number, to: number, weightDecay: number, seed = 0): void {
    if (from === to) return;
    const { config, parameters } = this;
    const { flat, low } = parameters;
    const cut = (t: Tensor) => t.view(from, [to - from]);
    this.device.run("adamw", {
      p: cut(flat),
      g: cut(parameters.gradients!),
      m: cut(this.m),
      v: cut(this.v),
      p_low: low && cut(low),
      state: this.state,
      lr_mult: 1,
      beta1: config.beta1,
      beta2: config.beta2,
      eps: config.eps,
      weight_decay: weightDecay,
      seed,
    });
  }

  /** p −= lr·(0.2·√max(r, c)·orthogonalise(momentum) + weight_decay·p) for one matrix [r, c]. */
  private muon(offset: number, shape: number[], lr: number): void {
    const { device, config } = this;
    using _ = device.scope();
    const [r, c] = shape as [number, number];
    const cut = (t: Tensor) => t.view(offset, shape);
    const [p, m, g] = [cut(this.parameters.flat), cut(this.m), cut(this.parameters.gradients!)];
    const like = () => device.empty(shape, p.dtype);
    const mu = config.muonMomentum;
    const clip = device.empty([1], p.dtype);
    device.run("copy", { x: this.state.view(2, [1]), y: clip });
    const x = like();
    device.run("binary", { a: g, b: clip, y: x, kind: 2 });
    device.run("add", { a: m, b: x, y: m, alpha: mu, beta: 1 });
    device.run("add", { a: x, b: m, y: x, alpha: 1, beta: mu });
    const norm = device.zeros([1], p.dtype);
    device.run("sum_squares", { x, y: norm });
    device.run("unary", { x: norm, y: norm, kind: 5 });
    device.run("binary_scalar", { a: norm, y: norm, value: 1e-7, kind: 0 });
    device.run("binary", { a: x, b: norm, y: x, kind: 3 });
    // The Gram matrix is taken on the short side: X·Xᵀ for wide, Xᵀ·X for tall.
    const wide = r <= c;
    const s = Math.min(r, c);
    const [gram, poly] = [0, 1].map(() => device.empty([s, s], p.dtype)) as [Tensor, Tensor];
    const next = like();
    const gemm = { alpha: 1, beta: 0, trans_a: 0, trans_b: 0 };
    let [from, to] = [x, next];
    for (let i = 0; i < 5; i++) {
      const sides = { m: s, n: s, k: Math.max(r, c), lda: c, ldb: c, ldc: s };
      const turned = { trans_a: wide ? 0 : 1, trans_b: wide ? 1 : 0 };
      device.run("gemm", { a: from, b: from, c: gram, ...gemm, ...sides, ...turned });
      device.run("copy", { x: gram, y: poly });
      const square = { m: s, n: s, k: s, lda: s, ldb: s, ldc: s };
      device.run("gemm", { a: gram, b: gram, c: poly, ...gemm, ...square, alpha: NS_C, beta: NS_B });
      device.run("copy", { x: from, y: to });
      if (wide) {
        const sizes = { m: r, n: c, k: r, lda: r, ldb: c, ldc: c };
        device.run("gemm", { a: poly, b: from, c: to, ...gemm, ...sizes, beta: NS_A });
      } else {
        const sizes = { m: r, n: c, k: c, lda: c, ldb: c, ldc: c };
        device.run("gemm", { a: from, b: poly, c: to, ...gemm, ...sizes, beta: NS_A });
      }
      [from, to] = [to, from];
    }
    const scale = 0.2 * Math.sqrt(Math.max(r, c));
    device.run("add", { a: p, b: from, y: p, alpha: 1 - lr * config.weightDecay, beta: -lr * scale });
  }
}
