// Bytes that sampling takes in a stage that learns from its own outputs: in its rollouts, or in its evaluation where that asks for more.
import { generationBytes, type ModelConfig } from "@nsa/model";
import { PREFILL_TOKENS } from "./rollout.ts";

interface Sampling {
  rollout: { groupSize: number; maxSequences: number; cacheTokens: number };
  evaluation: { questions: number; samples: number };
}

/** Upper bound of the bytes for so many questions a step, with positions of a prompt and of an output with its prompt; and those of the cache. */
export function rolloutBytes(
  model: ModelConfig,
  { rollout, evaluation }: Sampling,
  of: { questions: number; prompt: number; length: number; device: string | undefined },
): { cache: number; total: number } {
  const { groupSize, maxSequences, cacheTokens } = rollout;
  const calls = [
    { prompts: of.questions, n: groupSize },
    { prompts: evaluation.questions, n: evaluation.samples },
  ];
  const { prompt, length, device } = of;
  const engine = { maxSequences, cacheTokens, prefillTokens: PREFILL_TOKENS };
  return generationBytes(model, { calls, prompt, length, device, ...engine });
}
