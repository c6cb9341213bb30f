// What the generation engine takes and gives.

export interface SamplingParams {
  /** 0 = greedy. */
  temperature: number;
  /** Smallest set of tokens with this mass; 1 = off. */
  topP: number;
  /** Tokens at least this fraction of the most likely one; 0 = off. */
  minP: number;
  /** The k most likely tokens; 0 = off. */
  topK: number;
}

export const plainSampling: SamplingParams = { temperature: 1, topP: 1, minP: 0, topK: 0 };

export interface GenerateRequest {
  /** Token ids, at least one. */
  prompt: ArrayLike<number>;
  /** Outputs wanted for this prompt; they share its prefill. */
  n: number;
  maxTokens: number;
  sampling: SamplingParams;
  /** Key of the random numbers. */
  seed: number;
  /** Sample i of the request draws with request number `id + i`: an output depends on (seed, id + i) alone. */
  id: number;
  /** Position of the first token that is drawn, in its output: a request that continues one draws what that would have drawn. */
  firstPosition?: number;
  /** Ids that end an output; they are its last token. */
  stopIds: readonly number[];
  /** Ends an output when its text so far contains one of these. */
  stopStrings?: readonly string[];
  /** The k likeliest ids of every position are wanted, too. */
  topLogprobs?: number;
  /** The ids that top-k, top-p and min-p keep at every position are wanted, too; they are found on the host. */
  keptIds?: boolean;
}

/** An id and its full-vocabulary log-probability. */
export interface TokenLogprob {
  id: number;
  logp: number;
}

export interface GeneratedSample {
  /** Sampled ids, the stop id included. */
  ids: number[];
  /** Full-vocabulary log-probability of each id at the sampling temperature (at 1 when greedy). */
  logp: number[];
  /** ln of the probability mass that top-k, top-p and min-p kept. */
  keptLogmass: number[];
  /** Per id, the ids that it was drawn among, itself first; only where `keptIds` asked for them. */
  kept?: number[][];
  /** Per id, the likeliest ids of its position, best first; only where `topLogprobs` asked for them. */
  top?: TokenLogprob[][];
  /** `stop`: a stop id or string; `length`: max_tokens was reached. */
  finish: "stop" | "length";
}
