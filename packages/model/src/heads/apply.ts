// Runs a model's head on the rows of a micro-batch that have a target; results come back as [T].
//
// Legend: T tokens, R rows that have a target, D model width.
import type { Batch } from "@nsa/core";
import { gatherRows, scatterRows, Tape, type Tensor } from "@nsa/kernels";
import type { ForwardOptions, Transformer } from "../transformer/transformer.ts";
import type { HeadOptions, HeadOutputs } from "./kind.ts";
import type { LmOutputs } from "./lm.ts";
import { headKinds } from "./registry.ts";
import type { ScalarOutputs } from "./scalar.ts";

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

/** Applies the model's head to hidden [T, D]; a slope is [T] here. */
export function headOn(
  model: Transformer,
  tape: Tape,
  hidden: Tensor,
  { targets, rows, tokens }: HeadRows,
  options: HeadOptions = {},
): HeadOutputs {
  const { config, parameters } = model;
  const head = headKinds.get(config.head);
  const weight = (key: string) => parameters.weight(key);
  if (!rows) return head.forward(tape, { hidden, targets, config, weight }, options);
  const slope = options.slope && gatherRows(tape, options.slope.reshape(tokens, 1), rows);
  const inputs = { hidden: gatherRows(tape, hidden, rows), targets, config, weight };
  const out = head.forward(tape, inputs, { ...options, slope });
  return Object.fromEntries(
    Object.entries(out).map(([name, t]) => [name, scatterRows(tape, t, rows, tokens)]),
  );
}

/** What a head gives without gradients, as host arrays of T values. */
type HostOutputs<H> = { [name in keyof H]: Float64Array };

export interface ScoringOptions {
  temperature?: number;
  attend?: ForwardOptions["attend"];
  /** Log-probabilities in place of the head's, [T], from hidden [T, D]: over the ids that a sampler kept. */
  support?: ((model: Transformer, tape: Tape, hidden: Tensor) => Tensor) | undefined;
}

function outputsOf(
  model: Transformer,
  batch: Pick<Batch, "tokens" | "targets" | "cuSeqlens">,
  options: ScoringOptions,
): Record<string, Float64Array> {
  using _ = model.device.scope();
  const tape = new Tape(false);
  const hidden = model.forward(tape, model.upload(batch), { attend: options.attend });
  const i32 = (values: Int32Array) => model.device.from(values, [values.length], "i32");
  const { targets, rows } = headLayout(batch.targets);
  const at = { targets: i32(targets), rows: rows && i32(rows), tokens: batch.tokens.length };
  const outputs = { ...headOn(model, tape, hidden, at, { temperature: options.temperature }) };
  if (options.support) outputs.logp = options.support(model, tape, hidden);
  return Object.fromEntries(Object.entries(outputs).map(([name, t]) => [name, t.read()]));
}

/** Log-probabilities without gradients: π_old and π_ref of RL, validation, scoring. Host arrays of T values. */
export function logprobs(
  model: Transformer,
  batch: Pick<Batch, "tokens" | "targets" | "cuSeqlens">,
  options: ScoringOptions = {},
): HostOutputs<LmOutputs> {
  model.checkGenerates();
  return outputsOf(model, batch, options) as HostOutputs<LmOutputs>;
}

/** Values of a head with one number a position, without gradients, [T]; 0 where the batch has no target. */
export function values(
  model: Transformer,
  batch: Pick<Batch, "tokens" | "targets" | "cuSeqlens">,
): Float64Array {
  return (outputsOf(model, batch, {}) as HostOutputs<ScalarOutputs>).value;
}
