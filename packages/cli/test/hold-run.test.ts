// A run folder has one trainer at a time: the next waits for it, refuses after a while, and takes over from a dead one.
import { fork, spawn } from "node:child_process";
import { once } from "node:events";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { atomicWriteDir, atomicWriteFile, JsonlFile, writeWhole } from "@nsa/core";
import { expect, test } from "vitest";
import { holdRun } from "../src/child/hold-run.ts";

const folder = () => mkdtempSync(join(tmpdir(), "nsa-hold-"));
const OLD = "trainer.pid";
const space = () =>
  `${readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()} ${readlinkSync("/proc/self/ns/pid")}`;
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

const locks = (dir: string) => readdirSync(dir).filter((name) => name.startsWith(".lock"));

test("a_free_folder_is_held_by_a_named_owner_until_the_run_ends", async () => {
  const dir = folder();
  for (const lock of [".lock-000001", ".lock-000002"]) {
    {
      using _held = await holdRun(dir);
      expect(locks(dir)).toEqual([lock]);
      expect(JSON.parse(readFileSync(join(dir, lock), "utf8"))).toMatchObject({
        pid: process.pid,
        host: hostname(),
      });
      await expect(holdRun(dir, { patienceMs: 100 })).rejects.toMatchObject({ code: "run_in_use" });
    }
    expect(readFileSync(join(dir, lock), "utf8")).toBe("free\n");
  }
});

test("what_processes_that_asked_for_the_folder_and_were_killed_have_left_goes_with_the_start_and_the_end", async () => {
  const dir = folder();
  const leave = (name: string) => writeFileSync(join(dir, name), "");
  // No process has such a number.
  leave(".lock-000001.clock-4194303999");
  {
    using _held = await holdRun(dir);
    expect(locks(dir)).toEqual([".lock-000001"]);
    leave(".lock-000001.clock-4194303998");
    leave(`.lock-000002.tmp-${process.ppid}`);
  }
  // The second is of a process that runs.
  expect(locks(dir)).toEqual([".lock-000001", `.lock-000002.tmp-${process.ppid}`]);
});

test.each(["4194303999", "", "no number", String(process.pid)])(
  "what_a_dead_trainer_left_is_taken_over_%j",
  async (left) => {
    const dir = folder();
    writeFileSync(pidFile(dir), left);
    using _held = await holdRun(dir, { patienceMs: 5000 });
    expect([existsSync(pidFile(dir)), locks(dir)]).toEqual([false, [".lock-000001"]]);
  },
);

const owner = { pid: process.pid, started: "1", host: hostname(), space: "" };
test.each([
  ["whose number another process has now", { ...owner, space: space() }, 0, true],
  ["that has no such process", { ...owner, pid: 4194303999, space: space() }, 0, true],
  ["of another machine that marks it", { ...owner, host: "elsewhere" }, 100, false],
  ["of another machine that no longer marks it", { ...owner, host: "elsewhere" }, 500, true],
  ["of a container that marks it", { ...owner, space: "b pid:[1]" }, 100, false],
])("a_lock_of_an_owner_%s_%#", async (_, left, seconds, free) => {
  const dir = folder();
  const path = join(dir, ".lock-000007");
  writeFileSync(path, JSON.stringify(left));
  const then = Date.now() / 1000 - seconds;
  utimesSync(path, then, then);
  if (free) {
    using _held = await holdRun(dir, { patienceMs: 100 });
    expect(locks(dir)).toEqual([".lock-000008"]);
  } else await expect(holdRun(dir, { patienceMs: 100 })).rejects.toMatchObject({ code: "run_in_use" });
});

test("an_owner_that_is_busy_marks_its_lock_all_the_same", async () => {
  const dir = folder();
  {
    using _held = await holdRun(dir, { patienceMs: 100, beatMs: 20 });
    const path = join(dir, ".lock-000001");
    const text = readFileSync(path, "utf8");
    utimesSync(path, 1, 1);
    // Nothing of this process's own thread runs in the meantime.
    const until = performance.now() + 20_000;
    while (statSync(path).mtimeMs < 2000 && performance.now() < until);
    expect(statSync(path).mtimeMs).toBeGreaterThan(2000);
    expect(readFileSync(path, "utf8")).toBe(text);
  }
});

test("a_wait_for_a_folder_is_one_line_that_names_its_holder", async () => {
  const dir = folder();
  using _held = await holdRun(dir);
  const lines: string[] = [];
  const onWait = (text: string) => lines.push(text);
  await expect(holdRun(dir, { patienceMs: 1200, onWait })).rejects.toMatchObject({ code: "run_in_use" });
  expect(lines).toEqual([
    `the run ${dir} is being written by process ${process.pid}; waiting up to 1.2 s for its end`,
  ]);
});

test("a_lock_that_was_left_without_an_owner_is_taken_over_after_a_moment", async () => {
  const dir = folder();
  writeFileSync(join(dir, ".lock-000001"), "");
  await expect(holdRun(dir, { patienceMs: 100 })).rejects.toMatchObject({ code: "run_in_use" });
  const then = Date.now() / 1000 - 60;
  utimesSync(join(dir, ".lock-000001"), then, then);
  using _held = await holdRun(dir, { patienceMs: 100 });
  expect(locks(dir)).toEqual([".lock-000002"]);
});

