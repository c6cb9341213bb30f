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

/** Where the head runs: all T rows, or those in `rows`. */
export interface HeadRows {
  /** i32 [R]; −1 where there is none. */
  targets: Tensor;
  /** Rows of hidden that have a target, i32 [R], −1 in unused entries; undefined: all of them, in order. */
  rows?: Tensor;
  /** T. */
  tokens: number;
}

/**
 * Host side of {@link HeadRows}; `padding.rows` is how many entries there shall be (undefined: all T rows). Where no row has a target
 * there is one entry of −1.
 */
export function headLayout(
  targets: Int32Array,
  padding?: { rows: number | undefined },
): { targets: Int32Array; rows: Int32Array | undefined } {
  const T = targets.length;
  let n = 0;
  for (let t = 0; t < T; t++) if (targets[t]! >= 0) n++;
  const length = padding ? (padding.rows ?? T) : Math.max(1, n);
  if (length === T && (n === T || padding?.rows === undefined)) return { targets, rows: undefined };
  const rows = new Int32Array(length).fill(-1);
  const picked = new Int32Array(length).fill(-1);
  for (let t = 0, i = 0; t < T; t++) {
    if (targets[t]! < 0) continue;
    rows[i] = t;
    picked[i++] = targets[t]!;
  }
  return { targets: picked, rows };
}

/** Applies the head to hidden [T, D]; a slope is [T] here. */
export function headOn(
  model: Transformer,
  tape: Tape,
  hidden: Tensor,
  { targets, rows, tokens }: HeadRows,
  options: LmHeadOptions = {},
): HeadResult {
  const { headWeight } = model;
  if (!rows) return lmHead(tape, hidden, headWeight, targets, options);
  const slope = options.slope && gatherRows(tape, options.slope.reshape(tokens, 1), rows);
  const out = lmHead(tape, gatherRows(tape, hidden, rows), headWeight, targets, { ...options, slope });
  const back = (t: Tensor) => scatterRows(tape, t, rows, tokens);
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
  const i32 = (values: Int32Array) => model.device.from(values, [values.length], "i32");
  const { targets, rows } = headLayout(batch.targets);
  const at = { targets: i32(targets), rows: rows && i32(rows), tokens: batch.tokens.length };
  const { logp, lse, entropy } = headOn(model, tape, hidden, at, { temperature: options.temperature });
  return { logp: logp.read(), lse: lse.read(), entropy: entropy.read() };
}
