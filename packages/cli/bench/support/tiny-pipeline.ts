// Every kind of stage in one pipeline of seconds: file name → content.
import { stringify } from "yaml";

const model = {
  vocab_size: 300,
  d_model: 16,
  num_layers: 1,
  num_heads: 2,
  num_kv_heads: 1,
  d_ff: 24,
  block_size: 8,
  stride: 4,
  selection_block_size: 8,
  num_selected_blocks: 3,
  window_size: 8,
  max_seq_len: 128,
};

export const tinyPipeline: Record<string, string> = {
  "crawl.yaml": stringify({ pages: 80, solutions: { share: 0.7, examples: 20 } }),
  "data.yaml": stringify({
    out_dir: "unset",
    inputs: ["unset"],
    positives: ["unset"],
    negatives: ["unset"],
    decontaminate: { benchmarks: ["unset"] },
    budget_tokens: 4000,
    fasttext: { dim: 4, bucket: 1000, word_ngrams: 1, min_count: 1, lr: 0.5, epoch: 3 },
    loop: { max_rounds: 2, auto_annotate: true },
    executor: "inline",
  }),
  "tokenizer.yaml": stringify({ files: ["unset"], vocab_size: 300 }),
  "tokenize.yaml": stringify({ files: ["unset"], tokenizer: "unset" }),
  "base.yaml": stringify({
    name: "base",
    threads: 1,
    data: { shards: "unset", validation_tokens: 200 },
    model,
    train: { steps: 12, micro_batch_tokens: 64, seq_len: 32, eval_every: 6, save_every: 3 },
    sample: { prompts: ["1+1:"], max_tokens: 4 },
  }),
  "sft.yaml": stringify({
    init_from: "unset",
    threads: 1,
    data: {
      sources: [{ files: ["unset"], prompt: "{question}:", completion: " <answer> {answer} </answer>" }],
    },
    train: { steps: 8, micro_batch_tokens: 64, seq_len: 64, eval_every: 4, save_every: 2 },
    sample: { prompts: 1, max_tokens: 4 },
  }),
  "grpo.yaml": stringify({
    steps: 6,
    init: { checkpoint: "unset" },
    task: { difficulty: 1, template: "{question}:" },
    rollout: { questions_per_step: 2, group_size: 4, max_tokens: 6 },
    algorithm: { kl_coef: 0.01, reference_every: 2 },
    evaluation: { every: 2, questions: 2, samples: 2 },
    checkpoint: { every: 2 },
  }),
  "eval.yaml": stringify({
    checkpoint: "unset",
    tasks: [
      {
        kind: "family",
        family: "addition",
        template: "{question}:",
        questions: 6,
        samples: 2,
        max_tokens: 6,
      },
    ],
    sampling: { temperature: 1 },
    engine: { problems: 1 },
  }),
  "pipeline.yaml": stringify({
    name: "tiny",
    stages: [
      { name: "crawl", stage: "crawl", config: "crawl.yaml" },
      {
        name: "corpus",
        stage: "data",
        config: "data.yaml",
        set: [
          "out_dir={stage.dir}/corpus",
          "inputs.0={crawl.pool}",
          "positives.0={crawl.positives}",
          "negatives.0={crawl.negatives}",
          "labels={crawl.labels}",
          "decontaminate.benchmarks.0={crawl.benchmark}",
        ],
      },
      { name: "tokenizer", stage: "tokenizer", config: "tokenizer.yaml", set: ["files.0={corpus.ranked}"] },
      {
        name: "tokens",
        stage: "tokenize",
        config: "tokenize.yaml",
        set: ["files.0={corpus.ranked}", "tokenizer={tokenizer.file}"],
      },
      { name: "base", stage: "pretrain", config: "base.yaml", set: ["data.shards={tokens.shards}"] },
      {
        name: "sft",
        stage: "sft",
        config: "sft.yaml",
        set: ["init_from={base.checkpoint}", "data.sources.0.files.0={crawl.examples}"],
      },
      { name: "grpo", stage: "grpo", config: "grpo.yaml", set: ["init.checkpoint={sft.checkpoint}"] },
      { name: "ask", stage: "eval", config: "eval.yaml", set: ["checkpoint={grpo.checkpoint}"] },
    ],
  }),
};
