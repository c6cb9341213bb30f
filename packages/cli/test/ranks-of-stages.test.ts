// The contract of every stage that takes --ranks: as many processes as one likes learn what one does, and each may go on with the other's run.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parse, stringify } from "yaml";
import { type KillWords, makeKillWords } from "../bench/support/kill-recipes.ts";
import { STAGE_TABLE } from "../src/commands/stage-table.ts";
import { nsa } from "./built.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-ranks-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
let words: KillWords;
beforeAll(async () => {
  words = await makeKillWords(join(root, "recipes"));
  const { data: _, ...offline } = parse(readFileSync(words.dpo![2]!, "utf8")) as Record<string, object>;
  const online = {
    pairs: "online",
    task: { family: "addition", difficulty: 1, template: "{question}:" },
    rollout: { questions_per_step: 5, group_size: 3, max_tokens: 6 },
    rewards: [{ kind: "length" }, { kind: "format" }],
    evaluation: { questions: 3, samples: 2 },
  };
  writeFileSync(join(root, "online.yaml"), stringify({ ...offline, ...online }));
  const grpo = parse(readFileSync(words.grpo![2]!, "utf8")) as Record<string, object>;
  // One compares all outputs of a step, so that no rank could score its own alone; the other scores each by itself.
  const code = "(text) => [...text].reduce((sum, c) => sum + c.charCodeAt(0), 0) % 7";
  const whole = `{scoreBatch: (all) => all.map((o) => of(o.completion) - of(all[0].completion) / all.length)}`;
  writeFileSync(join(root, "whole.mjs"), `const of = ${code};\nexport default ${whole};\n`);
  writeFileSync(join(root, "single.mjs"), `const of = ${code};\nexport default (o) => of(o.completion);\n`);
  const reward = (file: string) => ({ kind: "custom", file: join(root, file) });
  const learning = { ...grpo, rewards: [reward("whole.mjs")], train: { optimizer: { lr: 1e-3 } } };
  writeFileSync(join(root, "grpo.yaml"), stringify(learning));
  const ppo = {
    ...learning,
    algorithm: { advantage: "gae", inner_epochs: 2, mini_batches: 2, kl_coef: 0.1, kl_placement: "reward" },
    value: { lr: 1e-3 },
    rewards: [reward("single.mjs"), { kind: "model", checkpoint: rewardModel() }],
  };
  writeFileSync(join(root, "ppo.yaml"), stringify(ppo));
}, 300_000);

const shared = Object.keys(STAGE_TABLE).filter((stage) => STAGE_TABLE[stage]!.command?.ranks);

/** Stages that make steps of training, with their settings: micro-batches of a number that no number of ranks here divides. */
const trained: Record<string, { steps: string; sets: string[] }> = {
  // Masters and moments shared out, which ranks of models as small as these do not by themselves.
  pretrain: { steps: "train.steps", sets: ["train.micro_batches=3", "train.share_state=always"] },
  sft: { steps: "train.steps", sets: ["train.micro_batches=3"] },
  reward: {
    steps: "train.steps",
    sets: ["train.micro_batches=3", "train.micro_batch_tokens=48", "train.share_state=always"],
  },
  dpo: { steps: "train.steps", sets: ["train.micro_batch_tokens=40"] },
  "dpo-online": { steps: "train.steps", sets: ["train.micro_batch_tokens=24"] },
  "grpo-grpo": {
    steps: "steps",
    sets: ["rollout.questions_per_step=3", "evaluation.questions=3", "micro_batch_tokens=24"],
  },
  "grpo-ppo": { steps: "steps", sets: ["rollout.questions_per_step=3", "micro_batch_tokens=24"] },
};

/** Stages that answer questions. */
const asked: Record<string, string[]> = {
  sample: ["prompts.questions=7", "engine.questions=3"],
  eval: ["tasks.0.questions=7", "engine.problems=3"],
};

/** Messages of rank 1 in about half of a run. */
const HALF = 20;

const runOf = (runs: string) => join(root, runs, readdirSync(join(root, runs))[0]!);

const preload = pathToFileURL(join(import.meta.dirname, "blow-in-rank.mjs")).href;

/** Kills rank 1 at its n-th message; gives what the command wrote. */
function killed(stage: string, runs: string, at: number, ...more: string[]): string {
  const env = {
    NODE_OPTIONS: `--import=${preload}`,
    NSA_BLOW: JSON.stringify({ rank: 1, at, how: "kill" }),
  };
  const place = ["--runs", join(root, runs), "--device", "cpu"];
  const { status, stderr } = nsa([stage, words[stage]![2]!, ...place, ...more], { env });
  expect(status, stderr).toBe(5);
  return stderr;
}

/** Runs a stage, and gives what it writes to stdout. */
function run(name: string, runs: string, ...more: string[]): string {
  const [stage, kind] = name.split("-");
  const recipe = kind ? join(root, `${kind}.yaml`) : words[stage!]![2]!;
  const place = ["--runs", join(root, runs), "--device", "cpu"];
  const { status, stderr, stdout } = nsa([stage!, recipe, ...place, ...more]);
  expect(status, `${name} ${more.join(" ")}: ${stderr}`).toBe(0);
  return stdout;
}

