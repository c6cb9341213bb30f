// What the report of a run of `nsa grpo` shows: its warnings, golds that nobody can read, the parts of rewards and the greedy figure,
// each against what the run's own files and a calculation by hand give.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Metrics, readJsonl } from "@nsa/core";
import { escapeHtml } from "@nsa/report";
import { afterAll, beforeAll, expect, test } from "vitest";
import { makeBase } from "../../rl/test/grpo-fixture.ts";
import { figure } from "../src/view/format.ts";
import { nsa } from "./built.ts";

const dir = mkdtempSync(join(tmpdir(), "nsa-run-report-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

interface Sample {
  step: number;
  question: string;
  completion: string;
  answer: string;
  reward: number;
  parts: Record<string, number>;
}

let [html, screen] = ["", ""];
let samples: Sample[] = [];
let evaluations: Metrics[] = [];

beforeAll(async () => {
  const checkpoint = await makeBase(dir);
  const problems = Array.from({ length: 42 }, (_, i) => {
    const [a, b] = [(i * 3) % 10, (i * 7 + Math.floor(i / 10)) % 9];
    return { question: `${a}+${b}`, answer: String(a + b) };
  });
  // Two golds that hold no value.
  problems.splice(4, 0, { question: "2+6", answer: "eight (or 8) of them" });
  problems.push({ question: "1+8", answer: "(9" });
  const file = join(dir, "sums.jsonl");
  writeFileSync(file, problems.map((p) => `${JSON.stringify(p)}\n`).join(""));
  const reward = join(dir, "short.mjs");
  writeFileSync(reward, "export default ({ completion }) => 1 / (2 + completion.length);\n");
  const recipe = {
    steps: 4,
    init: { checkpoint },
    task: { file, template: "{question}=" },
    rollout: { questions_per_step: 4, group_size: 8, max_tokens: 24 },
    rewards: [
      { kind: "accuracy", weight: 2 },
      { kind: "custom", weight: 0.5, file: reward },
    ],
    train: { optimizer: { lr: 0 }, schedule: { kind: "constant" } },
    evaluation: { questions: 8, samples: 4 },
  };
  writeFileSync(join(dir, "grpo.yaml"), JSON.stringify(recipe));
  const runs = join(dir, "runs");
  const { status, stdout, stderr } = nsa(["grpo", join(dir, "grpo.yaml"), "--runs", runs, "--device", "cpu"]);
  expect([status, stderr]).toEqual([0, expect.any(String)]);
  const out = join(runs, readdirSync(runs).find((name) => name.startsWith("grpo-"))!);
  screen = stdout + stderr;
  html = readFileSync(join(out, "report.html"), "utf8");
  samples = readJsonl<Sample>(join(out, "samples.jsonl"));
  evaluations = readJsonl<Metrics>(join(out, "metrics.jsonl")).filter((row) => "eval/pass_at_1" in row);
}, 120_000);

test("its_warnings_are_in_the_report_in_their_order_and_on_the_screen", () => {
  const listed = /<h2>Warnings<\/h2><ul>(.*?)<\/ul>/s.exec(html)![1]!;
  const items = [...listed.matchAll(/<li>(.*?)<\/li>/gs)].map(([, text]) => text!);
  // Golds that nobody can read are counted before the first step, and the first one is named.
  const left = 'are left out; the first is file-4: the gold answer "eight (or 8) of them": the word "eight"';
  expect(items[0]).toBe(escapeHtml(`2 of 44 problems of ${join(dir, "sums.jsonl")} ${left}`));
  expect(items[1]).toBe("step 3: no update: the policy has not changed in 3 steps: train.optimizer.lr is 0");
  for (const text of items) expect(escapeHtml(screen)).toContain(`warning: ${text}\n`);
  expect(screen.match(/^warning: /gm)).toHaveLength(items.length);
});

test("each_sample_has_its_gold_and_the_parts_of_its_reward", () => {
  expect(samples).toHaveLength(4 * 4 * 8);
  const rows = [...html.matchAll(/<tr><td>\d+<\/td><td><pre>.*?<\/tr>/gs)].map(([row]) => row);
  // The first ten outputs and the last thirty.
  expect(rows).toHaveLength(40);
  let formed = 0;
  for (const [i, { step, question, completion, reward, parts }] of samples.entries()) {
    const [a, b] = question.split("+").map(Number) as [number, number];
    const given = /^ <think>[^<]*<\/think> <answer> (\d+) <\/answer>$/.exec(completion)?.[1];
    const right = parts.accuracy!;
    if (given) expect(right).toBe(given === String(a + b) ? 1 : 0);
    formed += given ? 1 : 0;
    const short = 1 / (2 + completion.length);
    expect(reward, completion).toBeCloseTo(2 * right + 0.5 * short, 12);
    const row = i < 10 ? rows[i] : rows[i - (samples.length - 40)];
    if (i >= 10 && i < samples.length - 30) continue;
    expect(row).toBe(
      `<tr><td>${step}</td><td><pre>${question}</pre></td><td><pre>${escapeHtml(completion)}</pre></td><td>${a + b}</td><td>${figure(reward)}</td><td>accuracy ${right}, custom ${figure(short)}</td></tr>`,
    );
  }
  expect(formed).toBeGreaterThan(20);
  expect(new Set(samples.map(({ parts }) => parts.accuracy))).toEqual(new Set([0, 1]));
});

test("the_greedy_figure_stands_beside_the_sampled_one", () => {
  const [first, last] = [evaluations[0]!, evaluations.at(-1)!];
  expect([first.step, last.step]).toEqual([0, 4]);
  const change = (key: string) => `${first[key]!.toFixed(3)} → ${last[key]!.toFixed(3)}`;
  expect(html).toContain(
    `step 0 to 4: pass@1 ${change("eval/pass_at_1")}, greedy pass@1 ${change("eval/greedy_pass_at_1")}, maj@4`,
  );
  expect(last["eval/pass_at_1"]).toBeGreaterThan(0);
  expect(last["eval/greedy_pass_at_1"]).not.toBe(last["eval/pass_at_1"]);
});
