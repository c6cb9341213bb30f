// An output being generated, and what engine, prefill and decoding share about it: its pages, its end, its new tokens.
import { NsaError } from "@nsa/core";
import type { Transformer } from "../transformer/transformer.ts";
import type { DecodeRow } from "./decoder.ts";
import type { GeneratedSample, GenerateRequest } from "./request.ts";
import type { Drawn } from "./sampler.ts";

export interface EngineOptions {
  /** Sequences decoded at once. */
  maxSequences: number;
  /** Tokens the cache holds; requests wait until theirs fit. */
  cacheTokens: number;
  /** Prompt tokens prefilled at once. */
  prefillTokens: number;
  /** Text of ids, needed for stop strings and streaming. */
  decode?: (ids: readonly number[]) => string;
  /** Called with every new token: request index, sample index, id, and the output that now holds it. */
  onToken?: (request: number, sample: number, id: number, output: GeneratedSample) => void;
  /** Draws by the trainer's own forward, see exact.ts. */
  exact?: boolean;
  /** Stops early when it returns true; unfinished outputs end with `length`. */
  cancelled?: () => boolean;
}

export interface EngineStats {
  prefillTokens: number;
  decodeTokens: number;
  steps: number;
}

/** The engine as its parts see it. */
export interface EngineContext {
  readonly model: Transformer;
  readonly options: EngineOptions;
  readonly stats: EngineStats;
  /** Tokens of a page. */
  readonly pageSize: number;
}

export interface Sequence extends DecodeRow {
  /** Number of the request. */
  key: number;
  out: GeneratedSample;
}

export const pagesFor = ({ pageSize }: EngineContext, tokens: number) => Math.ceil(tokens / pageSize);

/** Pages that one output of the request may come to hold. */
export function pagesOfOutput(engine: EngineContext, r: GenerateRequest): number {
  return pagesFor(engine, Math.min(r.prompt.length + r.maxTokens, engine.model.config.maxSeqLen));
}

/**
 * Throws NsaError `prompt_empty`, `prompt_too_long` or, where an output needs more than `pages`, `cache_too_small`
 * (exit 2).
 */
export function checkRequest(
  engine: EngineContext,
  r: GenerateRequest,
  pages = Number.POSITIVE_INFINITY,
): void {
  const refuse = (code: string, what: string, why: string, fix: string) => {
    throw new NsaError({ code, what, why, fix, exitCode: 2 });
  };
  if (r.prompt.length === 0)
    refuse("prompt_empty", "a prompt without tokens", "there is nothing to continue", "give a prompt");
  const { maxSeqLen } = engine.model.config;
  if (r.prompt.length + 1 > maxSeqLen) {
    refuse(
      "prompt_too_long",
      `a prompt of ${r.prompt.length} tokens`,
      `the model's context is ${maxSeqLen}`,
      "shorten the prompt, or raise model.max_seq_len",
    );
  }
  if (pagesOfOutput(engine, r) > pages) {
    refuse(
      "cache_too_small",
      `a request of ${r.prompt.length} + ${r.maxTokens} tokens`,
      `the cache holds ${pages * engine.pageSize}`,
      "ask for fewer tokens, or raise the cache's size",
    );
  }
}

/** Whether the output has ended; sets `finish` to `stop` where a stop id or string ended it. */
export function hasEnded({ options, model }: EngineContext, { out, request: r }: Sequence): boolean {
  const last = out.ids.at(-1);
  if (last !== undefined && r.stopIds.includes(last)) out.finish = "stop";
  else if (r.stopStrings?.length && options.decode) {
    // Only the tail can hold a new match; a token is at least one byte unless it is special.
    const longest = Math.max(...r.stopStrings.map((x) => Buffer.byteLength(x)));
    const tail = options.decode(out.ids.slice(-longest - 8));
    if (r.stopStrings.some((x) => tail.includes(x))) out.finish = "stop";
  }
  if (out.finish === "stop") return true;
  return out.ids.length >= r.maxTokens || r.prompt.length + out.ids.length >= model.config.maxSeqLen;
}

/** Appends the drawn token of every row to its output and reports it; rows that are gone get none. */
export function appendDrawn(engine: EngineContext, sequences: readonly Sequence[], drawn: Drawn): void {
  const { ids, logp, keptLogmass, top, kept } = drawn;
  for (let i = 0; i < sequences.length; i++) {
    const s = sequences[i]!;
    if (s.gone) continue;
    const { out } = s;
    s.last = ids[i]!;
    out.ids.push(s.last);
    out.logp.push(logp[i]!);
    out.keptLogmass.push(keptLogmass[i]!);
    const likeliest = top?.[i];
    const among = kept?.[i];
    if (among) out.kept = [...(out.kept ?? []), among];
    if (likeliest) out.top = [...(out.top ?? []), likeliest];
    engine.options.onToken?.(s.key, s.sample, s.last, out);
  }
}
