// A pretraining recipe of two steps that names a plugin of each of five kinds in `mine/`.
export const pluginRecipe = {
  seed: 3,
  threads: 1,
  plugins: ["attention", "head", "mlp", "optimizer", "schedule"].map((name) => `mine/${name}.ts`),
  data: {
    sources: [{ family: "addition", difficulty: 1, documents: 60, template: "{question}=" }],
    vocab_size: 280,
    validation_tokens: 200,
  },
  model: {
    d_model: 16,
    num_layers: 1,
    num_heads: 2,
    d_ff: 24,
    attention: "half_window",
    mlp: "quiet_swiglu",
    head: "own_output",
    max_seq_len: 64,
  },
  train: {
    steps: 2,
    micro_batch_tokens: 64,
    seq_len: 32,
    eval_every: 0,
    save_every: 1,
    schedule: { kind: "to_half" },
    optimizer: { kind: "sign_momentum", lr: 0.01 },
  },
};
