// A pretraining recipe of a few seconds, as its YAML file would hold it.
export function tinyRecipe(steps: number, train: Record<string, number> = {}) {
  return {
    seed: 3,
    threads: 1,
    data: {
      sources: [{ generate: "stories", documents: 40 }],
      vocab_size: 280,
      validation_share: 0.1,
      validation_tokens: 200,
    },
    model: {
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
    },
    train: {
      steps,
      micro_batch_tokens: 64,
      micro_batches: 2,
      seq_len: 32,
      eval_every: 0,
      save_every: 1,
      keep_last: 2,
      optimizer: { lr: 0.01 },
      ...train,
    },
    sample: { prompts: ["The "], max_tokens: 8 },
  };
}
