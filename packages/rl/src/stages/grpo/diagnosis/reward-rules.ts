// Diagnoses of rewards, golds and graders.
import {
  type Diagnosis,
  type DiagnosisView,
  meanOf,
  newest,
  passRate,
  percent,
  type StepRow,
  shareOf,
  sumOf,
} from "./rule.ts";

/** Steps in a row that show a fault of every output. */
const STEPS = 3;
/** Steps of a run in which its first policy can still judge the golds: later it has learned from them. */
const EARLY = 20;
/** Questions from which on shares of questions count. */
const QUESTIONS = 12;
/** Standard errors. */
const ERRORS = 3;
/** Rank correlation of rewards and lengths from which on nothing else can decide the rewards. */
const FOLLOWS = 0.97;

/** Labels of the recipe's rewards that were paid in the row. */
const partsOf = (row: StepRow) =>
  Object.keys(row)
    .filter((name) => name.startsWith("reward/") && name.endsWith("_std"))
    .map((name) => name.slice("reward/".length, -"_std".length))
    .filter((label) => row[`reward/${label}`] !== undefined);

/** Whether the outputs of a question differ at all: where not, the fault is the sampling's. */
export const hasVariety = (rows: readonly StepRow[], groupSize: number): boolean =>
  meanOf(rows, "rollout/distinct_share") > (1 / groupSize) * 1.5;

const solved = (rows: readonly StepRow[]) => rows.every((row) => (passRate(row) ?? 0) >= 0.95);

/** Every output of the newest steps earns the same. */
const constantReward: Diagnosis = {
  name: "constant reward",
  needs: ["reward/std", "rollout/distinct_share"],
  find(view) {
    const rows = newest(view, STEPS);
    if (!rows || !hasVariety(rows, view.config.rollout.groupSize)) return undefined;
    if (!rows.every((row) => row["reward/std"]! < 1e-9)) return undefined;
    if (solved(rows) && view.learned) return undefined;
    const parts = partsOf(rows.at(-1)!).map((label) => `${label} ${meanOf(rows, `reward/${label}`)}`);
    const right = meanOf(
      rows.map((row): StepRow => ({ step: row.step, right: passRate(row) ?? Number.NaN })),
      "right",
    );
    const why = Number.isNaN(right)
      ? "the reward does not depend on what the output says"
      : right === 0
        ? "no output is right: the questions are beyond the policy, the golds are wrong, or the grader does not read the answers"
        : right === 1
          ? "all outputs are right: the questions teach nothing"
          : `${percent(right)} of them are right by the task's rule, so the reward does not depend on the answer`;
    return `all outputs of ${STEPS} steps earn the same (${parts.join(", ")}), so no output has an advantage over another; ${why}`;
  },
};

/** Rewards differ between questions but not between the outputs of one. */
const noSignal: Diagnosis = {
  name: "no signal inside groups",
  needs: ["reward/std", "rollout/zero_variance_share", "rollout/distinct_share"],
  find(view) {
    const rows = newest(view, STEPS);
    if (!rows || !hasVariety(rows, view.config.rollout.groupSize)) return undefined;
    const flat = meanOf(rows, "rollout/zero_variance_share");
    if (flat < 0.95 || rows.every((row) => row["reward/std"]! < 1e-9)) return undefined;
    if (solved(rows) && view.learned) return undefined;
    return `in ${percent(flat)} of groups all outputs earn the same although they differ, while questions earn differently: the reward depends on the question alone, or each question is either too easy or too hard`;
  },
};

/** Wrong outputs earn more than right ones of the same question. */
const invertedReward: Diagnosis = {
  name: "inverted reward",
  needs: ["reward/mean"],
  explains: ["wrong golds"],
  find({ rows }) {
    const known = rows.slice(-EARLY).filter((row) => row["verdict/auc"] !== undefined);
    const questions = sumOf(known, "verdict/mixed_questions");
    if (questions < QUESTIONS) return undefined;
    const auc = shareOf(known, "verdict/auc", "verdict/mixed_questions");
    const error = Math.sqrt(
      known.reduce(
        (sum, row) => sum + (row["verdict/auc_std"] ?? 0) ** 2 * (row["verdict/mixed_questions"] ?? 0),
        0,
      ) /
        questions ** 2,
    );
    if (auc >= 0.4 || auc + ERRORS * error >= 0.5) return undefined;
    return `a wrong output earns more than a right one of its question in ${percent(1 - auc)} of pairs, ties counted half: a weight has the wrong sign, or the grader's verdict is reversed`;
  },
};

/** Nothing is graded right although outputs end with the gold. */
const rejectedGold: Diagnosis = {
  name: "grader rejects right outputs",
  needs: ["verdict/rejected_gold_share", "verdict/pass_rate"],
  explains: ["constant reward", "no signal inside groups"],
  find(view) {
    const rows = newest(view, STEPS);
    if (!rows) return undefined;
    const share = meanOf(rows, "verdict/rejected_gold_share");
    const right = meanOf(rows, "verdict/pass_rate");
    // The more outputs pass, the more must be refused to mean something.
    if (!(share >= 0.15 && right <= 0.02)) return undefined;
    const example = view.evidence.rejected ? `, such as ${view.evidence.rejected}` : "";
    return `${percent(right)} of outputs pass, but ${percent(share)} of the wrong ones end with the gold answer as it is written${example}: the grader, the form of the answer or its tags do not fit the task`;
  },
};

