// Every stage of the registry killed at changes of files and at moments, resumed, and compared: `pnpm kills` at smoke size.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { killStage } from "../bench/stage-kills.ts";
import { type KillWords, makeKillWords } from "../bench/support/kill-recipes.ts";
import { STAGE_TABLE } from "../src/commands/stage-table.ts";
import { buildOnce } from "./built.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-stage-kills-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const TIME = 1_800_000;
/** A few each; `pnpm kills` makes as many as one wants. */
const KILLS = 6;

let words: KillWords;
beforeAll(async () => {
  buildOnce();
  words = await makeKillWords(join(root, "recipes"));
}, TIME);

test.each(Object.keys(STAGE_TABLE))(
  "%s_killed_a_few_times_gives_the_bits_of_an_unbroken_run",
  async (stage) => {
    const tally = await killStage(stage, words[stage]!, {
      folder: join(root, stage),
      kills: KILLS,
      seed: 11,
    });
    expect(tally.faults).toEqual([]);
    expect(tally.kills).toBe(KILLS);
  },
  TIME,
);
