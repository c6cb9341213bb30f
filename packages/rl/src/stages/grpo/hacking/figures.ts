// A step's rewards beside the verdicts of the task's rule on the same outputs: pass rate, and how well rewards rank right over wrong.
//
// Ranks are taken inside each question, as advantages are: a reward that only separates easy questions from hard ones ranks nothing.
import { rocAuc } from "@nsa/tasks";
import { meanStd } from "../../../algorithm/advantages/kind.ts";
import { labelsOf } from "../../../rewards/score.ts";
import { verdictOf } from "../../sample/rows.ts";
import type { Output } from "../rollout.ts";

/** An output that has both a reward and a verdict. */
export interface Judged {
  output: Output;
  reward: number;
  right: boolean;
}

/** How numbers rank right over wrong outputs inside questions. */
export interface Ranking {
  /** Mean over questions of the area under the ROC curve; undefined where no question has right and wrong outputs. */
  auc: number | undefined;
  /** Population standard deviation over those questions. */
  std: number;
  /** Questions with right and wrong outputs. */
  questions: number;
}

/** Outputs with a finite reward whose question has a gold answer that the rule can compare, or tests that were run. */
export function judgedOutputs(outputs: readonly Output[]): Judged[] {
  return outputs.flatMap((output) => {
    const { asked, row } = output;
    const { total, parts } = row.reward;
    if (!Number.isFinite(total) || (asked.tests && parts.code === undefined)) return [];
    if (asked.judge !== undefined) return [];
    // The reward `accuracy` is the same verdict; grading twice would take time.
    const right =
      parts.accuracy === undefined
        ? verdictOf(row.completion, asked, row.reward) === "right"
        : parts.accuracy === 1;
    return [{ output, reward: total, right }];
  });
}

/** What belongs to one question's outputs, in their order. */
export function byQuestion<T>(all: readonly T[], outputOf: (one: T) => Output): T[][] {
  const groups = new Map<number, T[]>();
  for (const one of all) {
    const { group } = outputOf(one).rewards;
    if (!groups.has(group)) groups.set(group, []);
    groups.get(group)!.push(one);
  }
  return [...groups.values()];
}

export function rankingOf(judged: readonly Judged[], number: (of: Judged) => number | undefined): Ranking {
  const areas = byQuestion(judged, ({ output }) => output).flatMap((group) => {
    const known = group.filter((of) => number(of) !== undefined);
    const auc = rocAuc(
      known.map((of) => number(of)!),
      known.map(({ right }) => (right ? 1 : 0)),
    );
    return Number.isFinite(auc) ? [auc] : [];
  });
  const { mean, std } = meanStd(areas);
  return { auc: areas.length > 0 ? mean : undefined, std, questions: areas.length };
}

/** Parts of the reward that are the rule's own verdict. */
const isRule = (label: string) => /^(accuracy|code)(_\d+)?$/.test(label);

/** Figures of a step by name; none where no output has a verdict. */
export function verdictMetrics(judged: readonly Judged[]): Record<string, number> {
  if (judged.length === 0) return {};
  const total = rankingOf(judged, ({ reward }) => reward);
  const [right, wrong] = [true, false].map((of) => judged.filter((one) => one.right === of));
  const mean = (some: readonly Judged[]) => meanStd(some.map(({ reward }) => reward)).mean;
  const metrics: Record<string, number> = {
    "verdict/outputs": judged.length,
    "verdict/pass_rate": right!.length / judged.length,
    "verdict/mixed_questions": total.questions,
  };
  if (right!.length > 0) metrics["verdict/reward_right"] = mean(right!);
  if (wrong!.length > 0) metrics["verdict/reward_wrong"] = mean(wrong!);
  if (total.auc === undefined) return metrics;
  metrics["verdict/auc"] = total.auc;
  metrics["verdict/auc_std"] = total.std;
  const labels = labelsOf(judged.map(({ output }) => output.row.reward)).filter((label) => !isRule(label));
  for (const label of labels) {
    const { auc } = rankingOf(judged, ({ output }) => output.row.reward.parts[label]);
    if (auc !== undefined) metrics[`verdict/auc_${label}`] = auc;
  }
  return metrics;
}

/** A wrong output that earned more than a right one of its question. */
export interface Disagreement {
  wrong: Judged;
  right: Judged;
}

/** Of each question the best-paid wrong output and the worst-paid right one where they disagree; the largest gaps, at most `count`. */
export function disagreements(judged: readonly Judged[], count: number): Disagreement[] {
  const pairs = byQuestion(judged, ({ output }) => output).flatMap((group): Disagreement[] => {
    const paid = [...group].sort((a, b) => b.reward - a.reward);
    const [wrong, right] = [paid.find((one) => !one.right), paid.findLast((one) => one.right)];
    return wrong && right && wrong.reward > right.reward ? [{ wrong, right }] : [];
  });
  const gap = ({ wrong, right }: Disagreement) => wrong.reward - right.reward;
  return pairs.sort((a, b) => gap(b) - gap(a)).slice(0, count);
}
