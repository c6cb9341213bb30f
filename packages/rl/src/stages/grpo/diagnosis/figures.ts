// Figures of a step's outputs that diagnoses are made from: how much outputs differ, how they end, what the policy itself answers most,
// and what echoes earn.
import type { Metrics } from "@nsa/core";
import type { Tokenizer } from "@nsa/data";
import { meanStd } from "../../../algorithm/advantages/kind.ts";
import { rewardKinds } from "../../../rewards/registry.ts";
import { labelsOf } from "../../../rewards/score.ts";
import { byQuestion, type Judged } from "../hacking/figures.ts";
import type { Output } from "../rollout.ts";
import type { Evidence } from "./rule.ts";

/** Characters of a text in a warning. */
const SHOWN = 120;
/** A loop: a piece of at most this many tokens that ends an output at least so many times in a row, and fills so many tokens. */
const [LOOP_TOKENS, LOOP_TIMES, LOOP_LENGTH] = [24, 4, 16];
/** Outputs and their share that a question's most frequent answer needs, and how many times the next one's, to be the policy's own. */
const [PLURALITY_LEAST, PLURALITY_SHARE, PLURALITY_LEAD] = [4, 0.4, 2];
/** Share of a question's outputs with one answer from which on the policy is confident. */
const CONFIDENT = 0.6;

const short = (text: string) => JSON.stringify(text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text);
const mean = (values: readonly number[]) => meanStd(values).mean;
const shareThat = <T>(all: readonly T[], is: (one: T) => boolean) =>
  all.length > 0 ? all.filter(is).length / all.length : 0;

/** Whether a sequence ends in a piece that is repeated. */
export function endsInLoop(ids: readonly number[]): boolean {
  const n = ids.length;
  for (let period = 1; period <= LOOP_TOKENS; period++) {
    let same = 0;
    while (same < n - period && ids[n - 1 - same] === ids[n - 1 - same - period]) same++;
    const length = same + period;
    if (length >= LOOP_LENGTH && length >= LOOP_TIMES * period) return true;
  }
  return false;
}

/** The last number of a text without signs of grouping; the last line where there is none. */
function lastNumber(text: string): string {
  const numbers = text.match(/-?\d[\d,]*(?:\.\d+)?/g);
  return numbers ? numbers.at(-1)!.replaceAll(",", "") : text.trim().split("\n").at(-1)!.trim();
}

/** Whether the text ends with the gold as it is written: what a reader would take for a right answer. */
export const looksRight = (completion: string, gold: string): boolean =>
  gold.trim() !== "" && lastNumber(completion) === lastNumber(gold);

interface Plurality {
  answer: string;
  share: number;
  right: boolean;
  decided: boolean;
  of: Judged;
}

/** The most frequent answer of a question's outputs; undefined where none has an answer. */
function pluralityOf(group: readonly Judged[]): Plurality | undefined {
  const answers = new Map<string, Judged[]>();
  for (const one of group) {
    const { answer } = one.output;
    if (answer === "") continue;
    answers.set(answer, [...(answers.get(answer) ?? []), one]);
  }
  const [first, second] = [...answers].sort((a, b) => b[1].length - a[1].length);
  if (!first) return undefined;
  const [answer, own] = first;
  const share = own.length / group.length;
  const decided =
    own.length >= PLURALITY_LEAST &&
    share >= PLURALITY_SHARE &&
    own.length >= PLURALITY_LEAD * (second ? second[1].length : 0);
  return {
    answer,
    share,
    right: own.some(({ right }) => right),
    decided,
    of: own[0]!,
  };
}

/** Agreement of the policy with itself and with the golds. Questions of many right answers (countdown, tests) have none. */
function pluralityFigures(judged: readonly Judged[], evidence: Evidence): Metrics {
  const asked = judged.filter(({ output: { asked } }) => !asked.countdown && !asked.tests);
  const found = byQuestion(asked, ({ output }) => output).flatMap((group) => pluralityOf(group) ?? []);
  const decided = found.filter((p) => p.decided);
  const confident = decided.filter(({ share }) => share >= CONFIDENT);
  const wrong = decided.find((p) => !p.right);
  if (wrong) {
    const { question, answer } = wrong.of.output.row;
    evidence.plurality = `to ${short(question)} it answers ${short(wrong.answer)} in ${(100 * wrong.share).toFixed(0)} % of outputs, the gold is ${short(answer)}`;
  }
  return {
    "verdict/plurality_questions": decided.length,
    "verdict/plurality_right_share": shareThat(decided, (p) => p.right),
    "verdict/confident_questions": confident.length,
    "verdict/confident_right_share": shareThat(confident, (p) => p.right),
  };
}

