// The stages that come with the project: what they do, and where each definition is. Loads no library: help reads it, too.
import type { StageDefinition } from "@nsa/core";

interface BuiltIn {
  /** For help, which loads no library. */
  about: string;
  load: () => Promise<StageDefinition>;
  /** `nsa <name> <recipe>` is a command, with options of its own; the others run in pipelines and by `nsa run`. */
  command?: {
    /** Several processes may share its steps. */
    ranks?: true;
    /** It may run programs that a model writes; it does not train. */
    programs?: true;
    /** It has sub-commands that list and fetch tasks. */
    records?: true;
  };
}

export const STAGE_TABLE: Readonly<Record<string, BuiltIn>> = {
  crawl: {
    about: "generate web pages with solved problems, and what a pipeline needs beside them",
    load: async () => (await import("@nsa/tasks")).crawlStage,
  },
  data: {
    about: "collect a corpus from crawl files by the classifier loop",
    load: async () => (await import("@nsa/data")).corpusStage,
  },
  tokenizer: {
    about: "train a tokenizer on corpus files",
    load: async () => (await import("@nsa/data")).tokenizerStage,
  },
  tokenize: {
    about: "encode corpus files into token shards",
    load: async () => (await import("@nsa/data")).tokenizeStage,
  },
  pretrain: {
    about: "train a transformer on text",
    load: async () => (await import("@nsa/train")).pretrainStage,
    command: { ranks: true },
  },
  sft: {
    about: "teach a checkpoint to answer in the formats of examples",
    load: async () => (await import("@nsa/train")).sftStage,
    command: { ranks: true },
  },
  reward: {
    about: "train a reward model on labelled outputs or steps",
    load: async () => (await import("@nsa/rl")).rewardStage,
    command: { ranks: true },
  },
  dpo: {
    about: "learn from preferences without a reward model (DPO), offline or from the policy's own outputs",
    load: async () => (await import("@nsa/rl")).dpoStage,
    command: { ranks: true },
  },
  grpo: {
    about: "reinforcement learning: GRPO, its variants and PPO; rewards by rules, reward models and programs",
    load: async () => (await import("@nsa/rl")).grpoStage,
    command: { ranks: true },
  },
  sample: {
    about: "sample a checkpoint's outputs for questions, graded, with their log-probabilities",
    load: async () => (await import("@nsa/rl")).sampleStage,
    command: { ranks: true },
  },
  eval: {
    about: "measure a checkpoint on tasks",
    load: async () => (await import("@nsa/eval")).evalStage,
    command: { ranks: true, programs: true, records: true },
  },
};
