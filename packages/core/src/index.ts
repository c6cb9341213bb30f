// Public surface of @nsa/core.
export * from "./atomic.ts";
export * from "./batch.ts";
export * from "./bench.ts";
export * from "./config/describe.ts";
export { didYouMean } from "./config/did-you-mean.ts";
export * from "./config/load.ts";
export * from "./environment.ts";
export * from "./errors.ts";
export * from "./interrupt.ts";
export * from "./jsonl.ts";
export { type MlflowOptions, MlflowSink } from "./metrics/mlflow.ts";
export * from "./metrics/sink.ts";
export { crc32c, TensorBoardSink } from "./metrics/tensorboard.ts";
export * from "./rng.ts";
export * from "./run-dir.ts";
export * from "./safetensors.ts";
export * from "./stage.ts";
export * from "./stage-context.ts";
