// `nsa data build` on a small planted pool: figures people can read, JSON for programs, reruns that redo nothing.
import { existsSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { nsa } from "./built.ts";

const dir = mkdtempSync(join(tmpdir(), "nsa-data-"));

const words = {
  math: "theorem proof integral matrix equation polynomial prime sum of squares over the field",
  prose: "the market opened late and people walked along the river talking about the weather",
};
/** Pages of a kind, no two alike. */
function pages(kind: keyof typeof words, from: number, to: number): string {
  const rows = Array.from({ length: to - from }, (_, i) => {
    const order = words[kind].split(" ").map((word, k) => `${word}${((from + i) * (k + 3)) % 7}`);
    const text = Array.from(
      { length: 6 },
      (_, s) => `${order.slice(s).join(" ")} ${words[kind]} ${from + i}.`,
    ).join(" ");
    return JSON.stringify({ id: `${kind}${from + i}`, url: `https://${kind}.example/${from + i}`, text });
  });
  return `${rows.join("\n")}\n`;
}

writeFileSync(join(dir, "good.jsonl"), pages("math", 0, 60));
writeFileSync(join(dir, "bad.jsonl"), pages("prose", 0, 60));
writeFileSync(join(dir, "pool.jsonl"), pages("math", 100, 120) + pages("prose", 100, 180));
writeFileSync(
  join(dir, "build.yaml"),
  `out_dir: ${dir}/out
inputs: [${dir}/pool.jsonl]
positives: [${dir}/good.jsonl]
negatives: [${dir}/bad.jsonl]
budget_tokens: 3000
executor: inline
fasttext: {dim: 8, bucket: 2000, word_ngrams: 1, min_count: 1, lr: 0.5, epoch: 10}
loop: {max_rounds: 2, auto_annotate: true}
`,
);
const build = (...more: string[]) => nsa(["data", "build", join(dir, "build.yaml"), ...more]);

test("a_build_prints_its_funnel_and_rounds_and_a_rerun_takes_what_is_there", () => {
  const first = build();
  expect(first.status, first.stderr).toBe(0);
  expect(first.stdout).toMatch(/ 100 documents/);
  expect(first.stdout).toMatch(/round 1: 100 % of the collected pages are new/);
  expect(existsSync(join(dir, "out/report.html"))).toBe(true);
  expect(first.stderr).toMatch(/score round-1: 1\/1, [\d.]+ MB\/s, \d+s\n/);
  expect(first.stderr).not.toContain("from before");

  const again = build("--json");
  expect(again.stderr).toContain("from before");
  const report = JSON.parse(again.stdout);
  expect(report.status).toBe("finished");
  expect(report.funnel[0].documents).toBe(100);
});

test("an_unknown_setting_is_answered_with_the_right_one", () => {
  const run = build("--set", "budget_tokns=1");
  expect(run.stderr).toContain("did you mean `budget_tokens`");
  expect(run.status).toBe(2);
});

test("steps_alone_say_what_they_did_and_pass_on_to_the_next", () => {
  const step = (name: string, ...more: string[]) =>
    nsa(["data", name, join(dir, "build.yaml"), "--set", `out_dir=${dir}/steps`, ...more]);
  const read = step("read", "--plain");
  expect(read.status, read.stderr).toBe(0);
  expect(read.stderr).toMatch(/read pool: 1\/1, [\d.]+ MB\/s, \d+s\n/);
  const rank = step("rank", "--json");
  expect(rank.status, rank.stderr).toBe(0);
  expect(rank.stderr).toContain("read pool: 1/1 (1 from before)");
  const report = JSON.parse(rank.stdout);
  expect(report.funnel.at(-1).step).toBe("ranked");
  expect(report.outputs.every(existsSync)).toBe(true);
  expect(step("domains").stdout).toContain("reports/domains.html");
  for (const name of ["dedup", "decontaminate", "filter"]) expect(step(name).status).toBe(0);
});

test("examples_are_packed_and_files_described", () => {
  const texts = Array.from({ length: 30 }, (_, i) => ({
    question: `What is ${i} + ${i}?`,
    answer: `${2 * i}`,
  }));
  const examples = join(dir, "examples.jsonl");
  writeFileSync(examples, texts.map((row) => JSON.stringify(row)).join("\n"));
  const tokenizer = join(dir, "tokenizer.json");
  const trained = nsa([
    "tokenizer",
    "train",
    join(dir, "good.jsonl"),
    "--vocab-size",
    "300",
    "--out",
    tokenizer,
  ]);
  expect(trained.status, trained.stderr).toBe(0);
  const words = ["--tokenizer", tokenizer, "--prompt", "Q: {question}\\nA:", "--completion", " {answer}"];
  const pack = (...more: string[]) =>
    nsa(["data", "pack", examples, "--out", join(dir, "packs"), "--length", "128", ...words, ...more]);
  const bfd = pack("--method", "bfd", "--json");
  expect(bfd.status, bfd.stderr).toBe(0);
  const index = JSON.parse(bfd.stdout);
  expect(index.examples).toBe(30);
  expect(index.fill).toBeGreaterThan(0.7);
  expect(existsSync(join(dir, "packs/report.html"))).toBe(true);
  const wrong = nsa(["data", "pack", examples, "--out", dir, ...words, "--prompt", "{nothing}"]);
  expect(wrong.status).toBe(3);
  const page = join(dir, "stats.html");
  const stats = (...more: string[]) =>
    nsa(["data", "stats", join(dir, "pool.jsonl"), "--report", page, ...more]);
  expect(JSON.parse(stats("--json").stdout).documents).toBe(100);
  expect(existsSync(page)).toBe(true);
  const plain = stats("--plain");
  expect(plain.stdout).toMatch(/^100 documents, \d+ bytes of text/);
  expect(plain.stdout).toContain("prose.example\t80 documents");
  expect(plain.stderr).toMatch(/1\/1 files, [\d.]+ MB\/s/);
});
