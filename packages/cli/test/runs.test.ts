// Past runs: extra metric sinks, listing, and comparing two of them.
import { existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { metricsTable, settingsTable } from "../src/commands/compare.ts";
import { lastFigures } from "../src/commands/runs.ts";
import { nsa } from "./built.ts";
import { tinyPretrain } from "./tiny.ts";

const dir = mkdtempSync(join(tmpdir(), "nsa-runs-"));
const config = join(dir, "tiny.yaml");
const away = "http://127.0.0.1:9";
let warned = "";

beforeAll(() => {
  writeFileSync(config, tinyPretrain);
  const sinks = ["--set", "logging.tensorboard=true", "--set", `logging.mlflow={uri: "${away}"}`];
  const first = nsa(["pretrain", config, "--runs", dir, ...sinks]);
  const second = nsa([
    "pretrain",
    config,
    "--runs",
    dir,
    "--set",
    "name=faster",
    "--set",
    "train.optimizer.lr=0.05",
  ]);
  expect([first.status, second.status]).toEqual([0, 0]);
  warned = first.stdout;
});

const folder = (name: string) => join(dir, readdirSync(dir).find((f) => f.startsWith(`pretrain-${name}-`))!);

test("a_recipe_switches_on_tensorboard_and_an_absent_mlflow_server_only_warns", () => {
  const events = readdirSync(folder("tiny")).find((f) => f.startsWith("events.out.tfevents."))!;
  expect(
    readFileSync(join(folder("tiny"), events))
      .toString("latin1")
      .match(/train\/loss(?!_)/g),
  ).toHaveLength(3);
  expect(warned.match(/warning: MLflow/g)).toHaveLength(1);
  expect(readdirSync(folder("faster")).some((f) => f.startsWith("events."))).toBe(false);
});

test("compare_shows_the_settings_that_differ_and_the_figures_side_by_side", () => {
  const page = join(dir, "compare.html");
  const run = nsa([
    "runs",
    "compare",
    folder("tiny"),
    folder("faster"),
    "--runs",
    dir,
    "--json",
    "--out",
    page,
  ]);
  expect(run.status).toBe(0);
  const { settings, metrics } = JSON.parse(run.stdout);
  expect(settings.rows).toContainEqual(["train.optimizer.lr", "0.01", "0.05"]);
  expect(settings.rows.map((row: string[]) => row[0])).not.toContain("train.steps");
  const loss = metrics.rows
    .find((row: string[]) => row[0] === "train/loss")
    .slice(1)
    .map(Number);
  expect(loss[2]).toBeCloseTo(loss[1] - loss[0], 2);
  expect(readFileSync(page, "utf8")).toContain("<svg");
  expect(existsSync(join(folder("tiny"), "report.html"))).toBe(true);
});

test("a_metric_that_one_run_lacks_is_a_dash_and_has_no_difference", () => {
  const run = (id: string) => ({ id, path: "", stage: "", name: id, started: "" });
  const a = {
    run: run("a"),
    last: new Map([
      ["x", 1],
      ["y", 2],
    ]),
  };
  const b = { run: run("b"), last: new Map([["x", 3]]) };
  expect(metricsTable([a, b]).rows).toEqual([
    ["x", "1", "3", "+2"],
    ["y", "2", "–", "–"],
  ]);
});

test("equal_recipes_have_no_settings_that_differ", () => {
  const run = { id: "a", path: "", stage: "", name: "a", started: "" };
  const settings = new Map([["train.steps", "3"]]);
  expect(
    settingsTable([
      { run, settings },
      { run, settings: new Map(settings) },
    ]).rows,
  ).toEqual([]);
  expect(
    settingsTable([
      { run, settings },
      { run, settings: new Map() },
    ]).rows,
  ).toEqual([["train.steps", "3", "–"]]);
});

test("ls_names_both_runs_and_show_of_an_unknown_one_ends_with_3", () => {
  expect(nsa(["runs", "ls", "--runs", dir]).stdout.match(/pretrain-/g)!.length).toBeGreaterThanOrEqual(2);
  const run = nsa(["runs", "show", "nothing", "--runs", dir]);
  expect(run.status).toBe(3);
  expect(run.stderr.trim().split("\n")).toHaveLength(3);
});

test("the_last_step_of_a_run_is_not_that_of_its_closing_figures", () => {
  const step = (n: number) => ({ step: n, time: 1, "perf/tokens_per_sec": 7 });
  const closing = { step: 25, time: 2, "sample/pass_rate": 0.25 };
  const last = lastFigures([step(8), step(24), closing]);
  expect([last.get("step"), last.get("sample/pass_rate")]).toEqual([24, 0.25]);
  // Stages whose rows have no pace, figures before the first step, and held-out figures of a step.
  expect(lastFigures([{ step: 1, "corpus/pages": 3 }]).get("step")).toBe(1);
  expect(lastFigures([{ step: 0, "eval/pass_at_1": 0 }]).get("step")).toBe(0);
  expect(lastFigures([step(1), step(2), { step: 2, "val/loss": 3 }]).get("step")).toBe(2);
  expect(lastFigures([]).has("step")).toBe(false);
});
