// The part of the loop before its rounds: read, deduplicate, clean; with the funnel so far.
import { NsaError } from "@nsa/core";
import type { JobContext } from "../jobs/stage.ts";
import { type CleanShard, cleanShards } from "../steps/clean.ts";
import { type ReadShard, readShards } from "../steps/read.ts";
import type { BuildConfig } from "./config.ts";
import { dedupShards } from "./dedup.ts";

/** Documents that were left after a step, for the report. */
export interface FunnelRow {
  step: string;
  documents: number;
  tokens?: number;
  detail?: Record<string, number>;
}

export interface Prepared {
  shards: CleanShard[];
  funnel: FunnelRow[];
}

export interface Read {
  shards: ReadShard[];
  funnel: FunnelRow[];
}

export async function readPool(job: JobContext, config: BuildConfig): Promise<Read> {
  const { shards, documents, refused, reasons } = await readShards(job, config, config.inputs);
  return {
    shards,
    funnel: [
      { step: "records", documents: documents + refused },
      { step: "read", documents, detail: reasons },
    ],
  };
}

/** Pages that were compared with the benchmarks. */
export function checkedPages(funnel: readonly FunnelRow[]): number {
  return funnel.find((row) => row.step === "filtered")?.documents ?? 0;
}

/** Pool shards ready to score. Throws NsaError `nothing_to_rank` (exit 3) when no document is left. */
export async function preparePool(job: JobContext, config: BuildConfig): Promise<Prepared> {
  const read = await readPool(job, config);
  const { verdicts, stats } = await dedupShards(job, config, read.shards);
  const clean = await cleanShards(job, config, read.shards, verdicts);
  const funnel: FunnelRow[] = [
    ...read.funnel,
    { step: "deduplicated", documents: clean.deduplicated, detail: stats },
    {
      step: "filtered",
      documents: clean.filtered,
      detail: { short: clean.dropped.short ?? 0, language: clean.dropped.language ?? 0 },
    },
    {
      step: "decontaminated",
      documents: clean.documents,
      tokens: clean.tokens,
      detail: { contaminated: clean.dropped.contaminated ?? 0 },
    },
  ];
  if (clean.documents === 0) {
    throw new NsaError({
      code: "nothing_to_rank",
      what: "no document of the pool is left to rank",
      why: `of the records: ${funnel.map((row) => `${row.step} ${row.documents}`).join(", ")}`,
      fix: "check `inputs`, `min_chars`, `languages` and the quarantine file",
      exitCode: 3,
    });
  }
  return { shards: clean.shards, funnel };
}
