// Held-out evaluation of a policy: pass@1, and Pass@K / Maj@K curves from n samples a question.
import type { Tokenizer } from "@nsa/data";
import { bootstrapInterval, extractAnswer, majAtK, type Problem, passAtK, sameAnswer } from "@nsa/eval";
import { Engine, type SamplingParams, type Transformer } from "@nsa/model";

export interface EvaluationResult {
  /** Mean share of right samples, with its 95 % interval over questions. */
  passAt1: { mean: number; low: number; high: number };
  /** By K, powers of two up to the number of samples. */
  passAtK: Record<number, number>;
  majAtK: Record<number, number>;
  /** Share of samples without a final answer. */
  unparsed: number;
}

/** Classes of equal answers; samples without an answer are each a class of their own. */
export function answerClasses(answers: readonly string[], gold: string): { counts: number[]; right: number } {
  const classes: { answer: string; count: number }[] = [];
  for (const answer of answers) {
    const known =
      answer === "" ? undefined : classes.find((c) => c.answer !== "" && sameAnswer(c.answer, answer));
    if (known) known.count++;
    else classes.push({ answer, count: 1 });
  }
  const right = classes.findIndex((c) => c.answer !== "" && sameAnswer(c.answer, gold));
  return { counts: classes.map((c) => c.count), right };
}

export interface EvaluationOptions {
  prompts: readonly string[];
  problems: readonly Problem[];
  samples: number;
  maxTokens: number;
  sampling: SamplingParams;
  seed: number;
  maxSequences: number;
  cacheTokens: number;
}

/** Samples every problem n times. Request numbers start at 2^24, apart from those of training. */
export function evaluatePolicy(
  model: Transformer,
  tokenizer: Tokenizer,
  options: EvaluationOptions,
): EvaluationResult {
  const { problems, samples } = options;
  const engine = new Engine(model, { ...options, prefillTokens: 16_384 });
  const outputs = engine.generate(
    options.prompts.map((prompt, i) => ({
      prompt: tokenizer.encode(prompt),
      n: samples,
      maxTokens: options.maxTokens,
      sampling: options.sampling,
      seed: options.seed,
      id: 2 ** 24 + i * samples,
      stopIds: [tokenizer.eosId],
    })),
  );
  const ks: number[] = [];
  for (let k = 1; k <= samples; k *= 2) ks.push(k);
  const rows = outputs.map((group, i) => {
    const answers = group.map((s) => extractAnswer(tokenizer.decode(s.ids)).text);
    const { counts, right } = answerClasses(answers, problems[i]!.answer);
    const c = right < 0 ? 0 : counts[right]!;
    return { c, counts, right, empty: answers.filter((a) => a === "").length };
  });
  const meanOver = (f: (row: (typeof rows)[number]) => number) =>
    rows.reduce((a, r) => a + f(r), 0) / rows.length;
  return {
    passAt1: bootstrapInterval(rows.map((r) => r.c / samples)),
    passAtK: Object.fromEntries(ks.map((k) => [k, meanOver((r) => passAtK(samples, r.c, k))])),
    majAtK: Object.fromEntries(ks.map((k) => [k, meanOver((r) => majAtK(r.counts, r.right, k))])),
    unparsed: meanOver((r) => r.empty / samples),
  };
}
