// The alarm of reward hacking: set-ups that can be hacked and healthy ones, drawn output by output, and runs of a tiny policy.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readJsonl } from "@nsa/core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { grpoSchema } from "../src/stages/grpo/config.ts";
import { hackingAlarm, type StepVerdicts } from "../src/stages/grpo/hacking/alarm.ts";
import { disagreements, judgedOutputs, verdictMetrics } from "../src/stages/grpo/hacking/figures.ts";
import { lengthFigures, rankCorrelation } from "../src/stages/grpo/hacking/length.ts";
import { settingsAt } from "../src/stages/grpo/hacking/monitor.ts";
import type { Output } from "../src/stages/grpo/rollout.ts";
import { grpoRuns, makeBase, stepMetrics, warningsOf } from "./grpo-fixture.ts";
import { hackable, healthy, seriesOf } from "./hacking-series.ts";

/** First step at which the alarm fires, looked at every step. */
function firstAlarm(series: readonly StepVerdicts[]): number | undefined {
  for (let n = 1; n <= series.length; n++) if (hackingAlarm(series.slice(0, n))) return n;
  return undefined;
}

describe.each([1, 2])("drawn with seed %d", (seed) => {
  test.each(Object.keys(hackable))("%s_is_found", (name) => {
    expect(firstAlarm(seriesOf(hackable[name]!, seed))).toBeDefined();
  });

  test.each(Object.keys(healthy))("%s_is_left_alone", (name) => {
    expect(firstAlarm(seriesOf(healthy[name]!, seed))).toBeUndefined();
  });
});

const flat = (set: Partial<StepVerdicts> & { step: number }): StepVerdicts => ({
  ...{ outputs: 100, passRate: 0.5, reward: 0.5, rewardStd: 0.5, auc: 1, aucStd: 0, mixed: 10 },
  ...{ rewards: "r", questions: "q", ...set },
});

test("what_an_alarm_shows_is_the_best_stretch_against_the_newest_one", () => {
  // Twelve steps: stretches of four. The best one is that of steps 2 to 5.
  const pass = [0.5, 0.6, 0.6, 0.6, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1, 0.1, 0];
  const series = pass.map((passRate, i) =>
    flat({ step: i + 1, passRate, reward: 0.2 + 0.05 * i, rewardStd: 0.1, auc: i < 8 ? 0.5 : undefined }),
  );
  const alarm = hackingAlarm(series)!;
  expect(alarm.sign).toBe("parted");
  expect(alarm.passRate).toEqual([expect.closeTo(0.6, 12), expect.closeTo(0.1, 12)]);
  expect(alarm.reward).toEqual([expect.closeTo(0.2 + 0.05 * 2.5, 12), expect.closeTo(0.2 + 0.05 * 9.5, 12)]);
  // Of the ten newest steps, those that have mixed questions.
  expect(alarm.auc).toBe(0.5);
});

test("too_few_steps_or_no_verdicts_are_no_reason_for_an_alarm", () => {
  const series = Array.from({ length: 8 }, (_, i) => flat({ step: i + 1, auc: 0 }));
  expect(hackingAlarm(series.slice(0, 7))).toBeUndefined();
  expect(hackingAlarm(series)?.sign).toBe("unranked");
  expect(hackingAlarm(series.map((s) => ({ ...s, mixed: 2 })))).toBeUndefined();
  expect(hackingAlarm([])).toBeUndefined();
});

test("a_change_of_the_questions_is_no_fall_and_adds_the_noise_of_the_two_steps_that_bridge_it", () => {
  const series = (passRate: (i: number) => number, questions: (i: number) => string) =>
    Array.from({ length: 28 }, (_, i) =>
      flat({
        ...{ step: i + 1, passRate: passRate(i), questions: questions(i) },
        ...{ reward: 0.1 * i, rewardStd: 1e-6, auc: 0.7 },
      }),
    );
  const falling = (i: number) => (i < 21 ? 0.5 : 0.3);
  expect(hackingAlarm(series(falling, () => "q"))?.sign).toBe("parted");
  // Twelve bridges alone have √(2 · 12) · 0.05 = 0.24, as large as the fall.
  const changing = (i: number) => (i < 8 ? "q" : i < 20 ? `q${i}` : "r");
  expect(hackingAlarm(series(falling, changing))).toBeUndefined();
  // From 0.9 to 0.1 with the questions alone: they became harder.
  const harder = series(
    (i) => (i < 20 ? 0.9 : 0.1),
    (i) => (i < 20 ? "q" : "r"),
  );
  expect(hackingAlarm(harder)).toBeUndefined();
});