/** Wrong outputs that end with the gold as it is written. */
function rejectedFigures(judged: readonly Judged[], evidence: Evidence): Metrics {
  const wrong = judged.filter(({ right, output: { asked } }) => !right && !asked.countdown && !asked.tests);
  const rejected = wrong.filter(({ output: { row } }) => !row.echo && looksRight(row.completion, row.answer));
  const [first] = rejected;
  if (first) {
    const { completion, answer } = first.output.row;
    evidence.rejected = `${short(completion)} for the gold ${short(answer)}`;
  }
  return { "verdict/rejected_gold_share": wrong.length > 0 ? rejected.length / wrong.length : 0 };
}

/** Whether a part of a reward judges the answer and not its form; notes beside a reward, which nothing is paid for, do not. */
function judgesAnswer(label: string): boolean {
  const kind = label.replace(/_\d+$/, "");
  return rewardKinds.has(kind) && rewardKinds.get(kind).ofForm !== true;
}

/** What echoes earn for their answers beside other outputs; nothing where there is no echo, or no reward for answers. */
function echoFigures(outputs: readonly Output[], evidence: Evidence): Metrics {
  const scored = outputs.filter(({ row }) => Number.isFinite(row.reward.total));
  const [echoes, others] = [true, false].map((of) => scored.filter(({ row }) => row.echo === of));
  const [first] = echoes!;
  if (!first) return {};
  evidence.echo = `${short(first.row.completion)} to ${short(first.row.question)}`;
  const labels = labelsOf(scored.map(({ row }) => row.reward)).filter(judgesAnswer);
  if (labels.length === 0) return {};
  const rewards = (some: readonly Output[]) =>
    mean(
      some.map(({ row: { reward } }) => labels.reduce((sum, label) => sum + (reward.parts[label] ?? 0), 0)),
    );
  const metrics: Metrics = { "echo/reward_mean": rewards(echoes!) };
  if (others!.length > 0) metrics["echo/others_reward_mean"] = rewards(others!);
  return metrics;
}

/** How outputs that were cut at the longest length look. */
function endFigures(outputs: readonly Output[], tokenizer: SpecialTokens, evidence: Evidence): Metrics {
  const cut = outputs.filter(({ row }) => row.finish === "length");
  if (cut.length === 0) return {};
  const special = ({ sample: { ids } }: Output) => ids.find((id) => tokenizer.isSpecial(id));
  const missed = cut.map(special).find((id) => id !== undefined);
  if (missed !== undefined)
    evidence.missedEnd = `${JSON.stringify(tokenizer.tokenOf(missed))} (id ${missed})`;
  return {
    "completion/missed_end_share": shareThat(cut, (output) => special(output) !== undefined),
    "completion/looping_share": shareThat(cut, ({ sample }) => endsInLoop(sample.ids)),
  };
}

/** What of a tokenizer the figures need. */
export interface SpecialTokens {
  isSpecial(id: number): boolean;
  /** The token as its file writes it. */
  tokenOf(id: number): string;
}

export const specialTokensOf = (tokenizer: Tokenizer): SpecialTokens => ({
  isSpecial: (id) => tokenizer.isSpecial(id),
  tokenOf: (id) => tokenizer.decode([id], { special: true }),
});

/** Figures for diagnoses, and texts that make them concrete. `judged`: the outputs that have a verdict. */
export function diagnosisFigures(
  outputs: readonly Output[],
  judged: readonly Judged[],
  tokenizer: SpecialTokens,
): { metrics: Metrics; evidence: Evidence } {
  const evidence: Evidence = {};
  const distinct = byQuestion(outputs, (output) => output).map(
    (group) => new Set(group.map(({ row }) => row.completion)).size / group.length,
  );
  const counts = new Map<string, number>();
  for (const { answer } of outputs) counts.set(answer, (counts.get(answer) ?? 0) + 1);
  const most = Math.max(...[...counts].flatMap(([answer, n]) => (answer === "" ? [] : [n])), 0);
  const metrics: Metrics = {
    "rollout/distinct_share": mean(distinct),
    "rollout/top_answer_share": most / outputs.length,
    "rollout/gold_answers": new Set(outputs.map(({ row }) => row.answer)).size,
    ...endFigures(outputs, tokenizer, evidence),
    ...echoFigures(outputs, evidence),
  };
  if (judged.length > 0)
    Object.assign(metrics, pluralityFigures(judged, evidence), rejectedFigures(judged, evidence));
  return { metrics, evidence };
}
