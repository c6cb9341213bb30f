// Packing of examples: plans, batches, an endless source, files.
export { type PackExample, PackSource, packBatch, positionsOf } from "./batch.ts";
export { type PackMethod, type PackPlan, planPacks } from "./plan.ts";
export { type PackIndex, writePacks } from "./write.ts";
