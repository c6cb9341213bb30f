// What iterations leave in a run folder: read back whole, and cut back to a step.
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { IterationFiles } from "../src/stages/grpo/iterations/files.ts";
import { Reservoir } from "../src/stages/reward/replay.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-iterations-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

test("history_longer_than_a_read_is_read_back_line_by_line", () => {
  const files = new IterationFiles(join(root, "long"));
  mkdirSync(files.folder(1), { recursive: true });
  const history = new Reservoir<string>(3000, 5);
  for (let i = 0; i < 3500; i++) history.add(JSON.stringify({ i, text: "x".repeat(1500 + (i % 7)) }));
  files.writeHistory(1, history);
  const read = files.history(1, 3000, 5)!;
  expect(read.seen).toBe(3500);
  expect(read.items).toEqual(history.items);
});

test("a_run_cut_back_to_a_step_keeps_what_earlier_iterations_left_and_drops_later_results", () => {
  const files = new IterationFiles(join(root, "rewind"));
  for (const iteration of [1, 2, 3]) {
    mkdirSync(files.modelFolder(iteration), { recursive: true });
    for (let step = 4 * iteration - 3; step <= 4 * iteration; step++)
      files.outputs(iteration).append({ step });
    files.writeHistory(iteration, new Reservoir<string>(2, 1));
    files.writeModel(iteration, files.modelFolder(iteration));
  }
  files.rewind(6, 4);
  expect(files.model(1)).toBe(files.modelFolder(1));
  expect(files.model(2)).toBeUndefined();
  expect(files.lines(2, "outputs")).toEqual(['{"step":5}', '{"step":6}']);
  expect([files.modelFolder(2), files.folder(3)].map((path) => existsSync(path))).toEqual([false, false]);
  expect(files.history(2, 2, 1)).toBeUndefined();
  // At the end of an iteration its results stand.
  files.rewind(4, 4);
  expect(files.model(1)).toBe(files.modelFolder(1));
  expect(files.lines(1, "outputs")).toHaveLength(4);
  expect(files.lines(2, "outputs")).toEqual([]);
});

test("a_run_folder_that_was_moved_still_finds_its_reward_models", () => {
  const files = new IterationFiles(join(root, "here"));
  for (const iteration of [1, 2, 3]) mkdirSync(files.folder(iteration), { recursive: true });
  files.writeModel(1, files.modelFolder(1));
  // All labels of the second iteration were equal: the model of the first one stays in force.
  files.writeModel(2, files.modelFolder(1));
  files.writeModel(3, "runs/reward");
  renameSync(join(root, "here"), join(root, "there"));
  const moved = new IterationFiles(join(root, "there"));
  const first = join(root, "there/iteration-001/model");
  expect([1, 2, 3].map((i) => moved.model(i))).toEqual([first, first, "runs/reward"]);
  // As earlier versions wrote it.
  writeFileSync(join(moved.folder(3), "result.json"), '{"model": "runs/x"}');
  expect(moved.model(3)).toBe("runs/x");
});
