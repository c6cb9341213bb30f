// Settings of `nsa data build`: the DeepSeekMath corpus loop.
import { z } from "zod";
import { FastTextConfig } from "../fasttext/args.ts";

export const LoopConfig = z.strictObject({
  maxRounds: z.int().min(1).default(4).describe("Most rounds of train, score, rank (paper: 4)."),
  stopNewShare: z
    .number()
    .min(0)
    .max(1)
    .default(0.02)
    .describe(
      "Stop when this share of the collected pages, or less, is new (paper: 98 % already collected).",
    ),
  domainShare: z
    .number()
    .min(0)
    .max(1)
    .default(0.1)
    .describe("A domain of which more than this share of pages is collected is proposed (paper: 10 %)."),
  minDomainPages: z.int().min(1).default(5).describe("Domains with fewer pages are not proposed."),
  pathShare: z
    .number()
    .min(0)
    .max(1)
    .default(0.5)
    .describe("A URL path is accepted automatically when at least this share of its pages is collected."),
  maxPathDepth: z.int().min(1).default(4).describe("Deepest URL path that an annotation may name."),
  refusedAsNegatives: z
    .boolean()
    .default(true)
    .describe(
      "Pages under refused paths become negatives of the next round. Not in the paper, whose negatives are random pages; a refusal says more.",
    ),
  withoutFormulas: z
    .number()
    .min(0)
    .max(1)
    .default(0)
    .describe(
      "Share of the positive seeds that the classifier sees a second time without their formulas. Not in the paper; without it mathematics in words alone scores low.",
    ),
  autoAnnotate: z
    .boolean()
    .default(false)
    .describe("Accept the proposed annotations without waiting for a person to edit the YAML."),
});

export const NearConfig = z.strictObject({
  enabled: z.boolean().default(true).describe("Drop pages similar to an earlier one."),
  threshold: z
    .number()
    .min(0)
    .max(1)
    .default(0.72)
    .describe("Estimated Jaccard similarity from which pages are duplicates; 0.72 finds 95 % at a true 0.8."),
  shingleWords: z.int().min(1).default(5).describe("Words in a shingle."),
  bands: z
    .int()
    .min(1)
    .max(255)
    .default(20)
    .describe("Bands of the signature; sharing one makes a candidate."),
  rows: z.int().min(1).default(6).describe("Values in a band; the signature has bands × rows."),
  seed: z.int().min(0).default(1).describe("Seed of the hash functions."),
});

export const DedupConfig = z.strictObject({
  url: z.boolean().default(true).describe("Drop pages whose normalised URL was seen before."),
  exact: z
    .boolean()
    .default(true)
    .describe("Drop pages whose words and signs were seen before, in the same order."),
  near: NearConfig.prefault({}).describe("MinHash-LSH near duplicates."),
});

export const DecontaminateConfig = z.strictObject({
  benchmarks: z
    .array(z.string())
    .default([])
    .describe("JSONL files of benchmarks whose texts must not occur."),
  fields: z
    .array(z.string())
    .default([])
    .describe(
      "Fields that hold benchmark text; empty takes the questions (question, problem, prompt, input, text …), * all string fields but ids and labels. Answers and options stand on clean pages, too.",
    ),
  ngram: z
    .int()
    .min(2)
    .default(10)
    .describe("A page that shares this many words in a row is dropped (paper: 10); Han and kana count half."),
  minWords: z
    .int()
    .min(1)
    .default(3)
    .describe(
      "Benchmark texts with fewer words than `ngram` but at least this many match exactly (paper: 3).",
    ),
  distinctive: z
    .boolean()
    .default(true)
    .describe(
      "Leave out what proves no copy: grams of a formula alone, phrases of every exam within a sentence, questions with other numbers than the benchmark's; false is the paper's rule to the letter.",
    ),
});

export const FetchConfig = z.strictObject({
  base: z
    .string()
    .default("")
    .describe(
      "Folder or http(s) address below which the files of lists and indexes lie; empty: beside the list, or in a folder above it.",
    ),
  connections: z.int().min(1).max(64).default(4).describe("Requests at once."),
  retries: z
    .int()
    .min(0)
    .default(8)
    .describe(
      "Attempts in a row without a byte of progress before the run ends with exit 4; each waits twice as long.",
    ),
  idleSeconds: z
    .number()
    .positive()
    .default(60)
    .describe("Seconds without a byte after which a transfer is cut."),
});

