// Held-out evaluation of a policy: pass@1, and Pass@K / Maj@K curves from n samples a question.
import type { Tokenizer } from "@nsa/data";
import { Engine, type Transformer } from "@nsa/model";
import {
  gradeProblem,
  groupAnswers,
  isEchoOf,
  majAtKs,
  passAtK,
  shareInterval,
  splitStops,
} from "@nsa/tasks";
import type { AskedProblem } from "../../task/problems.ts";
import type { GrpoConfig } from "./config.ts";
import type { SamplingConfig } from "./rollout.ts";

/** The settings of a recipe that an evaluation needs. */
type EvaluationConfig = Pick<GrpoConfig, "seed"> & {
  rollout: SamplingConfig;
  evaluation: Pick<GrpoConfig["evaluation"], "samples" | "greedy"> &
    Partial<Pick<GrpoConfig["evaluation"], "sampling">>;
};

type Interval = { mean: number; low: number; high: number };

export interface EvaluationResult {
  /** By K, powers of two up to the number of samples, with 95 % intervals over questions. */
  passAtK: Record<number, Interval>;
  majAtK: Record<number, Interval>;
  /** Share of right samples of each question. */
  rates: readonly number[];
  /** Pass@1 and Pass@K at the largest K of each part of a mixed task. */
  parts: Record<string, { passAt1: number; passAtMost: number }>;
  /** Share of samples without a final answer. */
  unparsed: number;
  /** Share of samples whose answer is the question's own expression, or arithmetic left undone. */
  echoes: number;
  /** Of one greedy output a question, where the recipe asks for it: share of right ones, of echoes, and of parts. */
  greedy?: { passAt1: Interval; echoes: number; parts: Record<string, number> };
}

/** How outputs of the evaluation are drawn: as those of training but for what the recipe sets otherwise. */
function evaluationSampling({ rollout, evaluation }: EvaluationConfig): SamplingConfig {
  const own = Object.entries(evaluation.sampling ?? {}).filter(([, value]) => value !== undefined);
  return { ...rollout, ...Object.fromEntries(own) };
}

/** Graded outputs of every problem, n of each. Request numbers start at 2^24, apart from those of training. */
function gradedOutputs(
  model: Transformer,
  tokenizer: Tokenizer,
  problems: readonly AskedProblem[],
  config: EvaluationConfig,
  { samples, greedy }: { samples: number; greedy: boolean },
) {
  const rollout = evaluationSampling(config);
  const engine = new Engine(model, {
    ...rollout,
    // Held-out figures need no bits equal to a trainer's.
    exact: false,
    prefillTokens: 16_384,
    decode: (ids) => tokenizer.decode(ids),
  });
  const outputs = engine.generate(
    problems.map(({ prompt }, i) => ({
      prompt,
      n: samples,
      maxTokens: rollout.maxTokens,
      sampling: greedy ? { ...rollout, temperature: 0 } : rollout,
      seed: config.seed,
      id: 2 ** 24 + i * samples,
      ...splitStops(tokenizer, rollout.stop),
    })),
  );
  return outputs.map((group, i) =>
    group.map((s) => {
      const grade = gradeProblem(tokenizer.decode(s.ids), problems[i]!);
      return { ...grade, echo: isEchoOf(grade.answer, problems[i]!) };
    }),
  );
}

type Graded = ReturnType<typeof gradedOutputs>[number];

const average = (xs: readonly number[]) => xs.reduce((a, b) => a + b, 0) / xs.length;
const echoShare = (groups: readonly Graded[]) => average(groups.flat().map((g) => (g.echo ? 1 : 0)));
const partNames = (problems: readonly AskedProblem[]) => {
  const names = [...new Set(problems.map((p) => p.part).filter((part) => part !== undefined))];
  return names.length > 1 ? names : [];
};

/** One greedy output a question, whatever the sampling of training. */
function greedyResult(problems: readonly AskedProblem[], groups: readonly Graded[]) {
  const right = groups.map(([g]) => (g!.verdict === "correct" ? 1 : 0));
  const of = (part: string) => average(right.filter((_, i) => problems[i]!.part === part));
  return {
    passAt1: shareInterval(right),
    echoes: echoShare(groups),
    parts: Object.fromEntries(partNames(problems).map((part) => [part, of(part)])),
  };
}

/** Samples every problem n times, by the evaluation's sampling, and once greedily where the recipe asks for it. */
export function evaluatePolicy(
  model: Transformer,
  tokenizer: Tokenizer,
  problems: readonly AskedProblem[],
  config: EvaluationConfig,
): EvaluationResult {
  const { samples, greedy } = config.evaluation;
  const graded = gradedOutputs(model, tokenizer, problems, config, { samples, greedy: false });
  const ks: number[] = [];
  for (let k = 1; k <= samples; k *= 2) ks.push(k);
  const rows = graded.map((grades) => {
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
    Object.fromEntries(ks.map((k, at) => [k, shareInterval(rows.map((row) => row[curve][at]!))]));
  const parts = partNames(problems).map((part) => {
    const own = rows.filter((_, i) => problems[i]!.part === part);
    const mean = (at: number) => average(own.map((row) => row.passes.at(at)!));
    return [part, { passAt1: mean(0), passAtMost: mean(-1) }] as const;
  });
  const once = { samples: 1, greedy: true };
  return {
    passAtK: byK("passes"),
    majAtK: byK("majorities"),
    rates: rows.map((row) => row.passes[0]!),
    parts: Object.fromEntries(parts),
    unparsed: rows.reduce((sum, row) => sum + row.empty, 0) / (rows.length * samples),
    echoes: echoShare(graded),
    ...(greedy
      ? { greedy: greedyResult(problems, gradedOutputs(model, tokenizer, problems, config, once)) }
      : {}),
  };
}
