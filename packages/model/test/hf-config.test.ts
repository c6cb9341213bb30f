// What a config.json leaves out, by the defaults of transformers, and what it names.
import { expect, test } from "vitest";
import { fromHfConfig, type HfConfig } from "../src/index.ts";

const least: HfConfig = {
  vocab_size: 19,
  hidden_size: 24,
  num_hidden_layers: 3,
  num_attention_heads: 4,
  intermediate_size: 40,
};
const read = (more: HfConfig) => fromHfConfig({ ...least, ...more });

test("a_llama_without_the_optional_keys_has_the_defaults_of_transformers", () => {
  expect(read({ model_type: "llama" })).toMatchObject({
    vocabSize: 19,
    dModel: 24,
    numLayers: 3,
    numHeads: 4,
    numKvHeads: 4,
    headDim: 6,
    valueHeadDim: 6,
    dFf: 40,
    attention: "full",
    maxSeqLen: 2048,
    ropeTheta: 10000,
    qkNorm: false,
    qkvBias: false,
    tieEmbeddings: false,
    normEps: 1e-6,
  });
  expect(read({ model_type: "llama" }).ropeScaling).toBeUndefined();
});

test("a_qwen3_has_heads_of_128_and_norms_and_a_qwen2_biases", () => {
  const read = (more: HfConfig) => fromHfConfig({ ...least, num_key_value_heads: 2, ...more });
  expect(read({ model_type: "qwen3" })).toMatchObject({ headDim: 128, qkNorm: true, qkvBias: false });
  expect(read({ model_type: "qwen3", head_dim: 10 }).headDim).toBe(10);
  expect(read({ model_type: "qwen2" })).toMatchObject({ headDim: 6, qkNorm: false, qkvBias: true });
  expect(read({ model_type: "qwen2", attention_bias: true }).qkvBias).toBe(true);
});

test("named_keys_are_taken_over", () => {
  const named = {
    model_type: "llama",
    num_key_value_heads: 2,
    head_dim: 8,
    max_position_embeddings: 777,
    rope_theta: 500,
    tie_word_embeddings: true,
    rms_norm_eps: 1e-5,
  };
  expect(read(named)).toMatchObject({
    numKvHeads: 2,
    headDim: 8,
    maxSeqLen: 777,
    ropeTheta: 500,
    tieEmbeddings: true,
    normEps: 1e-5,
  });
});

test("rope_scaling_is_read_under_old_and_new_names_with_its_defaults", () => {
  const scaling = (rope: HfConfig) => read({ model_type: "llama", rope_scaling: rope }).ropeScaling;
  expect(scaling({ type: "linear", factor: 3 })).toEqual({ type: "linear", factor: 3 });
  expect(scaling({ rope_type: "default" })).toBeUndefined();
  const original = { original_max_position_embeddings: 4096 };
  expect(scaling({ rope_type: "yarn", factor: 4, ...original })).toEqual({
    type: "yarn",
    factor: 4,
    originalMaxPositionEmbeddings: 4096,
    betaFast: 32,
    betaSlow: 1,
  });
  expect(
    scaling({
      rope_type: "yarn",
      factor: 4,
      beta_fast: 16,
      beta_slow: 2,
      attention_factor: 0.5,
      ...original,
    }),
  ).toEqual(expect.objectContaining({ betaFast: 16, betaSlow: 2, attentionFactor: 0.5 }));
  expect(scaling({ rope_type: "llama3", factor: 8, ...original })).toEqual(
    expect.objectContaining({ lowFreqFactor: 1, highFreqFactor: 4, originalMaxPositionEmbeddings: 4096 }),
  );
  // transformers 5: theta and scaling in one object.
  const five = read({
    model_type: "qwen3",
    num_key_value_heads: 4,
    rope_parameters: { rope_type: "linear", factor: 2, rope_theta: 1e6 },
  });
  expect([five.ropeTheta, five.ropeScaling]).toEqual([1e6, { type: "linear", factor: 2 }]);
});
