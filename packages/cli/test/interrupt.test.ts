// A real run stopped by signals: it saves, ends with 130, and goes on.
import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { tinyPipeline } from "../bench/support/tiny-pipeline.ts";
import { buildOnce, bundle, nsa, root } from "./built.ts";
import { tinyPretrain } from "./tiny.ts";

/** Starts a run and interrupts it once what was printed matches `when`: a step, by default. */
function interrupted(
  dir: string,
  words: string[],
  group: boolean,
  when = /step \d+\//,
): Promise<{ code: number | null; out: string }> {
  buildOnce();
  const args = [bundle, ...words, "--runs", dir, "--device", "cpu"];
  const child = spawn(process.execPath, args, {
    cwd: root,
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let out = "";
  let sent = false;
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (chunk) => {
      out += chunk;
      if (sent || !when.test(out)) return;
      sent = true;
      // A terminal's Ctrl-C goes to the whole group, `kill` to one process.
      process.kill(group ? -child.pid! : child.pid!, "SIGINT");
    });
  return new Promise((resolve) => child.on("close", (code) => resolve({ code, out })));
}

test.each([
  ["to_the_whole_group_as_from_a_terminal", true],
  ["to_the_command_alone", false],
])("sigint_%s_saves_and_ends_with_130_and_the_run_goes_on", async (_, group) => {
  const dir = mkdtempSync(join(tmpdir(), "nsa-interrupt-"));
  const config = join(dir, "tiny.yaml");
  writeFileSync(config, tinyPretrain);
  const { code, out } = await interrupted(dir, ["pretrain", config, "--set", "train.steps=100000"], group);
  expect(out).toContain("saved ");
  expect(code).toBe(130);
  const run = readdirSync(dir).find((name) => name.startsWith("pretrain-"))!;
  const saved = readdirSync(join(dir, run, "checkpoints")).filter((name) => name.startsWith("step-"));
  const at = Math.max(...saved.map((name) => Number(name.slice(5))));
  expect(at).toBeGreaterThan(0);

  const resumed = nsa([
    "pretrain",
    config,
    "--runs",
    dir,
    "--resume",
    "latest",
    "--set",
    `train.steps=${at + 2}`,
  ]);
  expect(resumed.status).toBe(0);
  const rows = readFileSync(join(dir, run, "metrics.jsonl"), "utf8")
    .trim()
    .split("\n");
  const steps = rows.map((row) => JSON.parse(row)).filter((row) => "train/loss" in row);
  expect(steps.map((row) => row.step)).toEqual(Array.from({ length: at + 2 }, (_, i) => i + 1));
});

test("one_sigint_stops_grpo_too_although_its_steps_wait_for_nothing", async () => {
  const dir = mkdtempSync(join(tmpdir(), "nsa-interrupt-"));
  const config = join(dir, "tiny.yaml");
  writeFileSync(config, tinyPretrain);
  expect(nsa(["pretrain", config, "--runs", dir, "--device", "cpu"]).status).toBe(0);
  const base = nsa(["runs", "path", "latest", "--checkpoint", "--runs", dir]).stdout.trim();
  const recipe = join(dir, "grpo.yaml");
  const task = 'task: { difficulty: 1, template: "{question}:" }';
  const rollout = "rollout: { questions_per_step: 2, group_size: 4, max_tokens: 6 }";
  const evaluation = "evaluation: { every: 0, questions: 2, samples: 2 }";
  writeFileSync(recipe, `init: { checkpoint: ${base} }\n${task}\n${rollout}\n${evaluation}\n`);
  const { code, out } = await interrupted(dir, ["grpo", recipe, "--set", "steps=100000"], true);
  expect(out).toContain("saved ");
  expect(out).not.toContain("done at");
  expect(code).toBe(130);
}, 60_000);

function groupRuns(group: number): boolean {
  try {
    return process.kill(-group, 0);
  } catch {
    return false;
  }
}

test("a_second_sigint_ends_a_stage_at_once_that_cannot_stop_half_way", async () => {
  const dir = mkdtempSync(join(tmpdir(), "nsa-interrupt-"));
  const texts = join(dir, "texts.jsonl");
  const words = (i: number) => Array.from({ length: 40 }, (_, k) => `w${(i * 7919 + k * 104_729) % 900_001}`);
  writeFileSync(
    texts,
    Array.from({ length: 60_000 }, (_, i) => `${JSON.stringify({ text: words(i).join(" ") })}\n`).join(""),
  );
  const recipe = join(dir, "tokenizer.yaml");
  writeFileSync(recipe, `files: [${texts}]\nvocab_size: 30000\n`);
  buildOnce();
  const args = [bundle, "run", "tokenizer", recipe, "--runs", join(dir, "runs"), "--plain"];
  const child = spawn(process.execPath, args, {
    cwd: root,
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let [out, sent] = ["", 0];
  const signal = () => {
    sent++;
    process.kill(-child.pid!, "SIGINT");
  };
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (chunk) => {
      out += chunk;
      if (sent === 0 && out.includes("tokenizer: ")) signal();
      // The command answers while its trainer is busy, and the answer says how to end it.
      else if (sent === 1 && out.includes("press Ctrl-C again")) signal();
    });
  const code = await new Promise((resolve) => child.on("close", resolve));
  expect([code, sent], out).toEqual([130, 2]);
  expect(out).not.toContain("report: ");
  // The trainer ends, too.
  await vi.waitUntil(() => !groupRuns(child.pid!), { timeout: 20_000 });
}, 120_000);

test("json_output_is_one_object_per_line_from_start_to_done", () => {
  const dir = mkdtempSync(join(tmpdir(), "nsa-json-"));
  const config = join(dir, "tiny.yaml");
  writeFileSync(config, tinyPretrain);
  const run = nsa(["pretrain", config, "--runs", dir, "--json"]);
  const events = run.stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { type: string });
  expect(run.status).toBe(0);
  expect(events.filter((e) => e.type === "step")).toHaveLength(3);
  expect(events.find((e) => e.type === "start")).toMatchObject({ totalSteps: 3, step: 0 });
  expect(events.at(-1)).toMatchObject({ type: "done", step: 3 });
});

test("a_refused_resume_leaves_the_run_s_settings_as_they_were", () => {
  const dir = mkdtempSync(join(tmpdir(), "nsa-refused-"));
  const config = join(dir, "tiny.yaml");
  writeFileSync(config, tinyPretrain);
  const go = (...words: string[]) =>
    nsa(["pretrain", config, "--runs", dir, "--device", "cpu", "--plain", ...words]);
  expect(go("--set", "train.steps=4").status).toBe(0);
  const run = readdirSync(dir).find((name) => name.startsWith("pretrain-"))!;
  const settings = () => readFileSync(join(dir, run, "config.yaml"), "utf8");
  const before = settings();
  const refused = go("--resume", "latest", "--set", "model.d_ff=8", "--set", "train.steps=6");
  expect(refused.status).toBe(3);
  expect(settings()).toBe(before);
  expect(go("--resume", "latest", "--set", "train.steps=6").status).toBe(0);
  expect(settings()).not.toBe(before);
}, 120_000);

test("a_pipeline_asked_to_stop_in_a_stage_that_cannot_stop_half_way_ends_after_that_stage", async () => {
  const dir = mkdtempSync(join(tmpdir(), "nsa-interrupt-pipeline-"));
  for (const [name, text] of Object.entries(tinyPipeline)) writeFileSync(join(dir, name), text);
  const words = ["pipeline", "run", join(dir, "pipeline.yaml"), "--plain"];
  const { code, out } = await interrupted(dir, words, false, /stage 1\/\d+/);
  expect(code, out).toBe(130);
  expect(out).not.toMatch(/stage 2\/\d+/);
  const run = readdirSync(dir).find((name) => name.startsWith("pipeline-"))!;
  expect(readdirSync(join(dir, run, "stages"))).toEqual(["crawl"]);
});
