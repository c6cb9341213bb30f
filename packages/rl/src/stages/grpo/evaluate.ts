// Held-out evaluation of a policy: pass@1, and Pass@K / Maj@K curves from n samples a question.
import type { Tokenizer } from "@nsa/data";
import { generateTrajectories, type OpenTools, type Trajectory, wholeIds, withToolStops } from "@nsa/eval";
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
import { PREFILL_TOKENS, type SamplingConfig } from "./rollout.ts";

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

/** What an evaluation is made with. */
interface Evaluated {
  model: Transformer;
  tokenizer: Tokenizer;
  problems: readonly AskedProblem[];
  config: EvaluationConfig;
}

const engineOf = ({ model, tokenizer, config }: Evaluated) =>
  new Engine(model, {
    ...evaluationSampling(config),
    // Held-out figures need no bits equal to a trainer's.
    exact: false,
    prefillTokens: PREFILL_TOKENS,
    decode: (ids) => tokenizer.decode(ids),
  });

/** Requests for n outputs of every problem. Their numbers start at 2^24, apart from those of training. */
function requestsOf({ tokenizer, problems, config }: Evaluated, samples: number, greedy: boolean) {
  const rollout = evaluationSampling(config);
  return problems.map((problem, i) => ({
    problem,
    prompt: problem.prompt,
    n: samples,
    maxTokens: rollout.maxTokens,
    sampling: greedy ? { ...rollout, temperature: 0 } : rollout,
    seed: config.seed,
    id: 2 ** 24 + i * samples,
    ...splitStops(tokenizer, rollout.stop),
  }));
}

function graded({ tokenizer, problems }: Evaluated, outputs: readonly (readonly Trajectory[])[]) {
  return outputs.map((group, i) =>
    group.map((s) => {
      const grade = gradeProblem(tokenizer.decode(wholeIds(s)), problems[i]!);
      return { ...grade, echo: isEchoOf(grade.answer, problems[i]!) };
    }),
  );
}

type Graded = ReturnType<typeof graded>[number];

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
  const evaluated = { model, tokenizer, problems, config };
  const { samples, greedy } = config.evaluation;
  const ask = (n: number, once: boolean) =>
    graded(evaluated, engineOf(evaluated).generate(requestsOf(evaluated, n, once)));
  return resultOf(evaluated, ask(samples, false), greedy ? ask(1, true) : undefined);
}

/** As {@link evaluatePolicy}, with tools. */
export async function evaluateWithTools(
  model: Transformer,
  problems: readonly AskedProblem[],
  config: EvaluationConfig,
  tools: OpenTools,
): Promise<EvaluationResult> {
  const evaluated = { model, tokenizer: tools.tokenizer, problems, config };
  const { samples, greedy } = config.evaluation;
  const ask = async (n: number, once: boolean) => {
    const requests = requestsOf(evaluated, n, once).map((r) => withToolStops(r, tools));
    return graded(evaluated, await generateTrajectories(engineOf(evaluated), requests, tools));
  };
  return resultOf(evaluated, await ask(samples, false), greedy ? await ask(1, true) : undefined);
}

function resultOf(
  { problems, config }: Evaluated,
  outputs: readonly Graded[],
  once: readonly Graded[] | undefined,
): EvaluationResult {
  const { samples } = config.evaluation;
  const ks: number[] = [];
  for (let k = 1; k <= samples; k *= 2) ks.push(k);
  const rows = outputs.map((grades) => {
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
  return {
    passAtK: byK("passes"),
    majAtK: byK("majorities"),
    rates: rows.map((row) => row.passes[0]!),
    parts: Object.fromEntries(parts),
    unparsed: rows.reduce((sum, row) => sum + row.empty, 0) / (rows.length * samples),
    echoes: echoShare(outputs),
    ...(once ? { greedy: greedyResult(problems, once) } : {}),
  };
}
