// What iterations leave in a run folder: read back whole, and cut back to a step.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
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
      files.outputs(iteration).append({ step, output: 0, prompt_ids: [1] });
    files.writeHistory(iteration, new Reservoir<string>(2, 1));
    files.writeModel(iteration, files.modelFolder(iteration));
  }
  files.rewind(6, 4);
  expect(files.model(1)).toBe(files.modelFolder(1));
  expect(files.model(2)).toBeUndefined();
  expect(files.lines(2, "outputs")).toEqual(
    [5, 6].map((step) => `{"step":${step},"output":0,"prompt_ids":[1]}`),
  );
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

/** Files of a settled iteration of two steps with two outputs each. */
function settled(name: string): IterationFiles {
  const files = new IterationFiles(join(root, name));
  mkdirSync(files.folder(1), { recursive: true });
  for (const [step, output] of [
    [1, 0],
    [1, 1],
    [2, 0],
    [2, 1],
  ])
    files.outputs(1).append({ step, output, prompt_ids: [1] });
  files.writeHeldOut(1, ['{"a":1}', '{"a":2}']);
  const history = new Reservoir<string>(3, 5);
  for (let i = 0; i < 5; i++) history.add(`{"i":${i}}`);
  files.writeHistory(1, history);
  files.writeModel(1, files.modelFolder(1));
  return files;
}

let number = 0;
test.each([
  ["history.jsonl", "", "history.jsonl", "it is empty"],
  ["history.jsonl", '{"seen":5', "history.jsonl:1", "the line has no end"],
  ["history.jsonl", "null\n", "history.jsonl:1", "it must be an object"],
  ["history.jsonl", '{"seen":-1}\n', "history.jsonl:1", "seen: it must be at least 0"],
  ["history.jsonl", '{"seen":1,"kept":1}\n3\n', "history.jsonl:2", "it must be an object"],
  ["history.jsonl", '{"seen":5,"kept":3}\n{}\n', "history.jsonl", "it has 1 records, and 3 were written"],
  ["history.jsonl", '{"seen":1}\n{}\n{}\n', "history.jsonl", "it has 2 records, and at most 1"],
  ["result.json", "{", "result.json", "it is not JSON"],
  ["result.json", "null", "result.json", "it has none of the forms"],
  ["result.json", '{"iteration":0}', "result.json", "iteration: it must be at least 1"],
  ["held-out.jsonl", '{"a":1}\n{"a"', "held-out.jsonl:2", "the line has no end"],
  ["held-out.jsonl", '{"a":1}\n', "held-out.jsonl", "it has 1 rows, and 2 were written"],
  ["held-out.jsonl", "[]\n", "held-out.jsonl:1", "it must be an object"],
  ["outputs.jsonl", '{"step":1,"output":0}\n', "outputs.jsonl:1", "prompt_ids: it must be a list"],
])("a_damaged_file_of_an_iteration_is_named_%#", (file, text, place, why) => {
  const files = settled(`damaged-${number++}`);
  const path = join(files.folder(1), file);
  writeFileSync(path, text);
  const read = () => {
    files.model(1);
    files.history(1, 3, 5);
    files.lines(1, "held-out");
    files.lines(1, "outputs");
  };
  expect(read).toThrow(
    expect.objectContaining({
      ...{ code: "iteration_damaged", exitCode: 3, what: join(files.folder(1), place) },
      why: expect.stringContaining(why),
    }),
  );
});

test("outputs_that_an_iteration_lost_are_noticed_in_the_middle_of_a_step_at_its_end_and_as_a_whole", () => {
  const files = settled("lost");
  const { path } = files.outputs(1);
  const lines = readFileSync(path, "utf8").trimEnd().split("\n");
  const of = (kept: number[], counts: [number, number][] = []) => {
    writeFileSync(path, kept.map((i) => `${lines[i]}\n`).join(""));
    return () => files.requireSteps(1, 1, 2, new Map(counts));
  };
  const why = (text: string) => expect.objectContaining({ code: "iteration_damaged", why: text });
  expect(of([0, 1, 2, 3])).not.toThrow();
  expect(
    of(
      [0, 1, 2, 3],
      [
        [1, 2],
        [2, 2],
      ],
    ),
  ).not.toThrow();
  expect(of([0, 1, 3])).toThrow(why("it is output 1 of step 2, and output 0 was to follow"));
  expect(of([0, 1, 2], [[2, 2]])).toThrow(why("it has 1 of the 2 outputs of step 2"));
  expect(of([0, 1])).toThrow(why("it has 0 of the 1 outputs of step 2"));
  rmSync(path);
  expect(() => files.requireSteps(1, 1, 2, new Map())).toThrow(why("it has 0 of the 1 outputs of step 1"));
});
