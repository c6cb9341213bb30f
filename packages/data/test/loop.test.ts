// The corpus loop end to end on synthetic pages.
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { needs } from "../../core/test/needs.ts";
import { sharedData } from "../../core/test/shared-data.ts";
import {
  BuildConfig,
  type BuildConfigInput,
  buildCorpus,
  CORPUS_STEPS,
  corpusStats,
  hasNative,
  runCorpusStep,
  syntheticCrawl,
  writeCrawl,
} from "../src/index.ts";
import { folderHashes } from "./folder.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-loop-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const crawl = writeCrawl(join(root, "crawl"), { pages: 600, seed: 3, mathShare: 0.15 });

function config(out: string, extra: Partial<BuildConfigInput> = {}): BuildConfig {
  return BuildConfig.parse({
    outDir: join(root, out),
    inputs: [crawl.pool],
    positives: [crawl.positives],
    negatives: [crawl.negatives],
    labels: crawl.labels,
    decontaminate: { benchmarks: [crawl.benchmark] },
    executor: "inline",
    budgetTokens: 20_000,
    fasttext: { dim: 16, bucket: 20_000, lr: 0.5, epoch: 5, engine: "typescript" },
    loop: { autoAnnotate: true },
    ...extra,
  });
}

test("math_pages_rank_first_and_the_mixed_domain_is_split_by_path", async () => {
  const report = await buildCorpus(config("a"));
  const last = report.rounds.at(-1)!;
  expect(report.status).toBe("finished");
  expect(last.quality!.averagePrecision).toBeGreaterThan(0.97);
  const mixed = last.paths.filter((p) => p.domain === "campus.example");
  expect(mixed.find((p) => p.path === "/math/")?.accept).toBe(true);
  expect(mixed.filter((p) => p.accept).map((p) => p.path)).toEqual(["/math/"]);
  const rows = readFileSync(join(root, "a", report.outputs[0]!), "utf8")
    .trim()
    .split("\n");
  const scores = rows.map((row) => JSON.parse(row).score as number);
  expect(scores).toEqual([...scores].sort((a, b) => b - a));
  expect(report.funnel.at(-1)!.tokens!).toBeLessThanOrEqual(20_000);
});

test("planted_duplicates_and_the_benchmark_leak_are_dropped", async () => {
  const pages = [...syntheticCrawl({ pages: 600, seed: 3, mathShare: 0.15 })];
  const copies = pages.filter((p) => p.duplicateOf).length;
  const { funnel, contamination } = await buildCorpus(config("a"));
  const step = (name: string) => funnel.find((row) => row.step === name)!;
  const { dropped_url, dropped_exact, dropped_near } = step("deduplicated").detail!;
  expect(dropped_url).toBe(0);
  expect(dropped_exact).toBeGreaterThanOrEqual(5);
  expect(dropped_exact! + dropped_near!).toBeGreaterThanOrEqual(copies - 1);
  expect(dropped_exact! + dropped_near!).toBeLessThanOrEqual(copies + 2);
  expect(contamination.pages).toBe(1);
  expect(contamination.examples[0]!.item).toBe(pages.find((p) => p.leaks)!.leaks);
  expect(step("decontaminated").detail!.contaminated).toBe(1);
});

test("a_rerun_redoes_only_what_is_missing_and_gives_the_same_bytes", async () => {
  await buildCorpus(config("a"));
  const before = folderHashes(join(root, "a"));
  rmSync(join(root, "a", "ranked"), { recursive: true });
  rmSync(join(root, "a", "round-1", "score"), { recursive: true });
  const redone: string[] = [];
  await buildCorpus(config("a"), {
    onProgress: ({ stage, total, skipped }) => {
      if (skipped < total && !redone.includes(stage)) redone.push(stage);
    },
  });
  expect(redone).toEqual(["score round-1", "emit"]);
  expect(folderHashes(join(root, "a"))).toEqual(before);
});

