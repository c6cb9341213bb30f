// How much of the ranking is collected: budgets in tokens, several within one ranking, a cut by precision, and limits that bind
// nothing.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Rng } from "@nsa/core";
import { afterAll, expect, test } from "vitest";
import { idleLimits, warnOfPool } from "../src/corpus/loop/limits.ts";
import { cutForPrecision } from "../src/corpus/loop/measure.ts";
import { scoresByKind } from "../src/corpus/loop/metrics.ts";
import type { RankStats } from "../src/corpus/steps/rank.ts";
import {
  BuildConfig,
  type BuildConfigInput,
  buildCorpus,
  runCorpusStep,
  TASKS,
  Tokenizer,
  trainBpe,
  writeCrawl,
} from "../src/index.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-budgets-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** Ranks two shards of pages given as [score, tokens, bytes] each. */
async function rank(shards: [number, number, number][][], settings: object) {
  const path = (name: string, i: number) => join(root, `${name}-${i}`);
  shards.forEach((pages, s) => {
    writeFileSync(path("scores", s), Buffer.from(Float32Array.from(pages, ([score]) => score).buffer));
    const rows = Buffer.alloc(16 * pages.length);
    pages.forEach(([, tokens, bytes], i) => {
      rows.writeUInt32LE(bytes, 16 * i + 8);
      rows.writeUInt32LE(tokens, 16 * i + 12);
    });
    writeFileSync(path("rows", s), rows);
  });
  const each = (name: string) => shards.map((_, s) => path(name, s));
  const spec = { minScore: 0, outputShardBytes: 1e9, shards: shards.length, previous: false, ...settings };
  const io = {
    spec,
    inputs: [...each("scores"), ...each("rows")],
    outputs: [join(root, "order"), ...each("out")],
  };
  return (await TASKS.rank!(io)) as unknown as RankStats;
}

test("budgets_within_one_ranking_end_where_each_alone_would", async () => {
  // By rank: 10, 20, 30, 40, 50 tokens.
  const pages: [number, number, number][][] = [
    [
      [0.9, 10, 100],
      [0.5, 50, 100],
      [0.75, 30, 100],
    ],
    [
      [0.625, 40, 100],
      [0.875, 20, 100],
    ],
  ];
  const stats = await rank(pages, { budgetTokens: 120, nested: [9, 10, 59, 60, 61] });
  expect(stats).toMatchObject({ collected: 4, collected_tokens: 100, shard_starts: [0, 1, 2, 3, 4] });
  expect(stats.budgets).toEqual([
    { budget: 9, documents: 0, tokens: 0, threshold: 1, files: 0 },
    { budget: 10, documents: 1, tokens: 10, threshold: expect.closeTo(0.9, 6), files: 1 },
    { budget: 59, documents: 2, tokens: 30, threshold: 0.875, files: 2 },
    { budget: 60, documents: 3, tokens: 60, threshold: 0.75, files: 3 },
    { budget: 61, documents: 3, tokens: 60, threshold: 0.75, files: 3 },
  ]);
  // The scores' cut holds for them, too.
  const cut = await rank(pages, { budgetTokens: 120, nested: [60], minScore: 0.8 });
  expect(cut).toMatchObject({ collected: 2, budgets: [{ budget: 60, documents: 2, tokens: 30 }] });
  expect((await rank(pages, { budgetTokens: 120 })).budgets).toBeUndefined();
});