/** The policy's own most frequent answers contradict the golds. */
const wrongGolds: Diagnosis = {
  name: "wrong golds",
  needs: [
    "verdict/plurality_questions",
    "verdict/plurality_right_share",
    "verdict/confident_questions",
    "verdict/confident_right_share",
    "verdict/pass_rate",
  ],
  explains: ["constant reward", "no signal inside groups"],
  find({ rows, evidence }) {
    const early = rows.filter(({ step }) => step <= EARLY);
    if (rows.at(-1)!.step > EARLY || early.length < STEPS) return undefined;
    if (meanOf(early, "verdict/rejected_gold_share") >= 0.15) return undefined;
    // A policy that its updates have changed much no longer answers as it did.
    if (meanOf(early, "policy/update_change_mean") >= 0.1) return undefined;
    const example = evidence.plurality ? `; for example, ${evidence.plurality}` : "";
    const text = (what: string, right: number) =>
      `${what}, only ${percent(right)} of them the gold${example}: golds are wrong or belong to other questions, or the grader does not read the answers`;
    const decided = sumOf(early, "verdict/plurality_questions");
    const right = shareOf(early, "verdict/plurality_right_share", "verdict/plurality_questions");
    const passes = meanOf(early, "verdict/pass_rate");
    if (decided >= QUESTIONS && right <= 0.1 && passes <= 0.15)
      return text(`of ${decided} questions the policy clearly prefers one answer`, right);
    const confident = sumOf(early, "verdict/confident_questions");
    const sure = shareOf(early, "verdict/confident_right_share", "verdict/confident_questions");
    const error = Math.sqrt((sure * (1 - sure)) / Math.max(1, confident));
    if (confident >= QUESTIONS && sure + ERRORS * error < 0.75)
      return text(`to ${confident} questions nearly all outputs give one answer`, sure);
    return undefined;
  },
};

/** Answers that repeat the question earn more than others. */
const paidEchoes: Diagnosis = {
  name: "echoes are paid",
  needs: ["reward/echo_share"],
  find(view) {
    const rows = newest(view, STEPS);
    if (!rows) return undefined;
    const share = meanOf(rows, "reward/echo_share");
    const [echo, other] = [meanOf(rows, "echo/reward_mean"), meanOf(rows, "echo/others_reward_mean")];
    if (!(share >= 0.05) || Number.isNaN(echo) || !(Number.isNaN(other) || echo > other)) return undefined;
    const cause =
      view.config.task.answerForm === "any"
        ? "task.answer_form any takes an expression for its value"
        : "a reward pays for the question written again";
    const example = view.evidence.echo ? `, such as ${view.evidence.echo}` : "";
    const beside = Number.isNaN(other) ? "" : `, other outputs ${other.toFixed(3)}`;
    return `${percent(share)} of outputs repeat the question's expression or leave the arithmetic undone${example} and earn ${echo.toFixed(3)} for it on average${beside}: ${cause}`;
  },
};

/** One answer is given whatever is asked. */
const oneAnswer: Diagnosis = {
  name: "one answer for all questions",
  needs: ["rollout/top_answer_share", "rollout/gold_answers", "rollout/zero_variance_share"],
  find(view) {
    const rows = newest(view, STEPS);
    if (!rows) return undefined;
    const share = meanOf(rows, "rollout/top_answer_share");
    const golds = meanOf(rows, "rollout/gold_answers");
    if (share < 0.8 || golds < 4 || meanOf(rows, "rollout/zero_variance_share") < 0.2) return undefined;
    return `${percent(share)} of outputs give one and the same answer although the questions have ${golds.toFixed(0)} different golds: the policy has collapsed, or the reward pays this answer`;
  },
};

/** Rewards are ordered as lengths are, right or wrong. */
const followsLength: Diagnosis = {
  name: "reward follows the length",
  needs: ["verdict/length_correlation", "verdict/length_questions"],
  explains: ["outputs are cut", "inverted reward"],
  find({ rows }) {
    const known = rows.slice(-EARLY);
    if (known.length < STEPS || sumOf(known, "verdict/length_questions") < QUESTIONS) return undefined;
    const follows = shareOf(known, "verdict/length_correlation", "verdict/length_questions");
    if (!(Math.abs(follows) >= FOLLOWS)) return undefined;
    const which = follows > 0 ? "longer" : "shorter";
    return `of outputs of one question the ${which} earn more, right or wrong (rank correlation ${follows.toFixed(2)}): the reward pays for length and not for the answer`;
  },
};

export const rewardRules = [
  rejectedGold,
  wrongGolds,
  constantReward,
  noSignal,
  invertedReward,
  followsLength,
  paidEchoes,
  oneAnswer,
];
