// A checkpoint of a few steps, for tests of what comes after training.
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openStageContext, parseConfig, type StageEvent } from "@nsa/core";
import { pretrainSchema, runPretrain } from "../src/index.ts";
import { tinyRecipe } from "./tiny-recipe.ts";

export interface TinyCheckpoint {
  dir: string;
  checkpoint: string;
  remove(): void;
}

export async function makeTinyCheckpoint(steps = 2): Promise<TinyCheckpoint> {
  const dir = mkdtempSync(join(tmpdir(), "nsa-eval-"));
  const runDir = join(dir, "base");
  mkdirSync(join(runDir, "checkpoints"), { recursive: true });
  const context = openStageContext({ runDir, device: "cpu" });
  const { outputs } = await runPretrain(parseConfig(pretrainSchema, tinyRecipe(steps), "test"), context);
  await context.close();
  return {
    dir,
    checkpoint: outputs.checkpoint!,
    remove: () => rmSync(dir, { recursive: true, force: true }),
  };
}

export interface RunOptions {
  resumeFrom?: string;
  signal?: AbortSignal;
  onEvent?: (event: StageEvent) => void;
}