test("without_auto_annotate_it_waits_and_an_edited_file_decides_the_next_round", async () => {
  const manual = config("manual", { loop: { autoAnnotate: false } });
  const first = await buildCorpus(manual);
  expect(first.status).toBe("annotation_needed");
  expect(existsSync(first.annotationFile!)).toBe(true);
  const edited = readFileSync(first.annotationFile!, "utf8").replaceAll("accept: true", "accept: false");
  writeFileSync(first.annotationFile!, edited);
  const second = await buildCorpus(manual);
  expect(second.rounds.length).toBe(2);
  expect(second.rounds[1]!.train.added_positives).toBe(0);
  expect(readFileSync(first.annotationFile!, "utf8")).toBe(edited);
});

test("labels_that_fit_no_document_are_an_error", async () => {
  cpSync(crawl.labels, join(root, "other.jsonl"));
  writeFileSync(join(root, "other.jsonl"), '{"id":"nobody","label":"math"}\n');
  await expect(buildCorpus(config("a", { labels: join(root, "other.jsonl") }))).rejects.toMatchObject({
    code: "labels_do_not_fit",
    exitCode: 3,
  });
});

test("steps_alone_stop_where_they_say_and_build_takes_up_their_work", async () => {
  const alone = config("steps");
  const read = await runCorpusStep("read", alone);
  expect(read.funnel.map((row) => row.step)).toEqual(["records", "read"]);
  expect(read.outputs.every(existsSync)).toBe(true);
  expect(existsSync(join(root, "steps", "dedup"))).toBe(false);
  const dedup = await runCorpusStep("dedup", alone);
  expect(dedup.figures.dropped_exact).toBeGreaterThan(0);
  const filter = await runCorpusStep("filter", alone);
  expect(filter.outputs.length).toBe(1);
  const domains = await runCorpusStep("domains", alone);
  expect(domains.domains!.proposedDomains).toContain("mathnotes.example");
  const rank = await runCorpusStep("rank", alone);
  expect(rank.outputs.every(existsSync)).toBe(true);
  await buildCorpus(alone);
  await buildCorpus(config("a"));
  expect(folderHashes(join(root, "steps"), /^\/reports\//)).toEqual(folderHashes(join(root, "a")));
});

test("each_step_reports_what_it_decided", async () => {
  const small = config("step-reports");
  for (const step of CORPUS_STEPS) {
    const report = await runCorpusStep(step, small);
    expect(JSON.parse(readFileSync(join(root, "step-reports", "reports", `${step}.json`), "utf8"))).toEqual(
      JSON.parse(JSON.stringify(report)),
    );
  }
});

test("a_smaller_budget_leaves_no_ranked_file_of_the_larger_one", async () => {
  const many = config("shrink", { outputShardBytes: 4096 });
  const before = (await runCorpusStep("rank", many)).outputs;
  const after = (await runCorpusStep("rank", { ...many, budgetTokens: 4000 })).outputs;
  expect(after.length).toBeLessThan(before.length);
  expect(readdirSync(join(root, "shrink", "ranked")).length).toBe(after.length);
});

test("a_given_model_ranks_without_seeds", async () => {
  await buildCorpus(config("a"));
  const report = await buildCorpus(
    config("given", {
      positives: [],
      negatives: [],
      model: join(root, "a", "round-1", "model.bin"),
      loop: { maxRounds: 1 },
    }),
  );
  expect(report.rounds[0]!.quality!.averagePrecision).toBeGreaterThan(0.97);
  await expect(buildCorpus(config("none", { positives: [] }))).rejects.toMatchObject({
    code: "seeds_missing",
    exitCode: 2,
  });
});

test("too_many_unreadable_records_stop_the_run_and_are_all_in_quarantine", async () => {
  const path = join(root, "bad.jsonl");
  const good = '{"id":"a","url":"https://a.org/","text":"words"}';
  writeFileSync(path, `${good}\n${"broken\n".repeat(3)}`);
  await expect(buildCorpus(config("bad", { inputs: [path] }))).rejects.toMatchObject({
    code: "too_many_refused",
    exitCode: 3,
  });
  const quarantine = readFileSync(join(root, "bad", "quarantine.jsonl"), "utf8")
    .trim()
    .split("\n");
  expect(quarantine.map((row) => JSON.parse(row).reason)).toEqual(["not_json", "not_json", "not_json"]);
});

test("an_empty_pool_missing_inputs_and_a_wrong_model_are_clear_errors", async () => {
  writeFileSync(join(root, "empty.jsonl"), "");
  await expect(buildCorpus(config("empty", { inputs: [join(root, "empty.jsonl")] }))).rejects.toMatchObject({
    code: "nothing_to_rank",
    exitCode: 3,
  });
  await expect(buildCorpus(config("absent", { inputs: [join(root, "no-*.jsonl")] }))).rejects.toMatchObject({
    code: "input_missing",
    exitCode: 3,
  });
  writeFileSync(join(root, "wrong.bin"), Buffer.alloc(64, 7));
  await expect(
    buildCorpus(config("wrong", { model: join(root, "wrong.bin"), loop: { maxRounds: 1 } })),
  ).rejects.toMatchObject({ code: "fasttext_model_bad", exitCode: 3 });
});

test("a_repeated_id_keeps_its_record_under_a_name_of_its_own", async () => {
  const path = join(root, "twice.jsonl");
  writeFileSync(
    path,
    ["one", "two"].map((text) => `{"id":"x","text":"${text} ${"word ".repeat(30)}"}\n`).join(""),
  );
  const { outputs } = await runCorpusStep("read", config("twice", { inputs: [path] }));
  const ids = readFileSync(outputs[0]!, "utf8")
    .trim()
    .split("\n")
    .map((row) => JSON.parse(row).id as string);
  expect(ids[0]).toBe("x");
  expect(ids[1]).toMatch(/^x#twice\.jsonl:\d+$/);
});

test("statistics_count_documents_tokens_and_domains", async () => {
  const stats = await corpusStats([crawl.pool]);
  expect(stats.documents).toBe(600);
  expect(stats.tokens).toBeGreaterThan(stats.bytes / 4 - 600);
  expect(stats.topDomains.reduce((n, d) => n + d.documents, 0)).toBe(600);
  expect(stats.lengthHistogram.reduce((n, x) => n + x, 0)).toBe(600);
});

const hasReal = existsSync(join(sharedData, "mixed-pool"));
needs(hasReal && hasNative(), "no shared data ($NSA_DATA), or no native scorer")(
  "on_real_pages_the_loop_finds_the_unseen_math_domains",
  async () => {
    const report = await buildCorpus(
      config("real", {
        inputs: [join(sharedData, "mixed-pool/pool.jsonl.gz")],
        positives: [join(sharedData, "math-pages/pages.jsonl.gz")],
        negatives: [join(sharedData, "nonmath-pages/pages.jsonl.gz")],
        labels: join(sharedData, "mixed-pool/labels.jsonl.gz"),
        decontaminate: { benchmarks: [] },
        budgetTokens: 250_000,
        fasttext: { dim: 32, bucket: 200_000, lr: 0.5, epoch: 10, wordNgrams: 2, engine: "native" },
      }),
    );
    const last = report.rounds.at(-1)!;
    expect(last.quality!.averagePrecision).toBeGreaterThanOrEqual(0.975);
    expect(last.quality!.rPrecision).toBeGreaterThanOrEqual(0.94);
    const unseen = ["builds.openlogicproject.org", "cp-algorithms.com", "mpmath.org", "flintlib.org"];
    expect(unseen.filter((d) => last.proposedDomains.includes(d)).length).toBeGreaterThanOrEqual(3);
    const mixed = last.paths.filter((p) => p.domain === "openstax.org" && p.accept).map((p) => p.path);
    expect(mixed).toContain("/books/contemporary-mathematics/");
    expect(mixed.some((p) => /history|economics|microbiology|psychology|astronomy/.test(p))).toBe(false);
  },
  600_000,
);
