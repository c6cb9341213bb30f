// Continuous batching over a paged KV cache: prompts are prefilled together, outputs decode together and leave when done.
//
// An output depends on (seed, request, position) only: rows do not see one another, and noise is keyed by request.
import { pageSizeOf } from "../attention/registry.ts";
import type { Transformer } from "../transformer/transformer.ts";
import { generateExact } from "./exact.ts";
import { type LiveGeneration, LiveRequests } from "./live.ts";
import type { GeneratedSample, GenerateRequest } from "./request.ts";
import {
  checkRequest,
  type EngineContext,
  type EngineOptions,
  type EngineStats,
  pagesFor,
  pagesOfOutput,
} from "./sequence.ts";

/** Throws NsaError `head_without_logits` (exit 3) for a model that cannot generate. */
export class Engine implements EngineContext {
  readonly stats: EngineStats = { prefillTokens: 0, decodeTokens: 0, steps: 0 };
  readonly pageSize: number;

  constructor(
    readonly model: Transformer,
    readonly options: EngineOptions,
  ) {
    model.checkGenerates();
    this.pageSize = pageSizeOf(model.config);
  }

  /** Outputs of every request, in order. Throws NsaError `prompt_too_long` and `prompt_empty` (exit 2). */
  generate(requests: readonly GenerateRequest[]): GeneratedSample[][] {
    if (this.options.exact) return generateExact(this, requests);
    for (const r of requests) checkRequest(this, r);
    const results: GeneratedSample[][] = requests.map((r) => new Array(r.n));
    const largest = requests.reduce((a, r) => Math.max(a, pagesOfOutput(this, r)), 1);
    const outputs = requests.reduce((a, r) => a + r.n, 0);
    const sequences = Math.max(1, Math.min(this.options.maxSequences, outputs));
    const all = requests.reduce((a, r) => a + r.n * pagesOfOutput(this, r), 0);
    const wanted = Math.min(all, sequences * largest);
    const live = this.open(Math.max(Math.min(wanted, this.budget), largest), largest, sequences);
    try {
      for (const r of requests) live.add(r);
      while (!live.idle) {
        for (const { request, sample, output } of live.step()) results[request]![sample] = output;
      }
    } finally {
      live.close();
    }
    return results;
  }

  /** A cache of its own into which requests come and from which they go while others run; `close` it when done. */
  open(
    pages = this.budget,
    largest = Math.min(pages, pagesFor(this, this.model.config.maxSeqLen)),
    sequences = this.options.maxSequences,
  ): LiveGeneration {
    return new LiveRequests(this, pages, largest, sequences);
  }

  /** Pages of the whole cache. */
  private get budget(): number {
    return pagesFor(this, this.options.cacheTokens);
  }
}
