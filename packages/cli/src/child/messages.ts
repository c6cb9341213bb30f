// What the command and its trainer process tell each other; sent by structured clone, so NaN and typed arrays survive.
import type { NsaErrorFields, PlanChoice, RankPlace, StageEvent, StageResult } from "@nsa/core";

export interface Job {
  /** Name for {@link loadStage}. */
  stage: string;
  /** Checked config of the stage. */
  config: unknown;
  runDir: string;
  device: string;
  /** Go on from the newest checkpoint of the run folder, or from the one at this path. */
  resume: boolean | string;
  /** Recipe of a resumed run, this command's `--set` included; it replaces the one in the run folder. */
  recipe?: string;
  /** Time one step op by op. */
  profile?: boolean;
  plans?: PlanChoice;
  /** Files of the plugins that the command has loaded. */
  plugins?: string[];
  /** Go on although a plugin is not what the checkpoint was saved with. */
  acceptChanges?: boolean;
  /** Which process of a data-parallel run this is. */
  ranks?: RankPlace;
}

export type ToChild = { type: "run"; job: Job } | { type: "stop" };

export type FromChild =
  | { type: "ready" }
  | { type: "event"; event: StageEvent }
  | { type: "result"; result: StageResult }
  | { type: "failed"; message: string; stack?: string; fields?: Omit<NsaErrorFields, "cause"> };
