// Settings of `nsa data build`: the DeepSeekMath corpus loop.
import { z } from "zod";
import { FastTextConfig } from "../fasttext/args.ts";

export const LoopConfig = z.strictObject({
  max_rounds: z.int().min(1).default(4).describe("Most rounds of train, score, rank (paper: 4)."),
  stop_new_share: z
    .number()
    .min(0)
    .max(1)
    .default(0.02)
    .describe(
      "Stop when this share of the collected pages, or less, is new (paper: 98 % already collected).",
    ),
  domain_share: z
    .number()
    .min(0)
    .max(1)
    .default(0.1)
    .describe("A domain of which more than this share of pages is collected is proposed (paper: 10 %)."),
  min_domain_pages: z.int().min(1).default(5).describe("Domains with fewer pages are not proposed."),
  path_share: z
    .number()
    .min(0)
    .max(1)
    .default(0.5)
    .describe("A URL path is accepted automatically when at least this share of its pages is collected."),
  max_path_depth: z.int().min(1).default(4).describe("Deepest URL path that an annotation may name."),
  refused_as_negatives: z
    .boolean()
    .default(false)
    .describe(
      "Pages under refused paths become negatives of the next round (not in the paper; sharpens the cut).",
    ),
  auto_annotate: z
    .boolean()
    .default(false)
    .describe("Accept the proposed annotations without waiting for a person to edit the YAML."),
});

export const DedupConfig = z.strictObject({
  url: z.boolean().default(true).describe("Drop pages whose normalised URL was seen before."),
  exact: z
    .boolean()
    .default(true)
    .describe("Drop pages whose text was seen before, up to case and punctuation."),
});

export const BuildConfig = z.strictObject({
  out_dir: z.string().describe("Folder of all outputs; a rerun there does only what is missing."),
  inputs: z
    .array(z.string())
    .min(1)
    .describe("Crawl files to collect from (the pool); `*` matches in names."),
  positives: z.array(z.string()).min(1).describe("Seed pages that are wanted (paper: OpenWebMath)."),
  negatives: z.array(z.string()).min(1).describe("Seed pages that are not (paper: random Common Crawl)."),
  labels: z
    .string()
    .optional()
    .describe("JSONL of {id, label}: used only to measure precision and recall, never to train."),
  positive_label: z.string().default("math").describe("Name of the wanted class, also in `labels`."),
  fasttext: FastTextConfig.prefault({}).describe("The classifier."),
  budget_tokens: z.int().min(1).describe("Tokens to keep from the top of the ranking, each round."),
  bytes_per_token: z
    .number()
    .positive()
    .default(4)
    .describe("Bytes of UTF-8 a token stands for when the budget is counted."),
  min_chars: z.int().min(0).default(100).describe("Shorter pages are dropped."),
  max_record_bytes: z.int().min(1024).default(32_000_000).describe("Longer records are quarantined."),
  max_quarantine_share: z
    .number()
    .min(0)
    .max(1)
    .default(0.05)
    .describe("More refused records than this share stop the run with exit 3."),
  dedup: DedupConfig.prefault({}).describe("Duplicate removal."),
  loop: LoopConfig.prefault({}).describe("Rounds, domain discovery and annotations."),
  output_shard_bytes: z.int().min(1024).default(64_000_000).describe("Size of a ranked output shard."),
});
export type BuildConfig = z.infer<typeof BuildConfig>;
export type BuildConfigInput = z.input<typeof BuildConfig>;
