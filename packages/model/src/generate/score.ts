// Log-probabilities of given texts with the likeliest alternatives of every position, as harnesses ask servers for.
//
// Legend: T tokens of all prompts, D model width, V vocabulary.
import { packTokens } from "@nsa/core";
import { Tape } from "@nsa/kernels";
import type { Transformer } from "../transformer/transformer.ts";
import type { TokenLogprob } from "./request.ts";
import { likeliest, logSumExp } from "./top-logprobs.ts";

export interface ScoredPrompt {
  /** log p of token t given those before it at temperature 1; the first has none. */
  logp: (number | null)[];
  /** The likeliest ids in place of token t, best first; the first has none. */
  top: (TokenLogprob[] | null)[];
}

/** Logits of as many rows are on the host at once as hold about this many numbers. */
const HOST_LOGITS = 1 << 21;

/** Scores every prompt in one forward; prompts are documents of their own. */
export function scorePrompts(
  model: Transformer,
  prompts: readonly ArrayLike<number>[],
  top: number,
): ScoredPrompt[] {
  const { device, config, headWeight } = model;
  const [v, d] = [config.vocabSize, config.dModel];
  using _scope = device.scope();
  const { tokens, cuSeqlens } = packTokens(prompts.map((ids) => ({ ids, length: ids.length })));
  const T = tokens.length;
  const hidden = model.forward(new Tape(false), model.upload({ tokens, cuSeqlens }));

  const logp = new Float64Array(T);
  const best: TokenLogprob[][] = new Array(T);
  const chunk = Math.max(1, Math.floor(HOST_LOGITS / v));
  for (let from = 0; from < T; from += chunk) {
    using _ = device.scope();
    const m = Math.min(chunk, T - from);
    const logits = device.empty([m, v], hidden.dtype === "f64" ? "f64" : "f32");
    const layout = { m, n: v, k: d, lda: d, ldb: d, ldc: v, trans_a: 0, trans_b: 1, alpha: 1, beta: 0 };
    device.run("gemm", { a: hidden.view(from * d, [m, d]), b: headWeight, c: logits, ...layout });
    const rows = logits.read();
    for (let i = 0; i < m && from + i + 1 < T; i++) {
      const row = rows.subarray(i * v, (i + 1) * v);
      const lse = logSumExp(row);
      // Row t tells of token t + 1.
      logp[from + i + 1] = row[tokens[from + i + 1]!]! - lse;
      best[from + i + 1] = likeliest(row, top, lse);
    }
  }
  return prompts.map((p, i) => {
    const at = (t: number) => cuSeqlens[i]! + t;
    const each = Array.from({ length: p.length }, (_, t) => t);
    return {
      logp: each.map((t) => (t === 0 ? null : logp[at(t)]!)),
      top: each.map((t) => (t === 0 ? null : best[at(t)]!)),
    };
  });
}
