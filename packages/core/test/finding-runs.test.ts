// Runs and checkpoints by name: stages inside pipelines, their order, runs of other stages, starts that left nothing, inputs beside a recipe.
import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { z } from "zod";
import { loadConfig } from "../src/config/load.ts";
import { pipelineProgress } from "../src/pipeline-folder.ts";
import { findCheckpoint, findRun, removeFailedStart } from "../src/run-dir.ts";

let root = "";
beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), "nsa-finding-")));
});
afterEach(() => rmSync(root, { recursive: true }));

function write(path: string, text = ""): void {
  mkdirSync(join(root, path, ".."), { recursive: true });
  writeFileSync(join(root, path), text);
}
const run = (id: string) => write(`${id}/config.yaml`, "name: x\n");
function checkpoint(run: string, step: number, seconds: number): string {
  const path = join(run, "checkpoints", `step-00000${step}`);
  write(join(path, "state.json"), "{}");
  write(join(path, "model.safetensors"));
  utimesSync(join(root, path, "state.json"), seconds, seconds);
  return join(root, path);
}
const pipeline = "pipeline-all-20260103-000000";
/** Base, then grpo; the base's checkpoint is the younger file. */
function makePipeline(): { base: string; grpo: string } {
  const stages = [
    { name: "base", stage: "pretrain" },
    { name: "zero", stage: "grpo" },
    { name: "later", stage: "eval" },
  ];
  write(`${pipeline}/config.yaml`, JSON.stringify({ name: "all", stages }));
  for (const name of ["base", "zero"]) write(`${pipeline}/stages/${name}/config.yaml`, "name: x\n");
  write(`${pipeline}/stages/base/result.json`, "{}");
  return {
    base: checkpoint(`${pipeline}/stages/base`, 1, 2000),
    grpo: checkpoint(`${pipeline}/stages/zero`, 2, 1000),
  };
}

test("a_stage_is_found_inside_a_pipeline_and_a_run_of_its_own_is_the_latest_before_any_inside", () => {
  makePipeline();
  run("pretrain-new-20260104-000000");
  expect(findRun(root, "latest", "grpo")).toMatchObject({
    id: `${pipeline}/stages/zero`,
    path: join(root, pipeline, "stages/zero"),
    stage: "grpo",
    name: "zero",
  });
  expect(findRun(root, "latest", "pretrain").id).toBe("pretrain-new-20260104-000000");
  rmSync(join(root, "pretrain-new-20260104-000000"), { recursive: true });
  // A later pipeline's stage is no newer run of the stage than one of its own, unless that never began.
  run("pretrain-old-20260101-000000");
  write(`${pipeline}/stages/base/metrics.jsonl`, "{}\n");
  expect(findRun(root, "latest", "pretrain").id).toBe(`${pipeline}/stages/base`);
  write("pretrain-old-20260101-000000/metrics.jsonl", "{}\n");
  expect(findRun(root, "latest", "pretrain").id).toBe("pretrain-old-20260101-000000");
  expect(findRun(root, `${pipeline}/stages/base`, "pretrain").name).toBe("base");
  rmSync(join(root, "pretrain-old-20260101-000000"), { recursive: true });
  expect(findRun(root, "latest", "pretrain").id).toBe(`${pipeline}/stages/base`);
  expect(findRun(root, join(root, pipeline, "stages/base"), "pretrain").name).toBe("base");
  expect(() => findRun(root, "latest", "eval")).toThrow(/no run of `nsa eval` in/);
});

test("the_newest_model_of_a_pipeline_is_that_of_its_last_stage_whatever_the_times_of_its_files", () => {
  const { grpo } = makePipeline();
  expect(findCheckpoint(root, pipeline)).toBe(grpo);
  expect(findCheckpoint(root, "latest")).toBe(grpo);
  expect(pipelineProgress(join(root, pipeline))).toEqual({ done: 1, total: 3 });
});

