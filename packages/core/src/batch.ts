// The batch contract between data sources, the trainer and the losses: flat, variable-length, documents packed.
//
// Legend: T tokens in the micro-batch, n documents (or samples) in it.

/** One micro-batch. `logp[t] = log p(targets[t] | tokens ≤ t)`; targets never cross a document border. */
export interface Batch {
  /** Input ids, [T]. */
  tokens: Int32Array;
  /** Id to predict at each position, [T]; −1 where there is none (weight 0). */
  targets: Int32Array;
  /** Weight of each position in the loss, [T]; 0 masks it. */
  lossWeight: Float32Array;
  /** Position inside the document, [T]; restarts at 0 with every document. */
  positions: Int32Array;
  /** Borders of the documents, [n + 1], from 0 to T. */
  cuSeqlens: Int32Array;
  /** Stable id of each document, [n]. */
  sampleIds: Float64Array;
  /** Extra per-token columns for losses (advantages, old log-probabilities …), each [T]. */
  columns?: Record<string, Float32Array>;
}

/** All micro-batches of one optimizer step. */
export interface StepBatch {
  microBatches: Batch[];
  /** Sum of `lossWeight` over all micro-batches and ranks, known before the first backward. */
  weightSum: number;
}

/** A stateful thing that a checkpoint saves and restores. */
export interface Stateful {
  name: string;
  save(): unknown | Promise<unknown>;
  load(state: unknown): void | Promise<void>;
}

/** A stream of steps. `prefetch: 0` marks an on-policy source that must see the weights of the last step. */
export interface BatchSource extends AsyncIterable<StepBatch>, Stateful {
  prefetch: number;
}
