// A rank that is killed, stopped or hangs in any phase ends the run with an error that names it, and the resumed run equals one that was left alone.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, expect, test } from "vitest";
import { nsa } from "./built.ts";
import { tinyPretrain } from "./tiny.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-rank-failures-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const recipe = join(root, "tiny.yaml");
writeFileSync(recipe, tinyPretrain);
const preload = pathToFileURL(join(import.meta.dirname, "blow-in-rank.mjs")).href;

interface Blow {
  rank: number;
  /** Which of its messages to others it does not send; 0: it does not join. */
  at: number;
  how: "kill" | "stop" | "hang";
}

function pretrain(runs: string, more: string[], blow?: Blow) {
  const env: Record<string, string> = blow
    ? {
        NODE_OPTIONS: `--import=${preload}`,
        NSA_BLOW: JSON.stringify(blow),
        NSA_RANK_LIMIT_SECONDS: "6",
      }
    : {};
  const settings = ["--set", "train.micro_batches=2", "--set", "train.steps=4"];
  return nsa(["pretrain", recipe, "--runs", join(root, runs), "--device", "cpu", ...settings, ...more], {
    env,
  });
}

const runOf = (runs: string) => join(root, runs, readdirSync(join(root, runs))[0]!);
const weights = (runs: string) =>
  readFileSync(join(runOf(runs), "checkpoints/step-000004/model.safetensors")).toString("base64");
const rows = (runs: string) =>
  readFileSync(join(runOf(runs), "metrics.jsonl"), "utf8")
    .trim()
    .split("\n")
    .map((line) => {
      const row = JSON.parse(line) as Record<string, unknown>;
      return Object.fromEntries(Object.entries(row).filter(([name]) => !/^(perf\/|time)/.test(name)));
    });

test.each<[string, Blow, RegExp]>([
  ["killed", { rank: 1, at: 40, how: "kill" }, /rank 1: the trainer process ended by SIGKILL/],
  ["stopped", { rank: 1, at: 40, how: "stop" }, /rank 1 does not respond.*for 6 s.* in all-reduce/s],
  ["number_0_hung", { rank: 0, at: 41, how: "hang" }, /rank 0 does not respond.*for 6 s.* in all-reduce/s],
])(
  "a_rank_%s_ends_the_run_with_its_number_step_and_checkpoint_and_the_run_resumes_exactly",
  (name, blow, named) => {
    const runs = name;
    const { status, stderr } = pretrain(runs, ["--ranks", "2"], blow);
    expect(status).toBeGreaterThan(0);
    expect(stderr).toMatch(named);
    const [, step] = /step (\d) was the last one done/.exec(stderr)!;
    expect(stderr).toContain(
      `go on from ${join(runOf(runs), "checkpoints", `step-00000${step}`)} with --resume`,
    );
    const resumed = pretrain(runs, ["--ranks", "2", "--resume", "latest"]);
    expect(resumed.status, resumed.stderr).toBe(0);
    if (!readdirSync(root).includes("alone")) expect(pretrain("alone", ["--ranks", "2"]).status).toBe(0);
    expect(weights(runs)).toBe(weights("alone"));
    expect(rows(runs)).toEqual(rows("alone"));
  },
  100_000,
);

test.each<[string, Blow, RegExp]>([
  [
    "killed",
    { rank: 1, at: 0, how: "kill" },
    /rank 1: the trainer process ended by SIGKILL.*no step was done/s,
  ],
  ["stopped", { rank: 1, at: 0, how: "stop" }, /rank 1 does not respond.* in join; no step was done/s],
])(
  "a_rank_%s_before_it_has_joined_is_named",
  (name, blow, named) => {
    const { status, stderr } = pretrain(`start-${name}`, ["--ranks", "2"], blow);
    expect(status).toBeGreaterThan(0);
    expect(stderr).toMatch(named);
    expect(stderr).toContain("there is no checkpoint yet: start it again");
  },
  60_000,
);