test("a_run_of_another_stage_is_named_as_one", () => {
  makePipeline();
  run("dpo-pairs-20260101-000000");
  const wrong = {
    code: "run_of_other_stage",
    exitCode: 2,
    what: expect.stringMatching(/is a run of `nsa dpo`$/),
  };
  for (const which of ["dpo-pairs-20260101-000000", "dpo-pairs", join(root, "dpo-pairs-20260101-000000")])
    expect(() => findRun(root, which, "grpo"), which).toThrow(expect.objectContaining(wrong));
  expect(() => findRun(root, join(root, pipeline, "stages/base"), "grpo")).toThrow(
    expect.objectContaining({ what: "base is a run of `nsa pretrain`" }),
  );
  expect(() => findRun(root, "absent", "grpo")).toThrow(expect.objectContaining({ code: "run_not_found" }));
});

test("a_failed_start_is_removed_and_anything_that_was_made_is_kept", () => {
  const start = (id: string, files: Record<string, string>) => {
    run(id);
    mkdirSync(join(root, id, "checkpoints"), { recursive: true });
    for (const [name, text] of Object.entries({
      "env.json": "{}",
      "log.txt": "x",
      "metrics.jsonl": "",
      ...files,
    }))
      write(join(id, name), text);
    return join(root, id);
  };
  const empty = start("grpo-a-20260101-000000", {
    ".lock-000001": "1",
    "samples.jsonl": "",
    "ranks/1/log.txt": "x",
    "ranks/1/metrics.jsonl": "",
  });
  expect([removeFailedStart(empty), existsSync(empty)]).toEqual([true, false]);
  const kinds: Record<string, string>[] = [
    { "metrics.jsonl": "{}\n" },
    { "checkpoints/step-000001/state.json": "{}" },
    { "vocabulary.txt": "" },
    { "ranks/1/metrics.jsonl": "{}\n" },
  ];
  for (const made of kinds) {
    const kept = start("grpo-b-20260101-000000", made);
    expect([removeFailedStart(kept), existsSync(kept)], JSON.stringify(made)).toEqual([false, true]);
    rmSync(kept, { recursive: true });
  }
});

const inputs = z.strictObject({
  initFrom: z.string().default(""),
  data: z.strictObject({ files: z.array(z.string()).default([]), out: z.string().default("") }).prefault({}),
});

test("an_input_that_is_beside_the_recipe_alone_is_taken_from_there", () => {
  write("recipes/base/state.json", "{}");
  write("recipes/data/a.jsonl");
  write("recipes/out/x");
  const text = "init_from: base\ndata: {files: ['data/*.jsonl', nowhere.jsonl], out: out}\n";
  write("recipes/r.yaml", text);
  const { config, remarks } = loadConfig(inputs, join(root, "recipes/r.yaml"));
  expect(config).toEqual({
    initFrom: join(root, "recipes/base"),
    data: { files: [join(root, "recipes/data/*.jsonl"), "nowhere.jsonl"], out: "out" },
  });
  expect(remarks).toEqual([]);
  // A run's own recipe names what its start has found.
  write("recipes/env.json", "{}");
  expect(loadConfig(inputs, join(root, "recipes/r.yaml")).config.initFrom).toBe("base");
});

test("an_input_that_is_in_both_places_is_taken_from_the_working_folder_with_a_remark", () => {
  // The test runs in the project's folder, which has a package.json.
  write("recipes/package.json", "{}");
  write("recipes/r.yaml", "data: {files: [package.json]}\n");
  const { config, remarks } = loadConfig(inputs, join(root, "recipes/r.yaml"));
  expect(config.data.files).toEqual(["package.json"]);
  expect(remarks).toEqual([
    expect.stringMatching(/^files: package.json is taken from the working folder .*beside the recipe/),
  ]);
});

test("a_part_of_a_name_that_is_not_its_beginning_names_the_runs_that_have_it", () => {
  const fixOf = (which: string, stage?: string) => {
    try {
      findRun(root, which, stage);
    } catch (error) {
      return (error as { fix: string }).fix;
    }
    throw new Error("it was found");
  };
  run("pipeline-unified-20260101-000000");
  expect(fixOf("unified")).toBe("names begin with the stage: did you mean pipeline-unified-20260101-000000?");
  for (const day of [2, 3, 4]) run(`grpo-unified-2026010${day}-000000`);
  expect(fixOf("unified", "grpo")).toContain("grpo-unified-20260104-000000, grpo-unified-20260103-000000");
  expect(fixOf("unified")).toContain(", and 1 more?");
  expect(fixOf("absent")).toBe("see `nsa runs ls` for the names");
});
