// The contract of every stage that takes --ranks: as many processes as one likes learn what one does, and each may go on with the other's run.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { type KillWords, makeKillWords } from "../bench/support/kill-recipes.ts";
import { STAGE_TABLE } from "../src/commands/stage-table.ts";
import { nsa } from "./built.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-ranks-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let words: KillWords;
beforeAll(async () => {
  words = await makeKillWords(join(root, "recipes"));
}, 300_000);

const shared = Object.keys(STAGE_TABLE).filter((stage) => STAGE_TABLE[stage]!.command?.ranks);

const runOf = (runs: string) => join(root, runs, readdirSync(join(root, runs))[0]!);

function run(stage: string, runs: string, ...more: string[]): void {
  const recipe = words[stage]![2]!;
  const { status, stderr } = nsa([stage, recipe, "--runs", join(root, runs), "--device", "cpu", ...more]);
  expect(status, `${stage} ${more.join(" ")}: ${stderr}`).toBe(0);
}

type Row = Record<string, number>;

/** All figures of the steps but those of time and memory. */
function figures(runs: string): Row[] {
  const rows = readFileSync(join(runOf(runs), "metrics.jsonl"), "utf8")
    .trim()
    .split("\n");
  return rows.map((line) =>
    Object.fromEntries(
      Object.entries(JSON.parse(line) as Row).filter(([name]) => !/^(perf\/|time)/.test(name)),
    ),
  );
}

/** The largest difference between figures of two runs, relative to numbers above 1. */
function gap(a: Row[], b: Row[]): number {
  expect(a.map((row) => Object.keys(row).sort())).toEqual(b.map((row) => Object.keys(row).sort()));
  const far = (x: unknown, y: unknown) =>
    typeof x === "number" && typeof y === "number"
      ? Math.abs(x - y) / Math.max(1, Math.abs(x))
      : x === y
        ? 0
        : 1;
  return Math.max(...a.flatMap((row, i) => Object.keys(row).map((name) => far(row[name], b[i]![name]))));
}

test("stages_that_learn_from_files_take_ranks", () => {
  expect(shared).toEqual(expect.arrayContaining(["pretrain", "sft", "reward", "dpo"]));
});

/** Three micro-batches a step, so that ranks have unequal shares and one of four has none. */
const three: Record<string, string[]> = {
  pretrain: ["train.micro_batches=3"],
  sft: ["train.micro_batches=3"],
  reward: ["train.micro_batches=3", "train.micro_batch_tokens=48"],
  dpo: ["train.micro_batch_tokens=40"],
};
const split = (stage: string) => (three[stage] ?? []).flatMap((set) => ["--set", set]);

test.each(shared)(
  "%s_on_two_and_four_ranks_has_the_figures_of_one",
  (stage) => {
    run(stage, `${stage}-1`, ...split(stage));
    for (const ranks of [2, 4]) {
      run(stage, `${stage}-${ranks}`, ...split(stage), "--ranks", `${ranks}`);
      expect(gap(figures(`${stage}-1`), figures(`${stage}-${ranks}`)), `${ranks} ranks`).toBeLessThan(1e-5);
      expect(existsSync(join(runOf(`${stage}-${ranks}`), "ranks/1/checkpoints"))).toBe(false);
    }
  },
  200_000,
);

test.each(shared)(
  "%s_saved_by_two_ranks_is_resumed_by_three",
  (stage) => {
    const runs = `${stage}-on`;
    const [first, second] = [4, 6].map((steps) => [
      ...["--set", `train.steps=${steps}`, "--set", "train.schedule.kind=constant"],
      ...["--set", "train.schedule.warmup_steps=0", ...split(stage)],
    ]);
    run(stage, runs, ...first!, "--ranks", "2");
    run(stage, runs, ...second!, "--ranks", "3", "--resume", "latest");
    run(stage, `${runs}-alone`, ...second!);
    const steps = (folder: string) => figures(folder).filter((row) => "train/loss" in row);
    expect(gap(steps(runs), steps(`${runs}-alone`))).toBeLessThan(1e-5);
  },
  200_000,
);
