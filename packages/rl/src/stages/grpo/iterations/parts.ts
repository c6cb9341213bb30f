// What the retraining of a reward model shares with the run that it serves.
import type { StageContext } from "@nsa/core";
import type { Tokenizer } from "@nsa/data";
import type { Device } from "@nsa/kernels";
import type { GrpoConfig } from "../config.ts";

export interface RetrainingParts {
  config: GrpoConfig;
  ctx: StageContext;
  device: Device;
  tokenizer: Tokenizer;
}