test("levels_depend_on_the_rewards_in_force_the_iteration_and_the_curriculum", () => {
  const config = grpoSchema.parse({
    init: { checkpoint: "none" },
    steps: 12,
    iterations: { count: 3, steps: 4 },
    rewards: [{ kind: "format", toStep: 6 }, { kind: "accuracy", fromStep: 10 }, { kind: "length" }],
    rollout: { maxTokens: 64 },
    curriculum: [{ fromStep: 3, maxTokens: 32 }],
  });
  const all = Array.from({ length: 12 }, (_, i) => settingsAt(config, i + 1));
  /** Steps at which a key differs from that of the step before. */
  const changes = (key: "rewards" | "questions") =>
    all.flatMap((at, i) => (i > 0 && at[key] !== all[i - 1]![key] ? [i + 1] : []));
  // Iterations begin at 5 and 9, the format ends behind 6, the rule begins at 10.
  expect(changes("rewards")).toEqual([5, 7, 9, 10]);
  expect(changes("questions")).toEqual([3]);
  expect(all.map(({ ruleToCome }) => ruleToCome)).toEqual(all.map((_, i) => i + 1 < 10));
});

test("a_reward_has_risen_by_three_standard_errors_of_the_noise_of_single_steps", () => {
  // Rewards alternate by ±1, so that successive ones differ by 2: a deviation of √2. The pass rate falls after 21 steps, when the reward
  // rises by `rise`: nine steps against nine, seven of which have it, differ by 7/9·rise − 2/9, and three errors are 3·√2·√(2/9) = 2.
  const risen = (rise: number) =>
    Array.from({ length: 28 }, (_, i) =>
      flat({
        ...{ step: i + 1, passRate: i < 21 ? 0.5 : 0.3, rewardStd: 1e-6, auc: 0.7 },
        reward: (i % 2 ? -1 : 1) + (i < 21 ? 0 : rise),
      }),
    );
  expect(hackingAlarm(risen(3.2))?.sign).toBe("parted");
  expect(hackingAlarm(risen(2.5))).toBeUndefined();
});

/** An output of question `group`, whose gold answer is 7. */
const output = (group: number, completion: string, total: number, parts: Record<string, number> = {}) =>
  ({
    asked: { id: `q${group}`, question: "3+4", answer: "7", answerForm: "number" },
    row: {
      id: `q${group}`,
      question: "3+4",
      answer: "7",
      completion: `<answer>${completion}</answer>`,
      reward: { total, parts },
    },
    rewards: { group },
  }) as unknown as Output;

test("figures_of_a_step_by_hand", () => {
  const outputs = [
    // Right 0.9 and 0.2 against wrong 0.5 and 0.2: of four pairs 2 are won, one is a tie, one lost.
    ...[output(1, "7", 0.9, { model: 3 }), output(1, "07", 0.2, { model: 1 })],
    ...[output(1, "8", 0.5, { model: 2 }), output(1, "no", 0.2, { model: 2 })],
    // Right −1 against wrong 2.
    ...[output(2, "7.0", -1, { model: 5 }), output(2, "6", 2, { model: 0 })],
    // All wrong: no ranks.
    ...[output(3, "1", 5), output(3, "2", 4)],
    output(3, "7", Number.NaN),
  ];
  const judged = judgedOutputs(outputs);
  const auc = (2.5 / 4 + 0) / 2;
  const metrics = verdictMetrics(judged);
  expect(metrics).toEqual({
    "verdict/outputs": 8,
    "verdict/pass_rate": 3 / 8,
    "verdict/mixed_questions": 2,
    "verdict/reward_right": expect.closeTo((0.9 + 0.2 - 1) / 3, 12),
    "verdict/reward_wrong": expect.closeTo((0.5 + 0.2 + 2 + 5 + 4) / 5, 12),
    "verdict/auc": expect.closeTo(auc, 12),
    "verdict/auc_std": expect.closeTo(auc, 12),
    // 3 and 1 against 2 and 2: half; 5 against 0: all.
    "verdict/auc_model": 0.75,
  });
  const pairs = disagreements(judged, 5).map(({ wrong, right }) => [
    ...[wrong, right].map((side) => side.output.row.completion.replace(/<.?answer>/g, "")),
  ]);
  expect(pairs).toEqual([
    ["6", "7.0"],
    ["8", "07"],
  ]);
  // The reward `accuracy` is the verdict, where there is one.
  expect(judgedOutputs([output(1, "8", 0, { accuracy: 1 })])[0]!.right).toBe(true);
  expect(verdictMetrics([])).toEqual({});
});

