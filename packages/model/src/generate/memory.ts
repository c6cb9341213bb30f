// Bytes that generating takes besides the weights: pages of the KV cache, and what a prefill or a decode step has at work.
//
// The two run in turn. Where steps are captured (CUDA) those of a decode step lie in memory apart, as large as its largest size.
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

/** Bytes of a row (one position) at work: the activations of the largest layer between its input and its output. */
function rowBytes(c: ModelConfig): number {
  // Nothing is kept for a backward, whatever adapters there are: the MLP's hidden layer is made in any case.
  const { kept } = mlpKinds.get(c.mlp).memory({ ...c, lora: undefined }, 1);
  const q = c.numHeads * c.headDim;
  let largest = 0;
  for (let i = 0; i < c.numLayers; i++) {
    const { kv, o, other } = attentionKinds.get(attentionOf(c, i)).memory(c);
    largest = Math.max(largest, 5 * c.dModel + q + kv + o + other + kept);
  }
  return width(c) * largest;
}

const width = ({ dtype }: ModelConfig) => (dtype === "bf16" ? 2 : 4);

/** Of a row besides: its token, settings, seed, place in the text and log-probabilities, rounded up. */
const ROW_EXTRA = 128;

/** Bytes of the cache, and of all, for one call. */
function callBytes(
  config: ModelConfig,
  call: Generation["calls"][number],
  { length, prompt, maxSequences, cacheTokens, prefillTokens, device }: Omit<Generation, "calls">,
): { cache: number; total: number } {
  // More outputs of a prompt than are decoded at once are begun one by one, each with its prompt.
  const alone = call.n > maxSequences;
  const n = alone ? 1 : call.n;
  const prompts = alone ? call.prompts * call.n : call.prompts;
  const atOnce = Math.min(prompts, Math.floor(maxSequences / n));

  const page = pageSizeOf(config);
  const pagesOfOutput = Math.ceil(Math.min(length, config.maxSeqLen) / page);
  const sequences = Math.min(maxSequences, prompts * n);
  const pages = Math.min(sequences * pagesOfOutput, Math.ceil(cacheTokens / page));
  const cache = cacheBytesPerToken(config) * page * pages;

  const row = rowBytes(config) + ROW_EXTRA;
  const logits = 4 * config.vocabSize;
  const stream = width(config) * config.dModel;
  const prefilled = Math.max(prefillTokens, prompt);
  // The first tokens are drawn from the last layer's output, its norm, and the rows of it that end a prompt.
  const prefill = (begun: number) => {
    const tokens = Math.min(begun * prompt, prefilled);
    return Math.max(tokens * row, tokens * 2 * stream + begun * n * (stream + logits + ROW_EXTRA));
  };
  const rows = atOnce * n;
  if (device !== "cuda") return { cache, total: cache + Math.max(prefill(atOnce), rows * (row + logits)) };
  // Prompts that wait, for pages or for another prefill, begin beside the decoder's logits; those of one call at first do not.
  const first = Math.min(Math.floor(pages / (pagesOfOutput * n)), Math.floor(prefilled / prompt));
  const waiting = Math.min(atOnce, prompts - first);
  const decoder = decodeBucket(rows) * logits + (waiting > 0 ? prefill(waiting) : 0);
  return { cache, total: cache + decodeBucket(rows) * row + Math.max(prefill(atOnce), decoder) };
}

/** Upper bound of the bytes, without weights. `cache`: bytes of the KV cache, included in `total`. */
export function generationBytes(
  config: ModelConfig,
  { calls, ...size }: Generation,
): { cache: number; total: number } {
  const bytes = calls.filter(({ prompts }) => prompts > 0).map((call) => callBytes(config, call, size));
  return {
    cache: Math.max(0, ...bytes.map(({ cache }) => cache)),
    total: Math.max(0, ...bytes.map(({ total }) => total)),
  };
}