test("many_rankings_with_many_budgets_agree_with_one_budget_at_a_time", async () => {
  const rng = new Rng(3, 5);
  let checked = 0;
  for (let n = 0; n < 20; n++) {
    let at = 0;
    const draw = (most: number) => 1 + Math.floor(rng.uniform(n, at++) * most);
    const shards = Array.from({ length: draw(3) }, () =>
      Array.from({ length: draw(40) }, (): [number, number, number] => [draw(20) / 20, draw(50), draw(500)]),
    );
    const nested = [...new Set(Array.from({ length: 6 }, () => draw(1500)))].sort((a, b) => a - b);
    const settings = { outputShardBytes: 1000 };
    const all = await rank(shards, { ...settings, budgetTokens: 2000, nested });
    for (const row of all.budgets!) {
      const alone = await rank(shards, { ...settings, budgetTokens: row.budget });
      expect([row.documents, row.tokens, row.threshold]).toEqual([
        alone.collected,
        alone.collected_tokens,
        alone.threshold,
      ]);
      // Its pages are whole files from the first on.
      expect(all.shard_starts[row.files]).toBe(row.documents);
      checked++;
    }
    expect(all.shard_starts).toEqual([...new Set(all.shard_starts)].sort((a, b) => a - b));
    expect(all.shard_starts.at(-1)).toBe(all.collected);
  }
  expect(checked).toBeGreaterThan(50);
});

test.each([
  // Wanted by falling score: yes, yes, no, yes, no, no.
  [1, { score: 0.8, pages: 2, wanted: 2 }],
  [0.76, { score: 0.8, pages: 2, wanted: 2 }],
  [0.75, { score: 0.6, pages: 4, wanted: 3 }],
  [0.6, { score: 0.5, pages: 5, wanted: 3 }],
  [0.5, { score: 0.4, pages: 6, wanted: 3 }],
])("for_a_precision_of_%f_the_cut_is_%j", (target, cut) => {
  // In the order of the file, not of the ranking.
  const scores = [0.5, 0.9, 0.6, 0.4, 0.8, 0.7];
  const wanted = [false, true, true, false, true, false];
  expect(cutForPrecision(scores, wanted, target)).toEqual(cut);
});

test("pages_of_one_score_are_on_one_side_of_a_cut", () => {
  expect(cutForPrecision([0.9, 0.9, 0.2], [true, false, true], 0.9)).toBeUndefined();
  expect(cutForPrecision([0.9, 0.9, 0.2], [false, true, true], 0.5)).toEqual({
    score: 0.2,
    pages: 3,
    wanted: 2,
  });
  expect(cutForPrecision([0.5], [false], 0.1)).toBeUndefined();
  expect(cutForPrecision([0.5], [true], 1)).toEqual({ score: 0.5, pages: 1, wanted: 1 });
});

test("scores_are_reported_by_kind_of_page", () => {
  // By falling score: a+ b- a+ c- b+ a+ c- a-, where + is wanted.
  const scores = [0.95, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.1];
  const kinds = ["a", "b", "a", "c", "b", "a", "c", "a"];
  const wanted = [true, false, true, false, true, true, false, false];
  const turned = [3, 1, 7, 0, 5, 2, 6, 4];
  const pick = <T>(list: T[]) => turned.map((i) => list[i]!);
  expect(scoresByKind(pick(scores), pick(wanted), pick(kinds))).toEqual([
    // a+ at 1, 3 and 5 of a+ b- a+ c- a+ c- a-.
    {
      kind: "a",
      wanted: true,
      documents: 3,
      median: 0.8,
      overHalf: 1,
      averagePrecision: (1 + 2 / 3 + 3 / 5) / 3,
    },
    // b+ third of b- c- b+ c- a-.
    { kind: "b", wanted: true, documents: 1, median: 0.6, overHalf: 1, averagePrecision: 1 / 3 },
    { kind: "a", wanted: false, documents: 1, median: 0.1, overHalf: 0 },
    { kind: "b", wanted: false, documents: 1, median: 0.9, overHalf: 1 },
    { kind: "c", wanted: false, documents: 2, median: 0.4, overHalf: 0.5 },
  ]);
});

