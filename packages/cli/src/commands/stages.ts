// The stages that come with the project: their names, and where each definition is. Those of plugins are found in core's registry.
import { NsaError, type StageDefinition, stageKinds } from "@nsa/core";

interface BuiltIn {
  /** For help, which loads no library. */
  about: string;
  load: () => Promise<StageDefinition>;
  /** Whether `nsa <name> <recipe>` is a command; the others run in pipelines and by `nsa run`. */
  command?: true;
}

const STAGE_TABLE = {
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
    command: true,
  },
  sft: {
    about: "teach a checkpoint to answer in the formats of examples",
    load: async () => (await import("@nsa/train")).sftStage,
    command: true,
  },
  grpo: {
    about: "reinforcement learning with group-relative advantages and rule rewards",
    load: async () => (await import("@nsa/rl")).grpoStage,
    command: true,
  },
  eval: {
    about: "measure a checkpoint on tasks",
    load: async () => (await import("@nsa/eval")).evalStage,
    command: true,
  },
} satisfies Record<string, BuiltIn>;

const table: Readonly<Record<string, BuiltIn>> = STAGE_TABLE;

/** Names for {@link loadStage}, in the order of a pipeline. */
export const STAGES = Object.keys(STAGE_TABLE) as [string, ...string[]];

/** The built-in stages that are commands, with what they do. */
export const STAGE_COMMANDS = Object.entries(table).flatMap(([name, { about, command }]) =>
  command ? [{ name, about }] : [],
);

/** Built-in stages, and those that plugins have registered by now. */
export const stageNames = (): [string, ...string[]] => [
  ...STAGES,
  ...stageKinds.names.filter((name) => !Object.hasOwn(table, name)),
];

/** Loads a stage. Throws NsaError `stage_unknown` (exit 2). */
export async function loadStage(name: string): Promise<StageDefinition> {
  if (Object.hasOwn(table, name)) return table[name]!.load();
  if (stageKinds.has(name)) return stageKinds.get(name);
  throw new NsaError({
    code: "stage_unknown",
    what: `no stage "${name}"`,
    why: `there are ${stageNames().join(", ")}`,
    fix: "choose one of them, or load the plugin that defines it with `plugins: [file.ts]`",
    exitCode: 2,
  });
}
