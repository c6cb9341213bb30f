// A run folder has one trainer at a time: the next waits for it, refuses after a while, and takes over from a dead one.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { holdRun } from "../src/child/hold-run.ts";

const folder = () => mkdtempSync(join(tmpdir(), "nsa-hold-"));
const pidFile = (dir: string) => join(dir, "trainer.pid");

/** Another trainer that holds the folder. */
async function other(dir: string) {
  const script = join(folder(), "trainer-main.mjs");
  writeFileSync(script, "console.log('up'); setInterval(() => {}, 1000);");
  const child = spawn(process.execPath, [script], { stdio: ["ignore", "pipe", "inherit"] });
  await once(child.stdout, "data");
  writeFileSync(pidFile(dir), String(child.pid));
  return child;
}

test("a_free_folder_is_held_until_the_run_ends", async () => {
  const dir = folder();
  {
    using _held = await holdRun(dir);
    expect(readFileSync(pidFile(dir), "utf8")).toBe(String(process.pid));
  }
  expect(existsSync(pidFile(dir))).toBe(false);
});

test.each(["4194303999", "", "no number"])("what_a_dead_trainer_left_is_taken_over_%j", async (left) => {
  const dir = folder();
  writeFileSync(pidFile(dir), left);
  using _held = await holdRun(dir, 5000);
  expect(readFileSync(pidFile(dir), "utf8")).toBe(String(process.pid));
});

test("the_next_trainer_starts_when_the_one_before_has_ended", async () => {
  const dir = folder();
  const child = await other(dir);
  let held = false;
  const waiting = holdRun(dir, 20_000).then((hold) => {
    held = true;
    return hold;
  });
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(held).toBe(false);
  child.kill("SIGKILL");
  using _hold = await waiting;
  expect(held).toBe(true);
});

test("a_trainer_that_does_not_end_is_named", async () => {
  const dir = folder();
  const child = await other(dir);
  await expect(holdRun(dir, 200)).rejects.toMatchObject({
    code: "run_in_use",
    exitCode: 2,
    what: expect.stringContaining(String(child.pid)),
  });
  child.kill("SIGKILL");
});
