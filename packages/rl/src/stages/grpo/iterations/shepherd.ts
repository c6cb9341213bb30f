// Labels for the steps of an iteration's outputs: roll-outs of the policy from each step's end (Math-Shepherd), as `nsa sample` makes them.
import { rmSync } from "node:fs";
import { join } from "node:path";
import { atomicWriteFile, turn, unlessInterrupted } from "@nsa/core";
import { singleRank } from "@nsa/kernels";
import { Engine, type Transformer } from "@nsa/model";
import { makeScorer } from "../../../rewards/score.ts";
import { sampleSchema } from "../../sample/config.ts";
import { stepWork } from "../../sample/rollouts.ts";
import type { Line } from "./files.ts";
import type { RetrainingParts } from "./parts.ts";

export interface LabelOptions extends RetrainingParts {
  policy: Transformer;
  /** Roll-outs from the end of each step. */
  rollouts: number;
  seed: number;
}

/** Outputs that are continued together. */
const BATCH = 256;

/** The outputs with `hard` and `soft` labels on their steps; undefined where it was interrupted. */
export async function labelSteps(lines: readonly Line[], options: LabelOptions): Promise<Line[] | undefined> {
  if (lines.length === 0) return [];
  const { config, ctx, device, tokenizer, policy, rollouts, seed } = options;
  const { rollout: r } = config;
  const file = join(ctx.runDir, "reward-model", "to-label.jsonl");
  atomicWriteFile(file, lines.map((line) => `${line}\n`).join(""));
  // Roll-outs are judged by what is right, at whatever step of the run a reward counts.
  const tested = config.rewards.flatMap((r) =>
    r.kind === "code" ? [{ ...r, fromStep: 1, toStep: undefined }] : [],
  );
  const sampling = { temperature: r.temperature, topP: r.topP, topK: r.topK, minP: r.minP, stop: r.stop };
  const own = sampleSchema.parse({
    seed,
    init: config.init,
    prompts: { from: "steps", rollouts },
    data: { files: [file] },
    sampling: { ...sampling, maxTokens: r.maxTokens },
    engine: { maxSequences: r.maxSequences, cacheTokens: r.cacheTokens },
    ...(tested.length > 0 ? { rewards: tested } : {}),
  });
  const log = (text: string, level?: "info" | "warn") => ctx.log(text, level);
  const interrupted = () => ctx.interrupted();
  const scorer = await makeScorer(own.rewards, { device, tokenizer, log, interrupted });
  try {
    const engine = new Engine(policy, { ...own.engine, decode: (ids) => tokenizer.decode(ids) });
    const work = stepWork({
      config: own,
      engine,
      tokenizer,
      scorer,
      log,
      interrupted,
      collectives: singleRank,
    });
    const labelled: Line[] = [];
    for (let first = 0; first < work.total; first += BATCH) {
      await turn();
      const batch = await unlessInterrupted(work.batch(first, Math.min(BATCH, work.total - first)));
      if (!batch) return undefined;
      for (const row of batch.rows) labelled.push(JSON.stringify(row));
    }
    return labelled;
  } finally {
    await scorer.close();
    rmSync(file, { force: true });
  }
}
