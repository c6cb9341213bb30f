// Where a stage's process stands among all that run it.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openStageContext, type RankPlace } from "../src/index.ts";

test("every_stage_has_its_rank_the_world_and_the_groups", async () => {
  const folder = mkdtempSync(join(tmpdir(), "nsa-place-"));
  const placeOf = async (ranks?: RankPlace) => {
    const context = openStageContext({ runDir: folder, ...(ranks && { ranks }) });
    await context.close();
    return context.parallel;
  };
  expect(await placeOf()).toEqual({ rank: 0, world: 1, groups: { data: [0] } });
  expect(await placeOf({ rank: 2, world: 3, folder })).toEqual({
    rank: 2,
    world: 3,
    groups: { data: [0, 1, 2] },
  });
  const groups = { data: [0, 1], sampling: [2, 3] };
  expect(await placeOf({ rank: 3, world: 4, folder, groups })).toEqual({ rank: 3, world: 4, groups });
});

test("files_that_a_killed_process_left_half_written_go_and_those_of_a_running_one_stay", async () => {
  const folder = mkdtempSync(join(tmpdir(), "nsa-leftovers-"));
  mkdirSync(join(folder, "checkpoints"));
  const ended = spawnSync(process.execPath, ["-e", ""]).pid;
  const names = [
    `best.json.tmp-${ended}`,
    `checkpoints/best.json.tmp-${ended}`,
    "samples.tmp.jsonl",
    "a.tmp-",
  ];
  names.push(`run.json.tmp-${process.ppid}`);
  for (const name of names) writeFileSync(join(folder, name), "half");
  await openStageContext({ runDir: folder }).close();
  expect(names.filter((name) => existsSync(join(folder, name)))).toEqual(names.slice(2));
});