test("kinds_of_a_labels_file_are_in_the_report", async () => {
  const labels = join(root, "kinds.jsonl");
  const rows = readFileSync(crawl.labels, "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { id: string; label: string });
  writeFileSync(
    labels,
    rows.map((row, i) => JSON.stringify({ ...row, kind: i % 2 === 0 ? "even" : "odd" })).join("\n"),
  );
  const { rounds } = await buildCorpus(config("kinds", { labels }));
  const { kinds, documents, positives } = rounds[0]!.quality!;
  expect(kinds!.map(({ kind, wanted }) => [kind, wanted])).toEqual([
    ["even", true],
    ["odd", true],
    ["even", false],
    ["odd", false],
  ]);
  const count = (rows: typeof kinds) => rows!.reduce((n, row) => n + row.documents, 0);
  expect(count(kinds)).toBe(documents);
  expect(count(kinds!.filter(({ wanted }) => wanted))).toBe(positives);
});

const crawl = writeCrawl(join(root, "crawl"), { pages: 400, seed: 3, mathShare: 0.15 });
function config(out: string, extra: Partial<BuildConfigInput> = {}): BuildConfig {
  return BuildConfig.parse({
    outDir: join(root, out),
    inputs: [crawl.pool],
    positives: [crawl.positives],
    negatives: [crawl.negatives],
    executor: "inline",
    budgetTokens: 12_000,
    fasttext: { dim: 16, bucket: 20_000, lr: 0.5, epoch: 5, engine: "typescript" },
    loop: { autoAnnotate: true, maxRounds: 1 },
    ...extra,
  });
}
const ranked = (out: string, files: readonly string[]) =>
  files.flatMap((file) =>
    readFileSync(join(root, out, file), "utf8")
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as { id: string; text: string; score: number }),
  );

test("a_tokenizer_counts_the_tokens_of_budgets", async () => {
  const sample = readFileSync(crawl.positives, "utf8").slice(0, 50_000);
  const tokenizer = join(root, "tokenizer.json");
  writeFileSync(
    tokenizer,
    JSON.stringify(
      trainBpe([sample], { vocabSize: 400, preTokenizer: "digits", specialTokens: ["<|end|>"] }),
    ),
  );
  const report = await buildCorpus(config("counted", { tokenizer, nestedBudgets: [3000, 6000] }));
  const counter = Tokenizer.load(tokenizer);
  const count = (pages: readonly { text: string }[]) =>
    pages.reduce((n, { text }) => n + counter.encode(text, { plain: true, inner: true }).length, 0);
  const pages = ranked("counted", report.outputs);
  const { rank: stats } = report.rounds[0]!;
  expect(stats.collected_tokens).toBe(count(pages));
  expect(stats.collected_tokens).toBeLessThanOrEqual(12_000);
  for (const { budget, documents, tokens, files } of stats.budgets!) {
    const first = ranked("counted", report.outputs.slice(0, files));
    expect(first).toHaveLength(documents);
    expect(tokens).toBe(count(first));
    // One page more is over it.
    expect(tokens).toBeLessThanOrEqual(budget);
    expect(tokens + count([pages[documents]!])).toBeGreaterThan(budget);
  }
  // Bytes over four are another figure.
  const bytes = await buildCorpus(config("bytes"));
  expect(bytes.rounds[0]!.rank.tokens).not.toBe(stats.tokens);
  // Another tokenizer counts anew in the same folder, and a folder with a tokenizer is as good as its file.
  writeFileSync(
    tokenizer,
    JSON.stringify(
      trainBpe([sample], { vocabSize: 300, preTokenizer: "digits", specialTokens: ["<|end|>"] }),
    ),
  );
  const other = await buildCorpus(config("counted", { tokenizer: root }));
  expect(other.rounds[0]!.rank.tokens).toBeGreaterThan(stats.tokens);
});