test("of_processes_that_race_for_a_folder_with_a_dead_owner_one_holds_it_at_a_time", async () => {
  const dir = folder();
  const flags = ["--conditions=nsa-source", "--import", import.meta.resolve("tsx")];
  const racers = Array.from({ length: 5 }, () =>
    fork(join(import.meta.dirname, "hold-racer.ts"), [], { execArgv: flags }),
  );
  await Promise.all(racers.map((racer) => once(racer, "message")));
  for (let round = 0; round < 25; round++) {
    for (const name of readdirSync(dir)) rmSync(join(dir, name));
    const [file, text] = [
      [OLD, "999999"],
      [OLD, ""],
      [".lock-000003", JSON.stringify({ ...owner, pid: 4194303999, space: space() })],
      [".lock-000003", "free\n"],
    ][round % 4] as [string, string];
    writeFileSync(join(dir, file), text);
    const answers = racers.map((racer) => once(racer, "message"));
    for (const racer of racers) racer.send(dir);
    const times = (await Promise.all(answers)).map(([[from, to]]) => [BigInt(from), BigInt(to)] as const);
    times.sort(([a], [b]) => (a < b ? -1 : 1));
    // Each takes the folder after the one before has let it go.
    for (let i = 1; i < times.length; i++)
      expect(times[i]![0] >= times[i - 1]![1], `round ${round}`).toBe(true);
  }
  for (const racer of racers) racer.kill();
}, 120_000);

test("the_next_trainer_starts_when_the_one_before_has_ended", async () => {
  const dir = folder();
  const child = await other(dir);
  let held = false;
  const waiting = holdRun(dir, { patienceMs: 20_000 }).then((hold) => {
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
  await expect(holdRun(dir, { patienceMs: 200 })).rejects.toMatchObject({
    code: "run_in_use",
    exitCode: 2,
    what: expect.stringContaining(String(child.pid)),
  });
  child.kill("SIGKILL");
});

/** What another machine does that takes a lock for abandoned. */
function takeOver(dir: string, n: number): void {
  const name = (i: number) => join(dir, `.lock-${String(i).padStart(6, "0")}`);
  writeFileSync(name(n + 1), JSON.stringify({ ...owner, host: "elsewhere" }));
  rmSync(name(n), { force: true });
}

test.each<[string, (dir: string) => unknown]>([
  ["a_file_written_whole", (dir) => atomicWriteFile(join(dir, "summary.json"), "{}")],
  ["a_checkpoint", (dir) => atomicWriteDir(join(dir, "checkpoints/step-000001"), () => {})],
  ["a_row", (dir) => new JsonlFile(join(dir, "metrics.jsonl")).append({ step: 1 })],
  ["a_cut_of_rows", (dir) => new JsonlFile(join(dir, "rows.jsonl")).truncateToStep(0)],
  ["a_file_of_any_size", (dir) => writeWhole(join(dir, "large"), new Uint8Array(3))],
  ["a_file_below", (dir) => atomicWriteFile(join(dir, "checkpoints/best.json"), "{}")],
])("a_holder_whose_lock_was_taken_over_writes_no_more_%s", async (_, write) => {
  const dir = folder();
  mkdirSync(join(dir, "checkpoints"));
  writeFileSync(join(dir, "rows.jsonl"), '{"step":1}\n');
  const entries = () => readdirSync(dir, { recursive: true }).sort();
  let left: unknown[];
  {
    using _held = await holdRun(dir);
    await write(dir);
    for (const name of entries() as string[])
      if (!/^(checkpoints|rows\.jsonl|\.lock.*)$/.test(name)) rmSync(join(dir, name), { recursive: true });
    writeFileSync(join(dir, "rows.jsonl"), '{"step":1}\n');
    takeOver(dir, 1);
    left = entries();
    await expect((async () => write(dir))()).rejects.toMatchObject({ code: "run_taken_over", exitCode: 3 });
    // Elsewhere it may write.
    atomicWriteFile(`${dir}-report.html`, "");
    rmSync(`${dir}-report.html`);
  }
  // Letting go leaves the other's lock, and nothing beside it.
  expect(entries()).toEqual(left);
  expect(readFileSync(join(dir, "rows.jsonl"), "utf8")).toBe('{"step":1}\n');
});

test("a_lock_taken_over_while_a_checkpoint_is_written_leaves_the_folder_to_the_other", async () => {
  const dir = folder();
  using _held = await holdRun(dir);
  const saving = atomicWriteDir(join(dir, "checkpoints/step-000001"), (temporary) => {
    writeFileSync(join(temporary, "state.json"), "{}");
    takeOver(dir, 1);
  });
  await expect(saving).rejects.toMatchObject({ code: "run_taken_over" });
  expect(readdirSync(join(dir, "checkpoints"))).toEqual([]);
});
