// Texts that a model in training writes, reported as sample events.
import type { StageContext } from "@nsa/core";
import type { Tokenizer } from "@nsa/data";
import { Engine, plainSampling, type Transformer } from "@nsa/model";

export interface SampleOptions {
  prompts: readonly string[];
  maxTokens: number;
  /** 0 = greedy. */
  temperature: number;
  seed: number;
}

/** Continues every prompt once and emits the texts. */
export function writeSamples(
  model: Transformer,
  tokenizer: Tokenizer,
  options: SampleOptions,
  context: StageContext,
  step: number,
): void {
  const { prompts, maxTokens, temperature, seed } = options;
  if (prompts.length === 0) return;
  const ids = prompts.map((p) => tokenizer.encode(p));
  const longest = Math.max(...ids.map((p) => p.length));
  const engine = new Engine(model, {
    maxSequences: prompts.length,
    cacheTokens: prompts.length * (longest + maxTokens + model.config.selectionBlockSize),
    prefillTokens: 2048,
  });
  const stopIds = tokenizer.eosIds;
  const sampling = { ...plainSampling, temperature };
  const outputs = engine.generate(
    ids.map((prompt, id) => ({ prompt, n: 1, maxTokens, sampling, seed, id, stopIds })),
  );
  for (const [i, prompt] of prompts.entries()) {
    const text = tokenizer.decode(outputs[i]![0]!.ids.filter((id) => !tokenizer.isEnd(id)));
    context.emit({ type: "sample", step, prompt, text });
  }
}
