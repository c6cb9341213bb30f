// What a run of `nsa eval` may take at most: the weights, and the largest of its entries, by the recipe and the checkpoint's architecture.
// A reward model counts by its weights.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { NsaError, type Resize, sameSize } from "@nsa/core";
import { Tokenizer } from "@nsa/data";
import {
  type Generation,
  generationBytes,
  INFERENCE_ONLY,
  type ModelConfig,
  parameterCount,
  readModelConfig,
  weightBytes,
} from "@nsa/model";
import { chatTemplateOf } from "@nsa/tasks";
import type { EvalConfig, EvalTask } from "./config.ts";
import type { EvalStep } from "./problems.ts";

/** Tokens of a prompt where the checkpoint has no tokenizer yet, as in the estimate of a later stage of a pipeline. */
const PROMPT_TOKENS = 64;

type Size = Pick<Generation, "calls" | "prompt" | "length">;

/** Tokens of the longest prompt of an entry's steps: the one of the most characters. */
function promptTokens(config: EvalConfig, steps: readonly EvalStep[], maxSeqLen: number): number {
  const file = config.tokenizer ?? join(config.checkpoint, "tokenizer.json");
  if (!existsSync(file)) return PROMPT_TOKENS;
  try {
    const tokenizer = Tokenizer.load(file);
    const chat = () => chatTemplateOf(config.checkpoint);
    let longest = "";
    for (const { asks } of steps)
      for (const { prompt } of asks!.questions({ tokenizer, chat, maxSeqLen }))
        if (prompt.length > longest.length) longest = prompt;
    return tokenizer.encode(longest).length;
  } catch (error) {
    // What is wrong with a tokenizer or a template is said when the run starts.
    if (error instanceof NsaError) return PROMPT_TOKENS;
    throw error;
  }
}

/** An entry as calls of the engine; texts that are scored count as prompts. */
function sizeOf(config: EvalConfig, task: EvalTask, steps: readonly EvalStep[], maxSeqLen: number): Size {
  const scored = (length: number): Size => ({ calls: [{ prompts: 1, n: 1 }], prompt: length, length });
  if (task.kind === "needle") return scored(Math.max(...task.lengths));
  if (task.kind === "positions") return scored(task.length);
  const [first] = steps;
  if (!first?.asks) return scored(Math.min(config.engine.prefillTokens, maxSeqLen));
  const { prompts, samples, maxTokens } = first.asks;
  const prompt = promptTokens(config, steps, maxSeqLen);
  return { calls: [{ prompts, n: samples }], prompt, length: prompt + maxTokens };
}

/** The sizes of a recipe's entries: the search for the largest model asks for them again and again. */
const sizes = new WeakMap<EvalConfig, readonly Size[]>();

function sizesOf(config: EvalConfig, steps: readonly (readonly EvalStep[])[], maxSeqLen: number) {
  const known =
    sizes.get(config) ?? config.tasks.map((task, i) => sizeOf(config, task, steps[i]!, maxSeqLen));
  sizes.set(config, known);
  return known;
}

/** Upper bounds in bytes; none where the checkpoint is not there yet. `steps`: of each entry. */
export function evalMemory(
  config: EvalConfig,
  steps: readonly (readonly EvalStep[])[],
  device?: string,
  resize: Resize = sameSize,
): Record<string, number> {
  if (!existsSync(join(config.checkpoint, "state.json"))) return {};
  const saved = readModelConfig(config.checkpoint);
  const model: ModelConfig = resize(
    config.maxSeqLen === undefined ? saved : { ...saved, maxSeqLen: config.maxSeqLen },
  );
  const { maxSequences, cacheTokens, prefillTokens } = config.engine;
  const bytes = sizesOf(config, steps, model.maxSeqLen).map((size) =>
    generationBytes(model, { ...size, maxSequences, cacheTokens, prefillTokens, device }),
  );
  const scorer =
    config.rewardModel !== undefined && existsSync(join(config.rewardModel, "state.json"))
      ? weightBytes(readModelConfig(config.rewardModel), INFERENCE_ONLY)
      : 0;
  const weights = weightBytes(model, INFERENCE_ONLY) + scorer;
  return {
    parameters: parameterCount(model),
    memory_parameters_bytes: weights,
    memory_cache_bytes: Math.max(...bytes.map(({ cache }) => cache)),
    memory_bytes: weights + Math.max(...bytes.map(({ total }) => total)),
  };
}
