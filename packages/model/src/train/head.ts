// Log-probabilities of a micro-batch: the output head runs on the rows that have a target, results come back as [T].
import type { Batch } from "@nsa/core";
import { gatherRows, type LmHeadOptions, lmHead, scatterRows, Tape, type Tensor } from "@nsa/kernels";
import type { ForwardOptions, Transformer } from "../transformer/transformer.ts";

export interface HeadResult {
  /** log p(targets[t] | tokens ≤ t), 0 where there is no target, [T]. */
  logp: Tensor;
  /** Log-sum-exp of the logits and entropy, [T]; 0 where there is no target. */
  lse: Tensor;
  entropy: Tensor;
}

/** Applies the head to hidden [T, D]. */
export function headOn(
  model: Transformer,
  tape: Tape,
  hidden: Tensor,
  targets: Int32Array,
  options: LmHeadOptions = {},
): HeadResult {
  const { device, headWeight } = model;
  const T = targets.length;
  const rows: number[] = [];
  for (let t = 0; t < T; t++) if (targets[t]! >= 0) rows.push(t);
  if (rows.length === T) {
    return lmHead(tape, hidden, headWeight, device.from(targets, [T], "i32"), options);
  }
  const stats = hidden.dtype === "f64" ? "f64" : "f32";
  if (rows.length === 0) {
    const zero = () => device.zeros([T], stats);
    return { logp: zero(), lse: zero(), entropy: zero() };
  }
  const idx = device.from(Int32Array.from(rows), [rows.length], "i32");
  const picked = device.from(
    Int32Array.from(rows, (t) => targets[t]!),
    [rows.length],
    "i32",
  );
  const out = lmHead(tape, gatherRows(tape, hidden, idx), headWeight, picked, options);
  const back = (t: Tensor) => scatterRows(tape, t, idx, T);
  return { logp: back(out.logp), lse: back(out.lse), entropy: back(out.entropy) };
}

/** Log-probabilities without gradients: π_old and π_ref of RL, validation, scoring. Host arrays of T values. */
export function logprobs(
  model: Transformer,
  batch: Pick<Batch, "tokens" | "targets" | "cuSeqlens">,
  options: { temperature?: number; attend?: ForwardOptions["attend"] } = {},
): { logp: Float64Array; lse: Float64Array; entropy: Float64Array } {
  using _ = model.device.scope();
  const tape = new Tape(false);
  const hidden = model.forward(tape, model.upload(batch), { attend: options.attend });
  const { logp, lse, entropy } = headOn(model, tape, hidden, batch.targets, {
    temperature: options.temperature,
  });
  return { logp: logp.read(), lse: lse.read(), entropy: entropy.read() };
}
