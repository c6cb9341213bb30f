// Where a stage's process stands among all that run it.
import { mkdtempSync } from "node:fs";
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