test("a_round_collects_down_to_the_score_of_a_wanted_precision", async () => {
  const settings = { labels: crawl.labels, budgetTokens: 1_000_000, minPrecision: 0.9 };
  const report = await buildCorpus(config("precise", settings));
  const labels = new Map(
    readFileSync(crawl.labels, "utf8")
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { id: string; label: string })
      .map(({ id, label }) => [id, label === "math"]),
  );
  const pages = ranked("precise", report.outputs);
  const { cut, rank: stats } = report.rounds[0]!;
  expect(stats.threshold).toBe(cut!.score);
  expect(pages).toHaveLength(cut!.pages);
  const right = pages.filter(({ id }) => labels.get(id)).length;
  expect(right).toBe(cut!.wanted);
  expect(right / pages.length).toBeGreaterThanOrEqual(0.9);
  expect(pages.length).toBeGreaterThan(20);
  // A min_score that is higher stays.
  const step = await runCorpusStep("rank", config("precise", { ...settings, minScore: 0.999 }));
  expect(step.threshold).toBeGreaterThanOrEqual(0.999);
});

test("limits_that_contradict_each_other_or_cannot_be_met_are_errors_before_any_work", async () => {
  const refused = { code: "limits_bad", exitCode: 2 };
  await expect(buildCorpus(config("never", { nestedBudgets: [5, 12_000] }))).rejects.toMatchObject(refused);
  await expect(buildCorpus(config("never", { minPrecision: 0.9 }))).rejects.toMatchObject(refused);
  await expect(runCorpusStep("read", config("never", { minPrecision: 0.9 }))).rejects.toMatchObject(refused);
  expect(existsSync(join(root, "never"))).toBe(false);
  expect(() => config("never", { nestedBudgets: [5, 5] })).toThrow(/do not rise/);
  const none = join(root, "none.jsonl");
  writeFileSync(none, readFileSync(crawl.labels, "utf8").replaceAll('"math"', '"x"'));
  await expect(buildCorpus(config("unmet", { labels: none, minPrecision: 0.5 }))).rejects.toMatchObject({
    code: "precision_not_reached",
    exitCode: 3,
  });
});

test("limits_that_bind_nothing_are_named_before_the_rounds_and_in_the_report", async () => {
  const early: string[] = [];
  const all = config("all", { budgetTokens: 10_000_000, nestedBudgets: [2000, 9_000_000] });
  const report = await buildCorpus(all, { onWarning: (text) => early.push(text) });
  expect(early).toEqual([
    expect.stringMatching(/^budget_tokens \(10000000\) is not below the pool's \d+ tokens/),
  ]);
  expect(report.warnings).toEqual([
    expect.stringMatching(/^budget_tokens \(10000000\) and min_score \(0\) bind nothing/),
    expect.stringMatching(/^nested budgets that hold all \d+ collected pages .*: 9000000$/),
  ]);
  early.length = 0;
  const some = await buildCorpus(config("some", { nestedBudgets: [2000] }), {
    onWarning: (text) => early.push(text),
  });
  expect([early, some.warnings]).toEqual([[], []]);
});

test.each([
  [{ budgetTokens: 100 }, 99, true],
  [{ budgetTokens: 100 }, 100, true],
  [{ budgetTokens: 100 }, 101, false],
  [{ budgetTokens: 100, minScore: 0.5 }, 50, false],
  [{ budgetTokens: 100, minPrecision: 0.5 }, 50, false],
])("a_pool_for_%j_of_%i_tokens_is_warned_of: %s", (limits, tokens, warned) => {
  const given = { nestedBudgets: [], minScore: 0, minPrecision: 0, labels: undefined, ...limits };
  expect(warnOfPool(given, tokens) !== undefined).toBe(warned);
});

test("a_precision_that_binds_nothing_is_named_with_the_others", () => {
  const given = { budgetTokens: 9, nestedBudgets: [], minScore: 0.1, minPrecision: 0.5, labels: "x" };
  const rounds = [{ rank: { documents: 3, collected: 3, tokens: 8, collected_tokens: 8 } }] as never;
  expect(idleLimits(given, rounds)[0]).toMatch(
    /^budget_tokens \(9\), min_score \(0.1\) and min_precision \(0.5\) bind nothing/,
  );
});
