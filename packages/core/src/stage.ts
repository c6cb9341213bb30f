// The shape of a training or evaluation stage: the library runs it, the CLI gives it a folder and listens.
import type { JsonlFile } from "./jsonl.ts";
import type { Metrics } from "./metrics/sink.ts";

/** What a stage tells while it runs; all fields are plain data and survive process messages. */
export type StageEvent =
  | { type: "start"; totalSteps: number; step: number; info?: Record<string, number | string> }
  /** One optimizer step: goes to metrics.jsonl and the screen. */
  | { type: "step"; step: number; totalSteps: number; metrics: Metrics }
  /** A measurement on held-out data: goes to metrics.jsonl under its own keys (`val/loss`). */
  | { type: "eval"; step: number; metrics: Metrics }
  /** Text written by the model: goes to samples.jsonl, unless the stage has `recorded` it with its others. */
  | {
      type: "sample";
      step: number;
      prompt: string;
      text: string;
      reward?: number;
      parts?: Metrics;
      recorded?: boolean;
    }
  | { type: "checkpoint"; step: number; path: string }
  | { type: "log"; level: "info" | "warn"; text: string }
  | { type: "done"; step: number; metrics: Metrics };

/** One process among the `world` processes of a data-parallel run, and the folder of the pipes between them. */
export interface RankPlace {
  rank: number;
  world: number;
  folder: string;
  /** Number of the rank on its machine, where that is not its own: the GPU it takes. */
  local?: number;
  /** Folder of the run, which is rank 0's own; the others record in folders of theirs. */
  runDir?: string;
  /** What is to be equal on all ranks, by name: hashes of recipe and code. */
  identity?: Record<string, string>;
  /** Named groups of ranks besides `data`. */
  groups?: Record<string, readonly number[]>;
}

/** Where a stage's process stands among all that run it. */
export interface ParallelPlace {
  rank: number;
  world: number;
  /** Ranks of each named group, ascending; `data` are those that share the steps' batches, by default all. */
  groups: Readonly<Record<string, readonly number[]>>;
}

/** The place of a process of a data-parallel run, or of the only one there is. */
export function parallelPlace({ rank, world, groups }: Partial<RankPlace> = {}): ParallelPlace {
  const data = Array.from({ length: world ?? 1 }, (_, i) => i);
  return { rank: rank ?? 0, world: world ?? 1, groups: { data, ...groups } };
}

export interface PlanChoice {
  /** Time several algorithms for each new shape. */
  tune: boolean;
  /** File that an earlier run has written. */
  from?: string;
}

export interface StageContext {
  /** Absolute path of the run folder; it exists. */
  runDir: string;
  /** Checkpoint folder to continue from. */
  resumeFrom?: string;
  device: string;
  /** The pipes between the ranks; absent in a run of one process. */
  ranks?: RankPlace;
  /** Rank 0 of a world of one in a run of one process. */
  parallel: ParallelPlace;
  /** One step is to be timed op by op. */
  profile?: boolean;
  /** How matmuls are chosen, where not by the backend's default. */
  plans?: PlanChoice;
  /** Reports an event; step, eval and sample events are also recorded in the run folder. */
  emit(event: StageEvent): void;
  /** Forgets recorded rows above `step`: call it once after loading a checkpoint. */
  rewind(step: number): void;
  /** samples.jsonl, for stages that write rows of their own. */
  samples: JsonlFile;
  /** Aborts when the user asks to stop. */
  signal: AbortSignal;
  interrupted(): boolean;
  /** Makes the rows so far outlive a power cut; to be called before a state that counts them is written. */
  sync(): void;
  log(text: string, level?: "info" | "warn"): void;
}

/** Folder of the run that all ranks share: where checkpoints and what belongs to them are. */
export const runFolderOf = ({ ranks, runDir }: Pick<StageContext, "ranks" | "runDir">): string =>
  ranks?.runDir ?? runDir;

export interface StageResult {
  status: "completed" | "interrupted";
  step: number;
  /** Final figures of the stage. */
  metrics: Metrics;
  /** What later stages take in, by name (`checkpoint`, `tokenizer`, `shards` …): absolute paths. */
  outputs: Record<string, string>;
}

export type StageRunner<C> = (config: C, context: StageContext) => Promise<StageResult>;