export const BuildConfig = z.strictObject({
  outDir: z.string().describe("Folder of all outputs; a rerun there does only what is missing."),
  inputs: z
    .array(z.string())
    .min(1)
    .describe(
      "Crawl files to collect from (the pool): `*` matches within a name, `**` any folders, a folder gives its files; a `.paths` list (Common Crawl) names its files, an index (`cdx-00000.gz`, `.cdxj`, `.cdx`) its records. http(s) addresses are fetched into `out_dir`/inputs.",
    ),
  fetch: FetchConfig.prefault({}).describe(
    "How inputs that are addresses, lists or indexes are found and fetched.",
  ),
  model: z
    .string()
    .optional()
    .describe("A trained classifier (.bin) for the first round; then a single round needs no seeds."),
  positives: z.array(z.string()).default([]).describe("Seed pages that are wanted (paper: OpenWebMath)."),
  negatives: z
    .array(z.string())
    .default([])
    .describe("Seed pages that are not (paper: random Common Crawl)."),
  labels: z
    .string()
    .optional()
    .describe(
      "JSONL of {id, label} and, for scores by kind of page, kind, for pages of the pool, all or a sample: to measure precision and recall, and for `min_precision`; never to train.",
    ),
  positiveLabel: z.string().default("math").describe("Name of the wanted class, also in `labels`."),
  fasttext: FastTextConfig.prefault({}).describe("The classifier."),
  budgetTokens: z.int().min(1).describe("Tokens to keep from the top of the ranking, each round."),
  nestedBudgets: z
    .array(z.int().min(1))
    .default([])
    .refine((budgets) => budgets.every((b, i) => i === 0 || b > budgets[i - 1]!), "they do not rise")
    .describe(
      "Smaller budgets within the same ranking, rising: the pages of each are the first files of ranked/, which the report names. The paper compares 40, 80, 120 and 160 billion.",
    ),
  tokenizer: z
    .string()
    .optional()
    .describe("A tokenizer.json, or a folder with one, that counts the tokens of budgets."),
  minScore: z
    .number()
    .min(0)
    .max(1)
    .default(0)
    .describe("Pages below this probability are not collected even when the budget has room."),
  minPrecision: z
    .number()
    .min(0)
    .max(1)
    .default(0)
    .describe(
      "Share of wanted pages among those collected: each round's `min_score` is raised to the lowest score from which up the labelled pages reach it. Needs `labels`; 0 asks for nothing.",
    ),
  bytesPerToken: z
    .number()
    .positive()
    .default(4)
    .describe("Bytes of UTF-8 that count as a token where there is no `tokenizer`."),
  minChars: z.int().min(0).default(100).describe("Shorter pages are dropped."),
  maxRecordBytes: z.int().min(1024).default(32_000_000).describe("Longer records are quarantined."),
  maxQuarantineShare: z
    .number()
    .min(0)
    .max(1)
    .default(0.05)
    .describe("More refused records than this share stop the run with exit 3."),
  languages: z
    .array(z.string())
    .default([])
    .describe("ISO 639 codes to keep, identified by lid.176; empty keeps all."),
  languageProbability: z.number().min(0).max(1).default(0.5).describe("Least certainty of the language."),
  decontaminate: DecontaminateConfig.prefault({}).describe("Removal of benchmark texts."),
  dedup: DedupConfig.prefault({}).describe("Duplicate removal."),
  loop: LoopConfig.prefault({}).describe("Rounds, domain discovery and annotations."),
  executor: z
    .enum(["inline", "local", "slurm"])
    .default("local")
    .describe("Where shards are worked on: this process, child processes, or Slurm job arrays."),
  workers: z.int().min(1).default(1).describe("Child processes of the local executor."),
  slurm: z
    .strictObject({
      flags: z.array(z.string()).default([]).describe("Flags for sbatch, e.g. --partition=cpu."),
      pollSeconds: z.number().min(0.1).default(2).describe("Seconds between questions to squeue."),
      atOnce: z.int().min(0).default(0).describe("Array elements that may run at once; 0: no limit."),
    })
    .prefault({})
    .describe("Settings of the Slurm executor."),
  outputShardBytes: z.int().min(1024).default(64_000_000).describe("Size of a ranked output shard."),
});
export type BuildConfig = z.infer<typeof BuildConfig>;
export type BuildConfigInput = z.input<typeof BuildConfig>;
