// AdamW over flat buffers, with Muon for hidden matrices as an option; step, clip scale and skip flag live on the device.
import type { Device, Tensor } from "@nsa/kernels";
import { z } from "zod";
import type { Parameters } from "../transformer/parameters.ts";

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
  muonMomentum: z.number().min(0).max(1).default(0.95).describe("Momentum of Muon"),
});

export type OptimizerConfig = z.output<typeof optimizerSchema>;

/** Coefficients of the quintic Newton–Schulz iteration (Jordan et al., Muon, 2024). */
const [NS_A, NS_B, NS_C] = [3.4445, -4.775, 2.0315];

export class Optimizer {
  /** First and second moments, laid out as the parameters. */
  readonly m: Tensor;
  readonly v: Tensor;
  /** f32 [8]: lr, step, clip scale, skip, gradient norm. */
  private readonly state: Tensor;
  private readonly sumsq: Tensor;
  private readonly device: Device;

  constructor(
    private readonly parameters: Parameters,
    readonly config: OptimizerConfig,
  ) {
    const { device } = parameters;
    this.device = device;
    parameters.enableGradients();
    using scope = device.scope();
    const numel = parameters.layout.numel;
    this.m = scope.detach(device.zeros([numel], parameters.flat.dtype));
    this.v = scope.detach(device.zeros([numel], parameters.flat.dtype));
    this.state = scope.detach(device.zeros([8], "f32"));
    this.sumsq = scope.detach(device.zeros([1], "f64"));
  }

  /** Global norm of the summed gradients, with the clip scale written to the device. Waits. */
  prepare(): number {
    const { device, sumsq, state } = this;
    device.run("fill", { x: sumsq, value: 0 });
    device.run("sum_squares", { x: this.parameters.gradients!, y: sumsq });
    device.run("optim_prepare", { sumsq, state, max_norm: this.config.clip, grad_scale: 1 });
    return state.read()[4]!;
  }

  /** Updates all weights; `step` counts from 1. */
  apply(lr: number, step: number): void {
    const { device, parameters, state, config } = this;
    const { layout, flat, low } = parameters;
    using _ = device.scope();
    state.write(Float32Array.of(lr, step), 0);
    const run = (from: number, to: number, weightDecay: number) => {
      if (from === to) return;
      const cut = (t: Tensor) => t.view(from, [to - from]);
      device.run("adamw", {
        p: cut(flat),
        g: cut(parameters.gradients!),
        m: cut(this.m),
        v: cut(this.v),
        p_low: low && cut(low),
        state,
        lr_mult: 1,
        beta1: config.beta1,
        beta2: config.beta2,
        eps: config.eps,
        weight_decay: weightDecay,
        seed: 0,
      });
    };
    if (config.kind === "adamw") {
      run(0, layout.decayNumel, config.weightDecay);
    } else {
      for (const w of layout.weights.filter((x) => x.decay)) {
        if (w.key === "embed" || w.key === "lm_head") {
          run(w.offset, w.offset + w.shape[0]! * w.shape[1]!, config.weightDecay);
        } else {
          for (const part of w.parts) this.muon(w.offset + part.offset, part.shape, lr);
        }
      }
      if (low) device.run("copy", { x: flat, y: low });
    }
    run(layout.decayNumel, layout.numel, 0);
  }

  free(): void {
    for (const t of [this.m, this.v, this.state, this.sumsq]) t.free();
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
