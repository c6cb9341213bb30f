// --profile, --tune and train.max_seconds: what they write, and that a profiled run learns what any other does.
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { StepProfile } from "@nsa/train";
import { expect, test } from "vitest";
import { nsa } from "./built.ts";
import { tinyPretrain } from "./tiny.ts";

const dir = mkdtempSync(join(tmpdir(), "nsa-profile-"));
const recipe = join(dir, "tiny.yaml");
writeFileSync(recipe, tinyPretrain);

function run(...options: string[]) {
  const runs = mkdtempSync(join(dir, "runs-"));
  const done = nsa(["pretrain", recipe, "--runs", runs, "--device", "cpu", "--plain", ...options]);
  expect(done.status, done.stderr).toBe(0);
  const folder = join(runs, readdirSync(runs)[0]!);
  const weights = readFileSync(join(folder, "checkpoints/step-000003/model.safetensors"));
  return { folder, weights, stdout: done.stdout };
}

test("a_profile_says_where_the_time_went_and_changes_no_bit", () => {
  const plain = run();
  const profiled = run("--profile");
  expect(profiled.weights.equals(plain.weights)).toBe(true);
  const profile: StepProfile = JSON.parse(readFileSync(join(profiled.folder, "profile.json"), "utf8"));
  expect(profile.step).toBe(3);
  expect(profile.ceiling_tflops).toBeGreaterThan(0.001);
  expect(profile.ceiling_gb_per_s).toBeGreaterThan(0.1);
  const names = profile.ops.map((o) => o.op);
  for (const op of ["gemm", "flash_bwd", "nsa_selected_fwd", "nsa_select", "lm_head_fwd", "adamw"])
    expect(names).toContain(op);
  expect(profile.ops.reduce((sum, o) => sum + o.share, 0)).toBeCloseTo(1, 6);
  const gemm = profile.ops.find((o) => o.op === "gemm")!;
  // A layer has 4 matrices and φ twice 2, forward and twice backward.
  expect(gemm.calls).toBeGreaterThan(20);
  expect(gemm.tflops).toBeGreaterThan(0);
  // Against a rate measured a moment before: on a busy machine either may be slow.
  expect(gemm.flops_share).toBeGreaterThan(0);
  expect(profiled.stdout).toMatch(/profile of step 3 on .* ms in ops/);
  expect(profiled.stdout).toMatch(/ms {2}gemm ×\d+ {2}\S+ TFLOP\/s/);
  const report = readFileSync(join(profiled.folder, "report.html"), "utf8");
  expect(report).toContain("<h2>Profile of step 3</h2>");
  expect(report).toContain("<td>gemm</td>");
});

test("there_is_nothing_to_tune_on_a_cpu", () => {
  expect(run("--tune").stdout).toMatch(/nothing to tune on cpu/);
});

test("a_run_whose_seconds_are_over_ends_whole", () => {
  const runs = mkdtempSync(join(dir, "runs-"));
  const set = ["--set", "train.steps=1000000", "--set", "train.max_seconds=1", "--set", "train.save_every=0"];
  const done = nsa(["pretrain", recipe, "--runs", runs, "--device", "cpu", "--plain", ...set]);
  expect(done.status, done.stderr).toBe(0);
  expect(done.stdout).toMatch(/train\.max_seconds are over at step \d+ of 1000000/);
  const folder = join(runs, readdirSync(runs)[0]!);
  const [last] = readdirSync(join(folder, "checkpoints")).filter((name) => name.startsWith("step-"));
  const rows = readFileSync(join(folder, "metrics.jsonl"), "utf8")
    .trim()
    .split("\n")
    .map((l) => JSON.parse(l));
  expect(Number(last!.slice(5))).toBe(rows.at(-1).step);
  expect(rows.at(-1)["val/loss"]).toBeGreaterThan(1);
});
