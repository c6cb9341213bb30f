// Public surface of @nsa/core.
export * from "./atomic.ts";
export * from "./batch.ts";
export * from "./bench.ts";
export * from "./config/describe.ts";
export { didYouMean } from "./config/did-you-mean.ts";
export * from "./config/load.ts";
export { firstComplaint } from "./config/plain-words.ts";
export { snakeCase } from "./config/schema-walk.ts";
export { CHECKPOINT_KEYS } from "./config/source.ts";
export * from "./counted.ts";
export * from "./environment.ts";
export * from "./errors.ts";
export { guardFolder } from "./held-folder.ts";
export * from "./interrupt.ts";
export * from "./jsonl.ts";
export { keptNothing } from "./kept-nothing.ts";
export { eachLine, lineSplitter, withoutMark } from "./lines.ts";
export * from "./metrics/logging.ts";
export { type MlflowOptions, MlflowSink } from "./metrics/mlflow.ts";
export * from "./metrics/sink.ts";
export { crc32c, TensorBoardSink } from "./metrics/tensorboard.ts";
export * from "./pack-batch.ts";
export * from "./parallel.ts";
export * from "./piece-hasher.ts";
export {
  hashPieces,
  PIECE_BYTES,
  readWhole,
  sha256OfFile,
  sha256OfFileSync,
  type WriteOptions,
  writePieces,
  writeWhole,
} from "./pieces.ts";
export { pipelineProgress } from "./pipeline-folder.ts";
export { loadModule, shareModules } from "./plugins/load-module.ts";
export * from "./plugins/plugins.ts";
export * from "./progress.ts";
export * from "./read-at.ts";
export * from "./read-text.ts";
export * from "./recipe-history.ts";
export * from "./registry.ts";
export * from "./rng.ts";
export * from "./run-dir.ts";
export type {
  SafetensorsDtype,
  SafetensorsEntry,
} from "./safetensors/format.ts";
export * from "./safetensors/read.ts";
export * from "./safetensors/write.ts";
export * from "./saved-state.ts";
export * from "./sealed-json.ts";
export { type OrderState, ShuffledOrder } from "./shuffled-order.ts";
export * from "./stage.ts";
export * from "./stage-context.ts";
export * from "./stage-definition.ts";
export * from "./tied-process.ts";
