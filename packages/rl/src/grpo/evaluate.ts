// Held-out evaluation of a policy: pass@1, and Pass@K / Maj@K curves from n samples a question.
import type { Tokenizer } from "@nsa/data";
import { bootstrapInterval, gradeProblem, groupAnswers, majAtKs, passAtK, splitStops } from "@nsa/eval";
import { Engine, type Transformer } from "@nsa/model";
import type { GrpoConfig } from "./config.ts";
import type { AskedProblem } from "./problems.ts";

type Interval = { mean: number; low: number; high: number };

export interface EvaluationResult {
  /** By K, powers of two up to the number of samples, with 95 % intervals over questions. */
  passAtK: Record<number, Interval>;
  majAtK: Record<number, Interval>;
  /** Pass@1 and Pass@K at the largest K of each part of a mixed task. */
  parts: Record<string, { passAt1: number; passAtMost: number }>;
  /** Share of samples without a final answer. */
  unparsed: number;
}

/** Samples every problem n times, as training samples. Request numbers start at 2^24, apart from those of training. */
export function evaluatePolicy(
  model: Transformer,
  tokenizer: Tokenizer,
  problems: readonly AskedProblem[],
  config: GrpoConfig,
): EvaluationResult {
  const { rollout } = config;
  const { samples } = config.evaluation;
  const engine = new Engine(model, {
    ...rollout,
    prefillTokens: 16_384,
    decode: (ids) => tokenizer.decode(ids),
  });
  const outputs = engine.generate(
    problems.map(({ prompt }, i) => ({
      prompt,
      n: samples,
      maxTokens: rollout.maxTokens,
      sampling: rollout,
      seed: config.seed,
      id: 2 ** 24 + i * samples,
      ...splitStops(tokenizer, rollout.stop),
    })),
  );
  const ks: number[] = [];
  for (let k = 1; k <= samples; k *= 2) ks.push(k);
  const rows = outputs.map((group, i) => {
    const grades = group.map((s) => gradeProblem(tokenizer.decode(s.ids), problems[i]!));
    const answers = grades.map((g) => g.answer);
    const { counts, right } = groupAnswers(
      answers,
      grades.map((g) => g.verdict === "correct"),
    );
    const c = right < 0 ? 0 : counts[right]!;
    return {
      passes: ks.map((k) => passAtK(samples, c, k)),
      majorities: majAtKs(counts, right, ks),
      empty: answers.filter((a) => a === "").length,
    };
  });
  const byK = (curve: "passes" | "majorities") =>
    Object.fromEntries(ks.map((k, at) => [k, bootstrapInterval(rows.map((row) => row[curve][at]!))]));
  const names = [...new Set(problems.map((p) => p.part).filter((part) => part !== undefined))];
  const parts = names.map((part) => {
    const own = rows.filter((_, i) => problems[i]!.part === part);
    const mean = (at: number) => own.reduce((sum, row) => sum + row.passes.at(at)!, 0) / own.length;
    return [part, { passAt1: mean(0), passAtMost: mean(-1) }] as const;
  });
  return {
    passAtK: byK("passes"),
    majAtK: byK("majorities"),
    parts: names.length > 1 ? Object.fromEntries(parts) : {},
    unparsed: rows.reduce((sum, row) => sum + row.empty, 0) / (rows.length * samples),
  };
}
