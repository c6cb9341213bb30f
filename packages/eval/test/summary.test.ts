// From rows to figures: each of a summary's numbers by hand, on rows of different lengths and outcomes.
import { expect, test } from "vitest";
import {
  type ChoiceSummary,
  type EvalRow,
  type NeedleSummary,
  type PositionsSummary,
  type ProblemsSummary,
  type SampleRow,
  summarise,
} from "../src/index.ts";
import { summaryMetrics } from "../src/summary.ts";

const near = (x: number) => expect.closeTo(x, 12);

/** An answer: its value, mean log-probability, tokens, and what differs. */
const sample = (
  id: string,
  answer: string,
  logp: number,
  tokens: number,
  more: Partial<SampleRow> = {},
): SampleRow => ({
  kind: "sample",
  step: 1,
  task: "sums",
  id,
  sample: 0,
  prompt: "",
  completion: "",
  answer,
  gold: "7",
  verdict: answer === "7" ? "correct" : "wrong",
  form: "boxed",
  why: "",
  tokens,
  finish: "stop",
  logp,
  ...more,
});

test("the_best_of_k_by_the_reward_model_is_ranked_by_its_numbers_alone", async () => {
  // The right answer is the second best of three by reward, the least likely of them.
  const rows = [
    sample("a", "7", -0.9, 1, { reward: 0.5 }),
    sample("a", "8", -0.1, 1, { reward: 0.25 }),
    sample("a", "9", -0.2, 1, { reward: 0.75 }),
    sample("a", "9", -0.2, 1, { reward: 0.125 }),
  ];
  const [summary] = (await summarise(rows)) as [ProblemsSummary];
  // Of six pairs it wins the two without the better one; of all four it loses.
  expect(summary.rewardAtK).toEqual({ 1: near(1 / 4), 2: near(2 / 6), 4: 0 });
  expect(summaryMetrics(summary)).toMatchObject({
    "eval/sums/reward_at_2": near(2 / 6),
    "eval/sums/reward_at_4": 0,
  });
  const [mixed] = (await summarise([...rows, sample("b", "7", -1, 1)])) as [ProblemsSummary];
  expect(mixed).not.toHaveProperty("rewardAtK");
});

test("figures_of_problems_with_four_answers_each", async () => {
  const rows: EvalRow[] = [
    // One right of four, the likeliest; 8 is given twice.
    sample("a", "7", -0.1, 10),
    sample("a", "8", -0.4, 20),
    sample("a", "9", -0.3, 30, { form: "last_value" }),
    sample("a", "8", -0.2, 40),
    // All right; one was cut.
    ...[5, 6, 7].map((n) => sample("b", "7", -0.5, n)),
    sample("b", "7", -0.6, 64, { finish: "length" }),
    // None right, two of which could not be read; 3 is given twice.
    sample("c", "3", -0.2, 1),
    sample("c", "3", -0.3, 1),
    sample("c", "", -0.1, 64, { verdict: "unknown", form: "none", finish: "length" }),
    sample("c", "", -0.9, 64, { verdict: "unknown", form: "none", finish: "length" }),
  ];
  const [summary] = (await summarise(rows)) as [ProblemsSummary];
  expect(summary).toMatchObject({
    kind: "problems",
    task: "sums",
    problems: 3,
    samples: 4,
    // 1/4, 1 and 0.
    accuracy: { mean: near(1.25 / 3), low: 0 },
    // Two of four of the first problem hold the right one in three of six pairs.
    passAtK: { 1: near(1.25 / 3), 2: near(1.5 / 3), 4: near(2 / 3) },
    // In those three pairs it ties with the other answer; with all four, 8 wins.
    majAtK: { 1: near(1.25 / 3), 2: near(1.25 / 3), 4: near(1 / 3) },
    // It is the likeliest wherever it is drawn.
    likeliestAtK: { 1: near(1.25 / 3), 2: near(1.5 / 3), 4: near(2 / 3) },
    formatRate: near(9 / 12),
    unparsed: near(2 / 12),
    truncated: near(3 / 12),
    length: near((100 + 82 + 130) / 12),
  });
  // Shares of the majority 1/2, 1 and 1/2, of which the second is right: two votes are off by 1/2.
  expect(summary.calibration!.error).toBeCloseTo((2 * 0.5) / 3, 12);
  expect(summary.calibration!.bins.map((b) => [b.share, b.accuracy, b.problems])).toEqual([
    [0.5, 0, 2],
    [1, 1, 1],
  ]);
  expect(summaryMetrics(summary)).toEqual({
    "eval/sums/accuracy": near(1.25 / 3),
    "eval/sums/echo_share": 0,
    "eval/sums/pass_at_2": near(1.5 / 3),
    "eval/sums/pass_at_4": near(2 / 3),
    "eval/sums/maj_at_2": near(1.25 / 3),
    "eval/sums/maj_at_4": near(1 / 3),
    "eval/sums/rm_at_2": near(1.5 / 3),
    "eval/sums/rm_at_4": near(2 / 3),
    "eval/sums/format_rate": near(9 / 12),
    "eval/sums/unparsed": near(2 / 12),
    "eval/sums/length": near(312 / 12),
    "eval/sums/calibration_error": near(1 / 3),
  });
});

