// Killed at chosen changes of files, from the making of the run folder on: there is no run, or one that resumes to the same bits.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { latestCheckpoint, listRuns } from "@nsa/core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parse, stringify } from "yaml";
import { tinyPipeline } from "../bench/support/tiny-pipeline.ts";
import { buildOnce, bundle, nsa, root } from "./built.ts";
import { tinyPretrain } from "./tiny.ts";

const dir = mkdtempSync(join(tmpdir(), "nsa-start-kills-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));
/** Points of each walk; NSA_KILL_POINTS asks for more. */
const MORE = Number(process.env.NSA_KILL_POINTS ?? 0);
const TIME = 60_000 * (10 + MORE);

type Who = "command" | "parent" | "both";
const flags = ["--device", "cpu", "--plain"];
const words = {} as Record<"pretrain" | "sft" | "grpo" | "eval" | "pipeline", string[]>;

beforeAll(() => {
  buildOnce();
  const write = (name: string, text: string) => {
    writeFileSync(join(dir, name), text);
    return join(dir, name);
  };
  const base = write("base.yaml", tinyPretrain);
  const made = nsa(["pretrain", base, "--runs", join(dir, "base"), ...flags]);
  expect(made.status, made.stderr).toBe(0);
  const checkpoint = latestCheckpoint(listRuns(join(dir, "base"))[0]!.path)!;
  const rows = Array.from({ length: 12 }, (_, i) =>
    JSON.stringify({ question: `${i}+1`, answer: `${i + 1}` }),
  );
  const recipe = (name: "sft" | "grpo" | "eval", changes: object) =>
    write(`${name}.yaml`, stringify({ ...(parse(tinyPipeline[`${name}.yaml`]!) as object), ...changes }));
  const source = {
    files: [write("rows.jsonl", `${rows.join("\n")}\n`)],
    prompt: "{question}:",
    completion: " {answer}",
  };
  words.pretrain = ["pretrain", base, "--set", "logging.tensorboard=true", "--set", "train.eval_every=2"];
  words.sft = [
    "sft",
    recipe("sft", { init_from: checkpoint, data: { sources: [source] } }),
    "--set",
    "train.steps=4",
  ];
  words.grpo = ["grpo", recipe("grpo", { init: { checkpoint }, steps: 3 }), "--set", "checkpoint.every=1"];
  words.eval = ["eval", recipe("eval", { checkpoint, engine: { problems: 2 } })];
  const stages = [
    { name: "base", stage: "pretrain", config: "base.yaml" },
    { name: "ask", stage: "eval", config: "eval.yaml", set: ["checkpoint={base.checkpoint}"] },
  ];
  const pipeline = write("pipeline.yaml", stringify({ name: "two", stages }));
  words.pipeline = ["pipeline", "run", pipeline, "--set", "base.train.steps=2"];
}, TIME);

const hash = (path: string) => createHash("sha256").update(readFileSync(path)).digest("hex");

/** What must not depend on kills: rows without times, texts, the last model. */
function facts(run: string): Record<string, unknown> {
  const stages = join(run, "stages");
  if (existsSync(stages))
    return Object.fromEntries(readdirSync(stages).map((name) => [name, facts(join(stages, name))]));
  const text = (name: string) => (existsSync(join(run, name)) ? readFileSync(join(run, name), "utf8") : "");
  const timeless = (row: object) =>
    Object.fromEntries(Object.entries(row).filter(([key]) => key !== "time" && !key.startsWith("perf/")));
  const last = latestCheckpoint(run)!;
  const models = readdirSync(last).filter((name) => name.endsWith(".safetensors"));
  const events = readdirSync(run).find((name) => name.startsWith("events."));
  return {
    rows: text("metrics.jsonl")
      .trim()
      .split("\n")
      .map((row) => timeless(JSON.parse(row) as object)),
    samples: text("samples.jsonl"),
    summary: text("summary.json"),
    models: models.map((name) => [name, hash(join(last, name))]),
    // Times differ and have a fixed width.
    events: events ? readFileSync(join(run, events)).length : 0,
    settings: existsSync(join(run, "env.json")) && text("config.yaml") !== "",
  };
}

/** One life with the blow at the n-th change; whether it fell. */
function die(stage: keyof typeof words, runs: string, who: Who, at: number): boolean {
  const preload = pathToFileURL(join(import.meta.dirname, "../bench/support/die-at.mjs")).href;
  const env = { NODE_OPTIONS: `--import=${preload}`, NSA_DIE: JSON.stringify({ root: runs, at, who }) };
  const args = [bundle, ...words[stage], "--runs", runs, ...flags];
  const life = spawnSync(process.execPath, args, {
    cwd: root,
    env: { ...process.env, ...env },
    encoding: "utf8",
  });
  if (life.signal !== "SIGKILL") expect(life.status, life.stderr).toBe(0);
  return life.signal === "SIGKILL";
}

/** Walks over the points; each leaves no run, or one that is whole and resumes to what an unbroken run gives. */
function walk(stage: keyof typeof words, who: Who, points: readonly number[]): void {
  const alone = join(dir, `${stage}-alone`);
  if (!existsSync(alone)) {
    const whole = nsa([...words[stage], "--runs", alone, ...flags]);
    expect(whole.status, whole.stderr).toBe(0);
  }
  const wanted = facts(listRuns(alone)[0]!.path);
  let fell = 0;
  for (const at of [...points, ...Array.from({ length: MORE }, (_, i) => points.at(-1)! + 1 + i)]) {
    const runs = join(dir, `${stage}-${who}-${at}`);
    mkdirSync(runs);
    if (!die(stage, runs, who, at)) break;
    fell++;
    const found = readdirSync(runs).filter((name) => !name.startsWith("."));
    expect(
      listRuns(runs).map(({ id }) => id),
      "every folder is a run",
    ).toEqual(found);
    const resume = found.length > 0 ? ["--resume", "latest"] : [];
    const rest = nsa([...words[stage], "--runs", runs, ...flags, ...resume]);
    expect(rest.status, `${stage}, ${who} at ${at}: ${rest.stderr}`).toBe(0);
    const after = listRuns(runs);
    expect(after).toHaveLength(1);
    expect(facts(after[0]!.path), `${stage}, ${who} at ${at}`).toEqual(wanted);
    // A start sweeps what a killed one left.
    if (found.length === 0) expect(readdirSync(runs)).toEqual([after[0]!.id]);
    rmSync(runs, { recursive: true, force: true });
  }
  expect(fell).toBeGreaterThanOrEqual(Math.min(2, points.length));
}

test("a_run_folder_is_made_whole_or_not_at_all", () => walk("pretrain", "command", [3, 5]), TIME);
test(
  "a_pipeline_killed_while_it_starts_resumes_or_leaves_no_run",
  () => {
    walk("pipeline", "command", [5, 6, 11]);
  },
  TIME,
);
test(
  "grpo_whose_command_dies_while_its_trainer_starts_records_step_0_once",
  () => {
    walk("grpo", "parent", [2, 4]);
  },
  TIME,
);
test(
  "trainers_killed_with_their_command_resume_to_the_same_bits",
  () => {
    walk("pretrain", "both", [2, 9]);
    walk("sft", "both", [8]);
    walk("grpo", "both", [5, 12]);
    walk("eval", "both", [5]);
  },
  TIME,
);
