// Public surface of @nsa/model.
export {
  type AttentionKind,
  attentionOf,
  type ModelConfig,
  type ModelConfigInput,
  modelConfigSchema,
  nsaConfigOf,
  resolveModelConfig,
  usesNsa,
} from "./config/model-config.ts";
export * from "./generate/index.ts";
export {
  matmulParameters,
  parameterCount,
  type TrainFlops,
  trainFlops,
  trainMemory,
} from "./transformer/counts.ts";
export { type Attend, type AttentionInputs, Layer } from "./transformer/layer.ts";
export { type Layout, layoutOf, type PartSpec, type WeightSpec } from "./transformer/layout.ts";
export { Parameters } from "./transformer/parameters.ts";
export { type DeviceBatch, type ForwardOptions, Transformer } from "./transformer/transformer.ts";
