// `nsa data read|dedup|decontaminate|filter|rank|domains`: the loop up to one step, in the same folder, so that a later
// step or `build` takes up what is there.
import { join } from "node:path";
import { clearTemporaries } from "../jobs/manifest.ts";
import type { BuildConfig } from "./config.ts";
import { type BuildContext, jobContext } from "./context.ts";
import { preparePool, readPool } from "./prepare.ts";
import { readSeeds, runRound, scoreRound } from "./round.ts";
import { dedupStep, type FunnelRow } from "./steps.ts";

export const CORPUS_STEPS = ["read", "dedup", "decontaminate", "filter", "rank", "domains"] as const;
export type CorpusStep = (typeof CORPUS_STEPS)[number];

export interface StepReport {
  step: CorpusStep;
  funnel: FunnelRow[];
  /** What the step made, absolute paths. */
  outputs: string[];
  /** Figures of the step itself. */
  figures: Record<string, unknown>;
}

/** Runs the first round of the loop up to `step`, redoing only what is missing. */
export async function runCorpusStep(
  step: CorpusStep,
  config: BuildConfig,
  ctx: BuildContext = {},
): Promise<StepReport> {
  const job = jobContext(config, ctx);
  clearTemporaries(job.outDir);
  const absolute = (paths: string[]) => paths.map((path) => join(job.outDir, path));
  try {
    if (step === "read" || step === "dedup") {
      const { shards, funnel } = await readPool(job, config);
      if (step === "read")
        return { step, funnel, outputs: absolute(shards.map((s) => s.documents)), figures: {} };
      const { verdicts, stats } = await dedupStep(job, config, shards);
      const dropped = Object.values(stats).reduce((n, x) => n + x, 0);
      const documents = funnel.at(-1)!.documents - dropped;
      return {
        step,
        funnel: [...funnel, { step: "deduplicated", documents, detail: stats }],
        outputs: absolute(verdicts),
        figures: stats,
      };
    }
    const { shards, funnel } = await preparePool(job, config);
    if (step === "decontaminate")
      return { step, funnel, outputs: absolute(shards.map((s) => s.documents)), figures: {} };
    const seeds = await readSeeds(job, config);
    const history = { columns: [], annotations: [] };
    if (step === "filter") {
      const { scores, train } = await scoreRound(job, config, seeds, 1, shards, history);
      return { step, funnel, outputs: absolute(scores), figures: train };
    }
    const round = await runRound(job, config, seeds, 1, shards, history, undefined);
    const { rank, proposedDomains, paths } = round.report;
    funnel.push({ step: "ranked", documents: rank.collected, tokens: rank.collected_tokens });
    if (step === "rank") return { step, funnel, outputs: absolute([round.order]), figures: rank };
    return {
      step,
      funnel,
      outputs: absolute(["round-1/domains.json"]),
      figures: { domains: round.report.domains, proposedDomains, paths },
    };
  } finally {
    job.executor.close?.();
  }
}