test("answers_vote_by_their_text_unless_nothing_was_read_and_ties_are_shared", async () => {
  const unread = { verdict: "unknown", form: "boxed" } as const;
  const rows: EvalRow[] = [
    // Two that the grader could not decide are one class of two: they outvote the right one.
    sample("a", "7", -1, 3),
    sample("a", "x|y", -1, 3, unread),
    sample("a", "x|y", -1, 3, unread),
    sample("a", "9", -1, 3),
    // So are two wrong ones without a mark. They tie with the two right ones.
    ...["7", "7"].map((a) => sample("b", a, -1, 3)),
    ...["5", "5"].map((a) => sample("b", a, -1, 3, { form: "none" })),
  ];
  const [summary] = (await summarise(rows)) as [ProblemsSummary];
  expect(summary.majAtK["4"]).toBeCloseTo((0 + 1 / 2) / 2, 12);
  expect([summary.unparsed, summary.formatRate]).toEqual([2 / 8, 6 / 8]);
  // Both majorities have half of the votes; they are right never and half of the time.
  expect(summary.calibration).toEqual({
    bins: [{ low: 0.4, high: 0.5, problems: 2, share: 0.5, accuracy: 0.25 }],
    error: 0.25,
  });
});

test("answers_beyond_the_fewest_of_a_problem_and_shares_of_programs", async () => {
  const ok = { status: "ok", why: "" } as const;
  const rows: EvalRow[] = [
    sample("a", "7", -1, 3, { programs: [ok, { status: "error", why: "" }] }),
    sample("a", "7", -1, 3, { programs: [ok] }),
    sample("a", "8", -1, 3),
    sample("b", "8", -1, 3),
    sample("b", "7", -1, 3, { programs: [] }),
  ];
  const [summary] = (await summarise(rows)) as [ProblemsSummary];
  // Two answers each count: 1 and 1/2.
  expect([summary.samples, summary.accuracy.mean]).toEqual([2, 0.75]);
  expect(summary.programs).toEqual({ run: 3, ok: near(2 / 3) });
  expect(summary.calibration).toBeUndefined();
});

test("one_row_of_each_kind_is_enough", async () => {
  const base = { step: 1, task: "one" };
  const rows: EvalRow[] = [
    { ...sample("a", "7", -1, 3), task: "one" },
    { ...base, kind: "choice", id: "c", gold: "A", answer: "A", answerPerByte: "B", logps: [] },
    {
      ...base,
      kind: "needle",
      length: 64,
      depth: 0,
      trial: 0,
      found: true,
      completion: "",
      gold: "",
      logp: -1,
      logpWithout: -2,
    },
    { ...base, kind: "positions", sequence: 0, nll: [2], tokens: [4] },
  ];
  expect((await summarise(rows)).map((s) => s.kind)).toEqual(["problems", "choice", "needle", "positions"]);
});

test("figures_of_choices_needles_and_positions", async () => {
  const choice = (answer: string, answerPerByte: string, gold: string) => ({ answer, answerPerByte, gold });
  const choices = [
    choice("A", "B", "A"),
    choice("A", "B", "B"),
    choice("C", "C", "A"),
    choice("D", "B", "B"),
  ].map((c, i): EvalRow => ({ kind: "choice", step: 1, task: "mc", id: `${i}`, logps: [], ...c }));
  const needle = (
    length: number,
    depth: number,
    found: boolean,
    logp: number,
    logpWithout: number,
  ): EvalRow => ({
    ...{ kind: "needle", step: 1, task: "hay", trial: 0, completion: "", gold: "" },
    ...{ length, depth, found, logp, logpWithout },
  });
  const needles = [
    needle(64, 0.5, true, -0.5, -3),
    needle(64, 0.5, false, -2, -2.5),
    needle(64, 0, true, -0.25, -4),
    needle(128, 0, false, -5, -4),
    needle(128, 0.5, false, -3, -3),
  ];
  const positions = [
    { nll: [6, 2], tokens: [3, 2] },
    { nll: [2, 5], tokens: [1, 2] },
  ].map((r, sequence): EvalRow => ({ kind: "positions", step: 1, task: "text", sequence, ...r }));
  const [mc, hay, text] = (
    await summarise([...needles.slice(0, 2), ...choices, ...needles.slice(2), ...positions])
  ).sort((a, b) => ["mc", "hay", "text"].indexOf(a.task) - ["mc", "hay", "text"].indexOf(b.task)) as [
    ChoiceSummary,
    NeedleSummary,
    PositionsSummary,
  ];
  expect([mc.accuracy.mean, mc.accuracyPerByte.mean]).toEqual([0.25, 0.5]);
  expect(hay).toMatchObject({
    lengths: [64, 128],
    depths: [0, 0.5],
    found: [
      [1, 0.5],
      [0, 0],
    ],
    // How much likelier the fact makes the number: positive where it helps.
    gain: [
      [3.75, 1.5],
      [-1, 0],
    ],
    accuracy: 0.4,
  });
  expect(text.perplexity).toEqual([near(Math.exp(8 / 4)), near(Math.exp(7 / 4))]);
  expect(text.total).toBeCloseTo(Math.exp(15 / 8), 12);
  expect([mc, hay, text].map(summaryMetrics)).toEqual([
    { "eval/mc/accuracy": 0.25, "eval/mc/accuracy_per_byte": 0.5 },
    { "eval/hay/found": 0.4 },
    { "eval/text/perplexity": near(Math.exp(15 / 8)) },
  ]);
});
