// Generation: continuous batching over a paged KV cache.
export { Engine, type EngineOptions, type EngineStats } from "./engine.ts";
export { type GeneratedSample, type GenerateRequest, plainSampling, type SamplingParams } from "./request.ts";
