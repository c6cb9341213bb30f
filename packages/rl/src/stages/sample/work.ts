// What a run of `nsa sample` consists of: items by number, sampled in batches, and the parts that it is done with.
import type { Metrics } from "@nsa/core";
import type { Tokenizer } from "@nsa/data";
import type { OpenTools } from "@nsa/eval";
import type { Collectives } from "@nsa/kernels";
import type { Engine } from "@nsa/model";
import type { Scorer } from "../../rewards/score.ts";
import type { SampleConfig } from "./config.ts";
import type { SampleRow } from "./rows.ts";
import type { Tally } from "./tally.ts";

/** What both kinds of work are done with. */
export interface Sampler {
  config: SampleConfig;
  engine: Engine;
  tokenizer: Tokenizer;
  scorer: Scorer;
  /** What outputs may call; none where the recipe has no environment. */
  tools?: OpenTools | undefined;
  /** Ranks that share the items of a batch; each gets all outputs. */
  collectives: Collectives;
  log: (text: string, level: "warn") => void;
  /** Whether any rank is to stop: all must ask at the same places. */
  interrupted: () => boolean;
}

/** What came of a batch. */
export interface Batch {
  /** Rows of samples.jsonl. */
  rows: readonly { prompt: string; completion: string; reward?: number | null; parts?: Metrics }[];
  /** Rows of pool.jsonl. */
  pool: readonly object[];
  tally: Tally;
  /** Outputs that a reward could not score. */
  faults: readonly SampleRow[];
}

/** Questions, or outputs to continue, by number. */
export interface Work {
  total: number;
  /** Items `first` … `first + count − 1`; undefined where an interruption cut outputs short. */
  batch(first: number, count: number): Promise<Batch | undefined>;
  /** Figures of the sums of its batches. */
  metrics(tally: Tally): Metrics;
}