/** Bytes of masters and moments on a rank, as a run with --json reports them at its start. */
const stateBytes = (stdout: string) => Number(/"state_bytes":(\d+)/.exec(stdout)?.[1]);

/** The checkpoint of a reward model. */
function rewardModel(): string {
  run("reward", "reward-model", "--set", "train.steps=1");
  return join(runOf("reward-model"), "checkpoints/step-000001");
}

const setting = (sets: readonly string[]) => sets.flatMap((set) => ["--set", set]);

type Row = Record<string, unknown>;

const rowsOf = (runs: string, file: string): Row[] =>
  readFileSync(join(runOf(runs), file), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Row);

/** All figures of the steps but those of time and memory. */
const figures = (runs: string): Row[] =>
  rowsOf(runs, "metrics.jsonl").map((row) =>
    Object.fromEntries(Object.entries(row).filter(([name]) => !/^(perf\/|time)/.test(name))),
  );

/** The largest difference between two values or their parts, relative to numbers above 1; what is no number differs by 1. */
function gap(a: unknown, b: unknown): number {
  if (typeof a === "number" && typeof b === "number") return Math.abs(a - b) / Math.max(1, Math.abs(a));
  if (typeof a !== "object" || typeof b !== "object" || !a || !b) return a === b ? 0 : 1;
  const [x, y] = [a, b] as Row[];
  expect(Object.keys(x!).sort()).toEqual(Object.keys(y!).sort());
  return Math.max(0, ...Object.keys(x!).map((name) => gap(x![name], y![name])));
}

test("all_stages_that_train_or_answer_take_ranks", () => {
  const named = [...Object.keys(trained), ...Object.keys(asked)].map((name) => name.split("-")[0]!);
  expect(shared.toSorted()).toEqual([...new Set(named)].sort());
});

test.each(Object.keys(trained))(
  "%s_on_two_ranks_and_by_turns_on_one_four_and_two_has_the_figures_of_one",
  (name) => {
    const { steps, sets } = trained[name]!;
    const constant = ["schedule.kind=constant", "schedule.warmup_steps=0"].map((set) => `train.${set}`);
    const upTo = (n: number) => setting([`${steps}=${n}`, ...constant, ...sets]);
    const one = run(name, `${name}-1`, ...upTo(4), "--json");
    const two = run(name, `${name}-2`, ...upTo(4), "--ranks", "2", "--json");
    if (sets.includes("train.share_state=always"))
      expect(stateBytes(two) / stateBytes(one)).toBeLessThan(0.75);
    expect(gap(figures(`${name}-1`), figures(`${name}-2`)), "two ranks").toBeLessThan(1e-6);
    expect(existsSync(join(runOf(`${name}-2`), "ranks/1/checkpoints"))).toBe(false);
    run(name, `${name}-turns`, ...upTo(1));
    run(name, `${name}-turns`, ...upTo(2), "--ranks", "4", "--resume", "latest");
    run(name, `${name}-turns`, ...upTo(4), "--ranks", "2", "--resume", "latest");
    const learned = (runs: string) => figures(runs).filter((row) => "train/loss" in row);
    expect(learned(`${name}-1`)).toHaveLength(4);
    for (const { "train/grad_norm": norm } of learned(`${name}-1`)) expect(norm).toBeGreaterThan(0);
    expect(gap(learned(`${name}-1`), learned(`${name}-turns`)), "by turns").toBeLessThan(1e-6);
    if (!existsSync(join(runOf(`${name}-1`), "rollouts"))) return;
    for (const other of ["2", "turns"])
      expect(
        gap(rowsOf(`${name}-1`, "samples.jsonl"), rowsOf(`${name}-${other}`, "samples.jsonl")),
      ).toBeLessThan(1e-6);
  },
  200_000,
);

test.each(Object.keys(asked))(
  "%s_on_two_ranks_and_by_turns_on_two_and_four_writes_the_rows_of_one",
  (stage) => {
    const sets = setting(asked[stage]!);
    run(stage, `${stage}-1`, ...sets);
    run(stage, `${stage}-2`, ...sets, "--ranks", "2");
    const errors = killed(stage, `${stage}-turns`, HALF, ...sets, "--ranks", "2");
    expect(errors).toMatch(/step [1-6] was the last one done/);
    run(stage, `${stage}-turns`, ...sets, "--ranks", "4", "--resume", "latest");
    for (const ranks of ["2", "turns"]) {
      const file = "samples.jsonl";
      expect(gap(rowsOf(`${stage}-1`, file), rowsOf(`${stage}-${ranks}`, file)), file).toBeLessThan(1e-6);
      expect(gap(figures(`${stage}-1`), figures(`${stage}-${ranks}`)), `${ranks} ranks`).toBeLessThan(1e-6);
    }
  },
  200_000,
);