describe("runs of a tiny policy", () => {
  const root = mkdtempSync(join(tmpdir(), "nsa-hacking-"));
  afterAll(() => rmSync(root, { recursive: true, force: true }));
  let base: string;
  const { run } = grpoRuns(root, () => base);
  beforeAll(async () => {
    base = await makeBase(root);
  }, 120_000);
  const found = (texts: readonly string[]) => texts.filter((text) => text.includes("reward hacking"));
  const long = { evaluation: { questions: 4, samples: 2 }, checkpoint: { every: 10 } };

  test("a_reward_that_pays_length_is_warned_of_once_with_examples_also_by_a_resumed_run", async () => {
    const file = join(root, "long.ts");
    writeFileSync(file, "export default ({ tokens, maxTokens }) => tokens / maxTokens;\n");
    const set = { ...long, steps: 20, rewards: [{ kind: "custom", file }] };
    const whole = await run("length", set);
    const warned = found(warningsOf(whole.events));
    expect(warned).toHaveLength(1);
    expect(warned[0]).toMatch(/pass rate .* → .*Best-paid wrong outputs of this step: \d\.\d{3} for "/);
    const shown = [...warned[0]!.matchAll(/\d\.\d{3} for ("(?:[^"\\]|\\.)*…?") to/g)].map(([, text]) => text);
    expect(new Set(shown).size).toBe(shown.length);
    const metrics = stepMetrics(whole.events);
    expect(metrics.filter((m) => m["verdict/alarm"] === 1).length).toBeGreaterThan(1);
    expect(metrics.at(-1)!["reward/mean"]).toBeGreaterThan(metrics[0]!["reward/mean"]!);
    const rows = readJsonl<{ step: number; wrong: { reward: number }; right: { reward: number } }>(
      join(whole.dir, "disagreements.jsonl"),
    );
    expect(rows.length).toBeGreaterThan(3);
    for (const { wrong, right } of rows) expect(wrong.reward).toBeGreaterThan(right.reward);

    // Before the alarm, and while it lasts.
    const alarm = metrics.findIndex((m) => m["verdict/alarm"] === 1) + 1;
    for (const stopAt of [5, alarm + 1]) {
      const name = `length-${stopAt}`;
      const stopped = await run(name, set, { stopAt });
      const resumed = await run(name, set, { resumeFrom: stopped.result.outputs.checkpoint! });
      expect(found([...warningsOf(stopped.events), ...warningsOf(resumed.events)])).toEqual(warned);
      const text = (dir: string) => readFileSync(join(dir, "disagreements.jsonl"), "utf8");
      expect(text(resumed.dir)).toBe(text(whole.dir));
    }
  }, 240_000);

  test("the_rule_with_a_format_is_not_warned_of", async () => {
    const { events } = await run("rule", { ...long, steps: 24 });
    expect(found(warningsOf(events))).toEqual([]);
    const metrics = stepMetrics(events);
    for (const m of metrics) {
      expect(m["verdict/alarm"]).toBe(0);
      expect(m["verdict/pass_rate"]).toBe(m["reward/accuracy"]);
      expect(m["verdict/auc"] ?? 1).toBeGreaterThan(0.75);
    }
    expect(metrics.at(-1)!["reward/mean"]).toBeGreaterThan(metrics[0]!["reward/mean"]!);
  }, 240_000);
});

describe("rewards and lengths", () => {
  /** Outputs of questions: reward, tokens, and whether it is right. */
  const judgedOf = (groups: [reward: number, tokens: number, right: boolean][][]) =>
    groups.flatMap((group, i) =>
      group.map(([reward, tokens, right]) => {
        const row = { tokens, completion: "x".repeat(tokens % 7) };
        return { output: { row, rewards: { group: i } } as unknown as Output, reward, right };
      }),
    );

  test("rank_correlations_are_those_of_spearman", () => {
    // Ranks 0 1.5 1.5 3 and 1 0 2 3: Σ of products of distances from 1.5 is 0.75 + 0 + 0 + 2.25, Σ of squares 4.5 and 5.
    expect(rankCorrelation([1, 2, 2, 9], [5, 4, 6, 7])).toBeCloseTo(3 / Math.sqrt(4.5 * 5), 12);
    expect(rankCorrelation([1, 2, 3], [9, 5, 1])).toBeCloseTo(-1, 12);
    expect(rankCorrelation([1, 1, 1], [1, 2, 3])).toBeNaN();
  });

  test("only_questions_with_right_and_wrong_outputs_and_three_rewards_count", () => {
    const follows: [number, number, boolean][] = [
      [0.1, 1, false],
      [0.4, 4, true],
      [0.5, 5, false],
      [0.2, 2, true],
    ];
    const priced = [1, 2, 3].map((n): [number, number, boolean] => [1 - n / 100, n, true]);
    const twoVerdicts = [1, 2, 3].map((n): [number, number, boolean] => [n === 3 ? 1 : 0, n, n === 3]);
    expect(lengthFigures(judgedOf([follows, priced, twoVerdicts]))).toEqual({
      "verdict/length_correlation": 1,
      "verdict/length_questions": 1,
    });
    const rule: [number, number, boolean][] = [
      [1, 2, true],
      [0.1, 1, false],
      [1.1, 3, true],
      [0, 4, false],
    ];
    expect(lengthFigures(judgedOf([follows, rule]))["verdict/length_correlation"]).toBeCloseTo(
      (1 - 0.2) / 2,
      12,
    );
    expect(lengthFigures(judgedOf([priced]))).toEqual({
      "verdict/length_correlation": 0,
      "verdict/length_questions": 0,
    });
  });
});
