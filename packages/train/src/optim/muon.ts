// Muon (Jordan et al., 2024): momentum of hidden matrices, orthogonalized by a quintic Newton–Schulz iteration; AdamW for the rest.
import { ExitCode, NsaError } from "@nsa/core";
import type { Tensor } from "@nsa/kernels";
import { adamwRange } from "./adamw.ts";
import type { OptimizerContext, OptimizerKind } from "./kind.ts";

const stateOfMuon = () =>
  new NsaError({
    code: "state_dtype",
    what: "optimizer.state_dtype is bf16 with kind muon",
    why: "the momentum of Muon is kept in fp32",
    fix: "use kind adamw, or state_dtype fp32",
    exitCode: ExitCode.usage,
  });

/** Coefficients of the iteration. */
const [NS_A, NS_B, NS_C] = [3.4445, -4.775, 2.0315];

/** p −= lr·(0.2·√max(r, c)·orthogonalize(momentum) + weight_decay·p) for one matrix [r, c]; `lr` is the group's own. */
function muonMatrix(
  { device, config, parameters, state, buffers }: OptimizerContext,
  offset: number,
  shape: number[],
  { lr, weightDecay }: { lr: number; weightDecay: number },
): void {
  using _ = device.scope();
  const [r, c] = shape as [number, number];
  const cut = (t: Tensor) => t.view(offset, shape);
  const [p, m, g] = [cut(parameters.flat), cut(buffers.m!), cut(parameters.gradients!)];
  const like = () => device.empty(shape, p.dtype);
  const mu = config.muonMomentum;
  const clip = device.empty([1], p.dtype);
  device.run("copy", { x: state.view(2, [1]), y: clip });
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
  device.run("add", { a: p, b: from, y: p, alpha: 1 - lr * weightDecay, beta: -lr * scale });
}

export const muon: OptimizerKind = {
  name: "muon",
  onDevice: false,
  check({ stateDtype }) {
    if (stateDtype === "bf16") throw stateOfMuon();
  },
  buffers: (_config, master) => ({ m: master, v: master }),
  apply(context, lr) {
    for (const group of context.groups) {
      const { weightDecay, lrMultiplier } = group;
      for (const w of group.weights.filter((x) => x.decay)) {
        if (w.table) {
          const to = w.offset + w.shape[0]! * w.shape[1]!;
          adamwRange(context, w.offset, to, { weightDecay, lrMultiplier });
        } else {
          const own = { lr: lr * lrMultiplier, weightDecay };
          for (const part of w.parts) muonMatrix(context, w.offset + part.offset, part.shape, own);
        }
      }
    }
    context.parameters.refreshLow(context.parameters.layout.trainableNumel);
    for (const { decayTo, to, lrMultiplier } of context.groups)
      adamwRange(context, decayTo, to, { weightDecay: 0, lrMultiplier });
  },
};
