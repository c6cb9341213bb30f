// `nsa data`: the corpus loop and its parts on the command line.
import { type Command, Option } from "commander";
import { exitWith, wholeFrom, withOutput, withRuns, withSet } from "./options.ts";

/** Each runs what is missing before it; `build` takes up what it made. */
const STEPS = {
  read: "input files to JSONL shards; what cannot be read goes to quarantine.jsonl",
  dedup: "verdicts by URL, content and MinHash-LSH",
  decontaminate: "drop duplicates, short pages, other languages and benchmark texts",
  filter: "train the classifier (or take `model`) and score every page",
  rank: "collect the top pages up to the token budget into ranked/*.jsonl",
  domains: "domain table and proposed URL paths of the first round",
} as const;

const withReportOutput = (command: Command) =>
  command.option("--plain", "progress as lines").option("--json", "the whole report as one JSON object");

export function registerData(program: Command): void {
  const data = program.command("data").description("the DeepSeekMath corpus loop");
  withReportOutput(withSet(data.command("build <config>")))
    .description("read, filter, deduplicate, rank, discover domains, in rounds")
    .action(async (config: string, options: object) => {
      const { buildData } = await import("../commands/data.ts");
      await exitWith(buildData(config, options as never));
    });

  for (const [step, about] of Object.entries(STEPS)) {
    withReportOutput(withSet(data.command(`${step} <config>`)))
      .description(about)
      .action(async (config: string, options: object) => {
        const { runDataStep } = await import("../commands/data.ts");
        await exitWith(runDataStep(step as keyof typeof STEPS, config, options as never));
      });
  }

  withOutput(withRuns(withSet(data.command("crawl <config>"))))
    .description("generate web pages to try the loop on, with labels, a benchmark and worked sums")
    .action(async (config: string, options: object) => {
      const { runStage } = await import("../commands/stage.ts");
      await exitWith(runStage("crawl", config, { ...options, device: "cpu" } as never));
    });

  withReportOutput(data.command("tokenize <files...>"))
    .description("write token shards; a rerun makes only what is missing")
    .requiredOption("--tokenizer <path>", "tokenizer.json, or a folder that holds one")
    .requiredOption("--out <dir>", "folder of the shards")
    .action(async (files: string[], options: object) => {
      const { tokenizeData } = await import("../commands/data-files.ts");
      await tokenizeData(files, options as never);
    });

  withReportOutput(data.command("pack <files...>"))
    .description("pack fine-tuning examples: tokens, loss mask, positions, cu_seqlens")
    .requiredOption("--tokenizer <path>", "tokenizer.json, or a folder that holds one")
    .requiredOption("--out <dir>", "folder of the packs")
    .requiredOption("--prompt <template>", "part without loss, e.g. 'Question: {question}\\nAnswer:'")
    .requiredOption("--completion <template>", "part that is learned, e.g. ' {answer}'")
    .addOption(
      new Option(
        "--method <name>",
        "random: DeepSeekMath's; bfd: best fit decreasing; wrapped: cut at the border",
      )
        .choices(["random", "bfd", "wrapped"])
        .default("random"),
    )
    .option("--length <tokens>", "tokens of a pack", wholeFrom(2), 4096)
    .option("--seed <n>", "of the random order", wholeFrom(0), 1)
    .action(async (files: string[], options: object) => {
      const { packData } = await import("../commands/data-files.ts");
      await packData(files, options as never);
    });

  withReportOutput(data.command("stats <files...>"))
    .description("documents, refusals, lengths and domains of files")
    .option("--report <file>", "also write an HTML page")
    .action(async (files: string[], options: object) => {
      const { showStats } = await import("../commands/data-files.ts");
      await showStats(files, options as never);
    });
}
