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
  expect(first.stderr).toMatch(/: 1\/1\n/);
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
