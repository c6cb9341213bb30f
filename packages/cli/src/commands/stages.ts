// The stages that recipes describe: their schemas, runners, costs, and what a pipeline can know of them beforehand.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { NsaError, type StageRunner } from "@nsa/core";
import type { z } from "zod";

export interface Stage {
  // biome-ignore lint/suspicious/noExplicitAny: each stage has its own config type, checked by its schema.
  schema: z.ZodType<any>;
  // biome-ignore lint/suspicious/noExplicitAny: as above.
  run: StageRunner<any>;
  // biome-ignore lint/suspicious/noExplicitAny: as above.
  estimate: (config: any, device?: string) => Record<string, number>;
  /**
   * Names of the outputs, with stand-ins good enough for the estimates of later stages; `folder` may be filled.
   */
  // biome-ignore lint/suspicious/noExplicitAny: as above.
  foresee: (config: any, folder: string) => Record<string, string>;
}

const free = () => ({});
const named =
  (...names: string[]) =>
  (_: unknown, folder: string) =>
    Object.fromEntries(names.map((name) => [name, join(folder, name)]));

const STAGE_TABLE = {
  crawl: async (): Promise<Stage> => {
    const { crawlSchema, runCrawl } = await import("@nsa/tasks");
    const outputs = ["pool", "positives", "negatives", "labels", "benchmark", "examples"];
    return {
      schema: crawlSchema,
      run: runCrawl,
      estimate: ({ pages }) => ({ pages }),
      foresee: named(...outputs),
    };
  },
  data: async (): Promise<Stage> => {
    const { BuildConfig, runCorpus } = await import("@nsa/data");
    const foresee = named("dir", "ranked", "report");
    return { schema: BuildConfig, run: runCorpus, estimate: free, foresee };
  },
  tokenizer: async (): Promise<Stage> => {
    const { runTokenizer, tokenizerSchema } = await import("@nsa/data");
    return { schema: tokenizerSchema, run: runTokenizer, estimate: free, foresee: named("file") };
  },
  tokenize: async (): Promise<Stage> => {
    const { runTokenize, tokenizeSchema } = await import("@nsa/data");
    return { schema: tokenizeSchema, run: runTokenize, estimate: free, foresee: named("shards", "index") };
  },
  pretrain: async (): Promise<Stage> => {
    const { estimatePretrain, pretrainModelConfig, pretrainSchema, runPretrain } = await import("@nsa/train");
    const { writeArchitecture } = await import("@nsa/model");
    return {
      schema: pretrainSchema,
      run: runPretrain,
      estimate: estimatePretrain,
      foresee: (config, folder) => {
        // A checkpoint of which only the architecture is known.
        const checkpoint = join(folder, "checkpoint");
        mkdirSync(checkpoint, { recursive: true });
        writeArchitecture(checkpoint, pretrainModelConfig(config));
        return { checkpoint, tokenizer: join(folder, "tokenizer") };
      },
    };
  },
  sft: async (): Promise<Stage> => {
    const { estimateSft, runSft, sftSchema } = await import("@nsa/train");
    return {
      schema: sftSchema,
      run: runSft,
      estimate: estimateSft,
      foresee: ({ initFrom }) => ({ checkpoint: initFrom }),
    };
  },
  grpo: async (): Promise<Stage> => {
    const { estimateGrpo, grpoSchema, runGrpo } = await import("@nsa/rl");
    return {
      schema: grpoSchema,
      run: runGrpo,
      estimate: estimateGrpo,
      foresee: ({ init }) => ({ checkpoint: init.checkpoint }),
    };
  },
  eval: async (): Promise<Stage> => {
    const { estimateEval, evalSchema, runEval } = await import("@nsa/eval");
    return {
      schema: evalSchema,
      run: runEval,
      estimate: estimateEval,
      foresee: named("summary", "samples"),
    };
  },
} as const;

export type StageName = keyof typeof STAGE_TABLE;

/** Names for {@link loadStage}, in the order of a pipeline. */
export const STAGES = Object.keys(STAGE_TABLE) as [StageName, ...StageName[]];

/** Loads a stage. Throws NsaError `stage_unknown` (exit 2). */
export async function loadStage(name: string): Promise<Stage> {
  const load = STAGE_TABLE[name as StageName] as (() => Promise<Stage>) | undefined;
  if (load) return load();
  throw new NsaError({
    code: "stage_unknown",
    what: `no stage "${name}"`,
    why: `there are ${STAGES.join(", ")}`,
    fix: "choose one of them",
    exitCode: 2,
  });
}
