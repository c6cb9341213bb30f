// Generation: continuous batching over a paged KV cache.
export { Engine, type EngineOptions, type EngineStats, type LiveGeneration } from "./engine.ts";
export {
  type GeneratedSample,
  type GenerateRequest,
  plainSampling,
  type SamplingParams,
  type TokenLogprob,
} from "./request.ts";
export { type ScoredPrompt, scorePrompts } from "./score.ts";
