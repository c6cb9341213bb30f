// Pages of corpus work: what the figures say is on them, and what a page of the crawl says is escaped.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { atomicWriteFile } from "@nsa/core";
import {
  BuildConfig,
  buildCorpus,
  CORPUS_STEPS,
  runCorpusStep,
  type TokenIndex,
  writeCrawl,
} from "@nsa/data";
import { afterAll, beforeAll, expect, test } from "vitest";
import { corpusReportHtml } from "../src/report/corpus/build.ts";
import { writeOutputPage, writeStepPage } from "../src/report/corpus/write.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-corpus-report-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const outDir = join(root, "out");
let config: BuildConfig;
beforeAll(() => {
  const crawl = writeCrawl(join(root, "crawl"), { pages: 600, seed: 3, mathShare: 0.15 });
  config = BuildConfig.parse({
    outDir,
    inputs: [crawl.pool],
    positives: [crawl.positives],
    negatives: [crawl.negatives],
    labels: crawl.labels,
    decontaminate: { benchmarks: [crawl.benchmark] },
    executor: "inline",
    budgetTokens: 20_000,
    fasttext: { dim: 16, bucket: 20_000, lr: 0.5, epoch: 5, engine: "typescript" },
    loop: { autoAnnotate: true },
  });
});

test("the_html_report_shows_funnel_histogram_domains_and_escaped_samples", async () => {
  const report = await buildCorpus(config);
  writeOutputPage("data", { dir: outDir, report: join(outDir, "report.json") });
  const html = readFileSync(join(outDir, "report.html"), "utf8");
  for (const row of report.funnel) expect(html).toContain(`<td>${row.step}</td>`);
  expect(html.match(/<rect /g)!.length).toBe(50 * report.rounds.length);
  expect(html).toContain("campus.example/math/");
  expect(html.match(/class="kept"/g)!.length).toBe(10);
  expect(html.match(/class="dropped"/g)!.length).toBe(10);
  const shouting = { ...report, samples: [{ ...report.samples[0]!, excerpt: "<script>x</script>" }] };
  expect(corpusReportHtml(shouting)).toContain("&lt;script&gt;x&lt;/script&gt;");
});

test("each_step_has_a_page_of_what_it_decided", async () => {
  const pages = new Map<string, string>();
  for (const step of CORPUS_STEPS) {
    const report = await runCorpusStep(step, config);
    writeStepPage(outDir, report);
    const html = readFileSync(join(outDir, "reports", `${step}.html`), "utf8");
    for (const row of report.funnel) expect(html).toContain(`<td>${row.step}</td>`);
    pages.set(step, html);
  }
  expect(pages.get("decontaminate")).toContain("Contamination");
  for (const step of ["filter", "rank", "domains"])
    expect(pages.get(step)!.match(/<rect /g)!.length).toBe(50);
  expect(pages.get("filter")).toContain("average precision (labels)");
  expect(pages.get("rank")!.match(/class="kept"/g)!.length).toBe(10);
  expect(pages.get("domains")).toContain("campus.example/math/");
});

test("the_page_of_token_shards_has_their_figures_and_reasons", async () => {
  const index: TokenIndex = {
    ...({ format: 1, vocab_size: 300, tokenizer_hash: "abc" } as TokenIndex),
    documents: 1234,
    tokens: 5000,
    bytes: 17500,
    refused: 3,
    reasons: { not_json: 3 },
    length_histogram: [0, 2, 5],
    shards: [{ file: "00000-000.safetensors", documents: 1234, tokens: 5000 }],
  };
  atomicWriteFile(join(root, "index.json"), JSON.stringify(index));
  writeOutputPage("tokenize", { shards: root, index: join(root, "index.json") });
  const html = readFileSync(join(root, "report.html"), "utf8");
  expect(html).toContain('<td>documents</td><td class="n">1,234</td>');
  expect(html).toContain("<td>bytes a token</td><td>3.500</td>");
  expect(html).toContain('<td>not_json</td><td class="n">3</td>');
  // Bin i holds lengths of 2^i to 2^(i+1) − 1.
  expect(html).toContain('<td>2 to 3</td><td class="n">2</td>');
  expect(html).toContain('<td>4 to 7</td><td class="n">5</td>');
});
