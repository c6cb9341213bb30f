// Bytes that generating takes besides the weights: pages of the KV cache, activations of a step of all outputs, and logits.
import { attentionKinds, pageSizeOf } from "../attention/registry.ts";
import { attentionOf, type ModelConfig } from "../config/schema.ts";
import { mlpKinds } from "../mlp/registry.ts";
import { cacheBytesPerToken } from "../transformer/counts.ts";
import { decodeBucket } from "./decoder.ts";

export interface Generation {
  /** Calls, one after another, of which the largest counts: a call has so many prompts, with `n` outputs each. */
  calls: readonly { prompts: number; n: number }[];
  /** Positions of a prompt at most, and of an output with its prompt. */
  prompt: number;
  length: number;
  maxSequences: number;
  cacheTokens: number;
  prefillTokens: number;
  device?: string | undefined;
}

/** Bytes of a row (one position): activations of the largest layer, and the residual stream behind every layer. */
function rowBytes(c: ModelConfig): number {
  const width = c.dtype === "bf16" ? 2 : 4;
  const q = c.numHeads * c.headDim;
  let largest = 0;
  for (let i = 0; i < c.numLayers; i++) {
    const { kv, o, other } = attentionKinds.get(attentionOf(c, i)).memory(c);
    const { kept } = mlpKinds.get(c.mlp).memory(c, 1);
    largest = Math.max(largest, 4 * c.dModel + q + kv + o + other + kept);
  }
  return width * (largest + (c.numLayers + 1) * c.dModel);
}

/** Rows whose logits lie in memory at once: a captured step keeps its own for each size that the batch passes through as outputs end. */
function logitsRows(sequences: number, device: string | undefined): number {
  // Beside a step's own those of the prompts' last tokens.
  if (device !== "cuda") return 2 * sequences;
  const sizes = new Set(Array.from({ length: sequences }, (_, i) => decodeBucket(i + 1)));
  return [...sizes].reduce((sum, size) => sum + size, sequences);
}

/** Upper bound of the bytes, without weights. `cache`: bytes of the KV cache, included in `total`. */
export function generationBytes(
  config: ModelConfig,
  { calls, length, prompt, maxSequences, cacheTokens, prefillTokens, device }: Generation,
): { cache: number; total: number } {
  const largest = (of: (call: Generation["calls"][number]) => number) => Math.max(...calls.map(of));
  const sequences = largest(({ prompts, n }) => Math.min(maxSequences, prompts * n));
  // More outputs than are decoded at once are begun one by one, each with its prompt.
  const begun = largest(({ prompts, n }) =>
    n > maxSequences ? maxSequences : Math.min(prompts, Math.floor(maxSequences / n)),
  );
  const page = pageSizeOf(config);
  const longest = Math.min(length, config.maxSeqLen);
  const wanted = sequences * Math.ceil(longest / page);
  const cache = cacheBytesPerToken(config) * page * Math.min(wanted, Math.ceil(cacheTokens / page));
  const together = Math.min(begun * prompt, Math.max(prefillTokens, prompt));
  const activations = rowBytes(config) * Math.max(sequences, together);
  const logits = 4 * config.vocabSize * logitsRows(sequences, device);
  return { cache, total: cache + activations + logits };
}
