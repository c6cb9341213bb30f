// The corpus loop end to end on generated pages.
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { BuildConfig, type BuildConfigInput, buildCorpus, generateCrawl, writeCrawl } from "../src/index.ts";
import { folderHashes } from "./folder.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-loop-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const crawl = writeCrawl(join(root, "crawl"), { pages: 600, seed: 3, mathShare: 0.15 });

function config(out: string, extra: Partial<BuildConfigInput> = {}): BuildConfig {
  return BuildConfig.parse({
    out_dir: join(root, out),
    inputs: [crawl.pool],
    positives: [crawl.positives],
    negatives: [crawl.negatives],
    labels: crawl.labels,
    decontaminate: { benchmarks: [crawl.benchmark] },
    executor: "inline",
    budget_tokens: 20_000,
    fasttext: { dim: 16, bucket: 20_000, lr: 0.5, epoch: 5, engine: "typescript" },
    loop: { auto_annotate: true },
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
  const pages = [...generateCrawl({ pages: 600, seed: 3, mathShare: 0.15 })];
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
  const manual = config("manual", { loop: { auto_annotate: false } });
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
