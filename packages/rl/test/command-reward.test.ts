// A program as a reward: answers in any order, and every way in which it can fail.
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { WorkInterrupted } from "@nsa/core";
import { afterAll, expect, test, vi } from "vitest";
import { makeScorer, type Scored, type Scorer } from "../src/index.ts";
import { rewardSchema } from "../src/rewards/config.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-command-"));
const open: Scorer[] = [];
afterAll(async () => {
  for (const scorer of open) await scorer.close();
  rmSync(root, { recursive: true, force: true });
});

const output = (completion: string): Scored => ({
  prompt: "p",
  question: "q",
  completion,
  promptIds: [],
  ids: [],
  answer: "4",
  tokens: completion.length,
  maxTokens: 9,
});

let files = 0;
/** A scorer whose program runs `body` for each batch of rows, with `out(row)` to answer. */
async function scorerOf(body: string, more: object = {}): Promise<Scorer> {
  const file = join(root, `verify-${files++}.mjs`);
  writeFileSync(
    file,
    `import { createInterface } from "node:readline";
const out = (row) => process.stdout.write(JSON.stringify(row) + "\\n");
let rows = [];
for await (const line of createInterface({ input: process.stdin })) {
  if (line !== "") { rows.push(JSON.parse(line)); continue; }
  ${body}
  rows = [];
}`,
  );
  const config = rewardSchema.parse({ kind: "command", command: [process.execPath, file], ...more });
  const scorer = await makeScorer([config], {} as never);
  open.push(scorer);
  return scorer;
}
const texts = [output("ab"), output("abcde"), output("a")];
const context = { step: 7, group: [3, 3, 5] };
const faults = async (scorer: Scorer) => (await scorer.score(texts, context)).map((r) => r.fault);

test("a_program_sees_each_output_and_may_answer_in_any_order_over_several_batches", async () => {
  const scorer = await scorerOf(
    "for (const r of rows.reverse()) out({ id: r.id, reward: 100 * r.group + 10 * r.step + r.completion.length + r.max_tokens / 100 });",
  );
  const totals = async () => (await scorer.score(texts, context)).map((r) => r.total);
  expect(await totals()).toEqual([372.09, 375.09, 571.09]);
  expect(await totals()).toEqual([372.09, 375.09, 571.09]);
});

test("a_program_that_ends_after_each_batch_is_started_again", async () => {
  const scorer = await scorerOf(
    "for (const r of rows) out({ id: r.id, reward: r.tokens }); process.exit(0);",
    {
      deadlineMs: 60_000,
    },
  );
  for (let batch = 0; batch < 3; batch++)
    expect((await scorer.score(texts, context)).map((r) => r.total)).toEqual([2, 5, 1]);
});

test("steps_and_errors_of_single_outputs_are_taken_as_such", async () => {
  const scorer = await scorerOf(`for (const r of rows) {
    if (r.tokens === 2) out({ id: r.id, error: "no idea" });
    else out({ id: r.id, steps: [{ end: 1, reward: 0.25 }, { end: r.tokens, reward: 1 }] });
  }`);
  const rewards = await scorer.score(texts, context);
  expect(rewards.map((r) => r.fault)).toEqual(["command answered: no idea", undefined, undefined]);
  expect(rewards[1]!.steps).toEqual([
    { end: 1, reward: 0.25, of: "command" },
    { end: 5, reward: 1, of: "command" },
  ]);
});

test.each([
  ["hangs", "", { deadlineMs: 300 }, /answered 0 of 3 within 300 ms/],
  ["dies", 'console.error("first\\nout of cheese"); process.exit(3);', {}, /exit code 3.*out of cheese/],
  ["is_killed", "process.kill(process.pid, 'SIGKILL');", {}, /ended with SIGKILL/],
  [
    "floods",
    'for (let i = 0; i < 200; i++) process.stdout.write("x".repeat(1 << 16));',
    {},
    /more than 1048576 characters/,
  ],
  ["writes_no_json", 'process.stdout.write("hello\\n");', {}, /not JSON: hello/],
  ["answers_another_id", "out({ id: 77, reward: 1 });", {}, /not asked for/],
  [
    "answers_twice",
    "out({ id: rows[0].id, reward: 1 }); out({ id: rows[0].id, reward: 2 });",
    {},
    /id 0 twice/,
  ],
])("a_program_that_%s_is_named_with_what_it_did", async (_, body, more, wanted) => {
  const scorer = await scorerOf(body, more as object);
  for (const fault of await faults(scorer)) expect(fault).toMatch(wanted);
});

const answers = "for (const r of rows) out({ id: r.id, reward: r.tokens });";
let flags = 0;

/** Waits for a line in a file that the program writes; what it wrote before is in the pipe, and is read in the next turns. */
async function readUpTo(written: string): Promise<void> {
  await vi.waitUntil(() => existsSync(written) && readFileSync(written, "utf8").endsWith("\n"), {
    timeout: 60_000,
  });
  for (let turn = 0; turn < 20; turn++) await new Promise((done) => void setImmediate(done));
}

/** Faults of a second batch, once what the program's `late` wrote after its answers to the first has been read. */
async function faultsAfter(late: (flag: string) => string): Promise<(string | undefined)[]> {
  const written = join(root, `late-${flags++}`);
  const flag = `(await import("node:fs")).writeFileSync(${JSON.stringify(written)}, "\\n");`;
  const scorer = await scorerOf(`${answers} ${late(flag)}`);
  expect((await scorer.score(texts, context)).map((r) => r.total)).toEqual([2, 5, 1]);
  await readUpTo(written);
  return await faults(scorer);
}

const thrice = (fault: string) => [fault, fault, fault];

test("a_line_in_one_write_with_the_last_answer_is_a_fault_of_the_next_batch", async () => {
  const scorer = await scorerOf(
    'process.stdout.write([...rows.map((r) => ({ id: r.id, reward: r.tokens })), { id: 77, reward: 9 }].map((row) => JSON.stringify(row) + "\\n").join(""));',
  );
  expect((await scorer.score(texts, context)).map((r) => r.total)).toEqual([2, 5, 1]);
  expect(await faults(scorer)).toEqual(
    thrice('command wrote a line after its last answer to a batch: {"id":77,"reward":9}'),
  );
});

test.each([
  ["stays", ""],
  ["ends", "process.exit(0);"],
])("a_line_between_batches_is_a_fault_of_the_next_one_of_a_program_that_then_%s", async (_, then) => {
  const repeat = "await new Promise((done) => setTimeout(done, 30)); out({ id: rows.at(-1).id, reward: 9 });";
  expect(await faultsAfter((flag) => `${repeat} ${flag} ${then}`)).toEqual(
    thrice('command wrote a line after its last answer to a batch: {"id":2,"reward":9}'),
  );
});

test.each([
  ["stays", ""],
  ["ends", "process.exit(0);"],
])("a_flood_between_batches_is_a_fault_of_the_next_one_of_a_program_that_then_%s", async (_, then) => {
  const flood = (flag: string) => `
    let closed = false;
    process.stdout.on("error", () => { closed = true; });
    while (!closed) await new Promise((done) => process.stdout.write("x".repeat(1 << 16), () => setImmediate(done)));
    ${flag} ${then}`;
  expect(await faultsAfter(flood)).toEqual(
    thrice("command wrote more than 1048576 characters after its last answer to a batch"),
  );
});

test("a_line_that_comes_once_the_next_batch_was_asked_is_an_answer_that_was_not_asked_for", async () => {
  const scorer = await scorerOf(
    `if (globalThis.last !== undefined) out({ id: globalThis.last, reward: 9 }); globalThis.last = rows.at(-1).id; ${answers}`,
  );
  expect((await scorer.score(texts, context)).map((r) => r.total)).toEqual([2, 5, 1]);
  expect(await faults(scorer)).toEqual(
    thrice('command answered an id that was not asked for: {"id":2,"reward":9}'),
  );
});

test("answers_with_a_mark_null_steps_errors_of_any_kind_and_both_rewards_are_read_as_what_they_are", async () => {
  const of = async (row: string) => {
    const scorer = await scorerOf(`for (const r of rows) out({ id: r.id, ${row} });`);
    const [first] = await scorer.score(texts, context);
    return first!.fault ?? first!.total;
  };
  expect(await of("reward: 2, steps: null")).toBe(2);
  expect(await of('error: ""')).toBe("command answered an error without a text");
  expect(await of('error: { code: 7, why: "no" }')).toBe('command answered: {"code":7,"why":"no"}');
  expect(await of("reward: 1, steps: [{ end: 1, reward: 1 }]")).toMatch(
    /^command answered both a reward and steps/,
  );
  const marked = await scorerOf(
    'for (const r of rows) process.stdout.write("\\ufeff" + JSON.stringify({ id: r.id, reward: 3 }) + "\\n");',
  );
  expect((await marked.score(texts, context)).map((r) => r.total)).toEqual([3, 3, 3]);
});

test("an_interruption_ends_a_program_that_hangs_and_the_step_is_not_done", async () => {
  const pids = join(root, "hangs.pid");
  const file = join(root, "hangs.mjs");
  writeFileSync(
    file,
    `import { renameSync, writeFileSync } from "node:fs";
writeFileSync(${JSON.stringify(pids)} + ".new", String(process.pid));
renameSync(${JSON.stringify(pids)} + ".new", ${JSON.stringify(pids)});
setInterval(() => {}, 1000);`,
  );
  const config = rewardSchema.parse({
    kind: "command",
    command: [process.execPath, file],
    deadlineMs: 600_000,
  });
  const interrupted = () => existsSync(pids);
  const scorer = await makeScorer([config], { interrupted } as never);
  await expect(scorer.score(texts, context)).rejects.toBeInstanceOf(WorkInterrupted);
  const pid = Number(readFileSync(pids, "utf8"));
  await vi.waitUntil(() => !alive(pid), { timeout: 20_000 });
}, 60_000);

test("an_interruption_ends_the_wait_for_a_function_that_never_answers", async () => {
  const file = join(root, "never.mjs");
  for (const body of [
    "export default () => new Promise(() => {});",
    "export default { scoreBatch: () => new Promise(() => {}) };",
  ]) {
    writeFileSync(file.replace("never", `never-${files++}`), body);
    const config = rewardSchema.parse({ kind: "custom", file: file.replace("never", `never-${files - 1}`) });
    let asked = 0;
    const scorer = await makeScorer([config], { interrupted: () => asked++ > 2 } as never);
    await expect(scorer.score(texts, context)).rejects.toBeInstanceOf(WorkInterrupted);
  }
});

test("a_program_that_floods_is_no_longer_read_once_the_batch_has_failed", async () => {
  const scorer = await scorerOf(
    `process.stdout.write("no json\\n");
     for (;;) { if (!process.stdout.write("x".repeat(1 << 16))) await new Promise((done) => process.stdout.once("drain", done)); }`,
  );
  for (const fault of await faults(scorer)) expect(fault).toMatch(/not JSON: no json/);
  const line = await scorerOf(
    'for (;;) { if (!process.stdout.write("x".repeat(1 << 16))) await new Promise((done) => process.stdout.once("drain", done)); }',
  );
  const many = Array.from({ length: 64 }, () => output("a"));
  const scored = await line.score(many, { step: 1, group: many.map(() => 0) });
  for (const { fault } of scored) expect(fault).toMatch(/more than 1048576 characters/);
});

/** Faults under a deadline of 300 ms that passes once the program has written a file, however long it takes to start. */
async function faultsAtDeadline(scorer: Scorer, written: string) {
  const { setTimeout: later } = globalThis;
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  try {
    const found = faults(scorer);
    const there = () => existsSync(written) && readFileSync(written, "utf8").endsWith("\n");
    while (!there()) await new Promise((done) => void later(done, 5));
    // What the program answered before is in the pipe: it is read in the next turns.
    for (let turn = 0; turn < 20; turn++) await new Promise((done) => void setImmediate(done));
    vi.advanceTimersByTime(300);
    return await found;
  } finally {
    vi.useRealTimers();
  }
}

test("a_program_that_stops_half_way_is_named_with_what_it_answered", async () => {
  const written = join(root, "answered");
  const scorer = await scorerOf(
    `out({ id: rows[0].id, reward: 1 }); (await import("node:fs")).writeFileSync(${JSON.stringify(written)}, "\\n");`,
    { deadlineMs: 300 },
  );
  for (const fault of await faultsAtDeadline(scorer, written))
    expect(fault).toBe("command answered 1 of 3 within 300 ms");
});

test("the_last_line_of_a_program_that_ended_counts_without_its_line_break_if_it_is_whole", async () => {
  const last = (end: string) => `for (const r of rows) {
    const row = JSON.stringify({ id: r.id, reward: r.tokens });
    process.stdout.write(r === rows.at(-1) ? row${end} : row + "\\n");
  }`;
  const whole = await scorerOf(`${last("")} process.exit(0);`, { deadlineMs: 60_000 });
  for (let batch = 0; batch < 2; batch++)
    expect((await whole.score(texts, context)).map((r) => r.total)).toEqual([2, 5, 1]);
  const cut = await scorerOf(`${last(".slice(0, 9)")} process.exit(3);`, { deadlineMs: 60_000 });
  for (const fault of await faults(cut))
    expect(fault).toMatch(
      /ended with exit code 3 before it had answered; its last line has no end: {"id":2,"/,
    );
  const written = join(root, "cut-off");
  const done = `(await import("node:fs")).writeFileSync(${JSON.stringify(written)}, "\\n");`;
  const waits = await scorerOf(`${last("")} ${done}`, { deadlineMs: 300 });
  for (const fault of await faultsAtDeadline(waits, written))
    expect(fault).toBe(
      'command answered 2 of 3 within 300 ms; its last line has no end: {"id":2,"reward":1}',
    );
});

test("an_answer_without_a_number_and_a_program_whose_interpreter_is_not_there_are_faults", async () => {
  const wrong = await scorerOf('for (const r of rows) out({ id: r.id, reward: "good" });');
  for (const fault of await faults(wrong)) expect(fault).toBe('command returned "good"');
  const path = join(root, "no-interpreter");
  writeFileSync(path, `#!${join(root, "absent")}\n`, { mode: 0o755 });
  const scorer = await makeScorer([rewardSchema.parse({ kind: "command", command: [path] })], {} as never);
  for (const fault of await faults(scorer)) expect(fault).toMatch(/cannot be run.*not found/);
});

test("a_program_that_is_not_there_or_cannot_be_run_is_an_error_before_any_output", async () => {
  const plain = join(root, "plain.txt");
  writeFileSync(plain, "");
  const commands: [string[], RegExp][] = [
    [[], /not set/],
    [[join(root, "absent")], /no file of that path/],
    [[plain], /no file of that path/],
    [[root], /no file of that path/],
    [["nsa-absent-program", "x"], /no folder of PATH/],
    [[""], /no folder of PATH/],
  ];
  for (const [command, why] of commands) {
    const opened = makeScorer([rewardSchema.parse({ kind: "command", command })], {} as never);
    await expect(opened, command.join(" ")).rejects.toMatchObject({
      code: "reward_command_missing",
      why: expect.stringMatching(why),
      exitCode: 2,
    });
  }
});

test("a_program_and_its_helper_end_with_the_process_that_asked_them_when_it_is_killed", async () => {
  const pids = join(root, "tied-pids");
  const helper = "setInterval(() => {}, 1000)";
  const program = `
import { spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
const helper = spawn(process.execPath, ["-e", ${JSON.stringify(helper)}], { stdio: "ignore" });
writeFileSync(${JSON.stringify(pids)} + ".new", process.pid + " " + helper.pid);
(await import("node:fs")).renameSync(${JSON.stringify(pids)} + ".new", ${JSON.stringify(pids)});
for (;;) await new Promise((done) => setTimeout(done, 1000));`;
  const file = join(root, "endless.mjs");
  writeFileSync(file, program);
  const caller = spawn(
    process.execPath,
    ["--conditions=nsa-source", "--import", "tsx", join(import.meta.dirname, "command-main.ts"), file],
    { stdio: "inherit" },
  );
  await vi.waitUntil(() => existsSync(pids), { timeout: 60_000 });
  const running = readFileSync(pids, "utf8").split(" ").map(Number);
  expect(running.map(alive)).toEqual([true, true]);
  caller.kill("SIGKILL");
  await vi.waitUntil(() => !running.some(alive), { timeout: 20_000 });
}, 90_000);

const alive = (pid: number) => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

/** A shell script as the program, and the file in which it leaves the number of its helper. */
async function helperOf(name: string, script: string, deadlineMs: number) {
  const pidFile = join(root, `${name}.pid`);
  const command = ["bash", "-c", script.replace("PID", pidFile)];
  const scorer = await makeScorer(
    [rewardSchema.parse({ kind: "command", command, deadlineMs })],
    {} as never,
  );
  return { scorer, pidFile, helper: () => Number(readFileSync(pidFile, "utf8")) };
}

test("a_helper_in_its_own_session_does_not_hold_up_the_deadline", async () => {
  const { scorer, pidFile, helper } = await helperOf(
    "session",
    "setsid sleep 300 & echo $! > PID; sleep 300",
    300,
  );
  for (const fault of await faultsAtDeadline(scorer, pidFile))
    expect(fault).toBe("command answered 0 of 3 within 300 ms");
  await scorer.close();
  process.kill(helper(), "SIGKILL");
});

test("a_helper_in_the_background_does_not_hold_up_the_end_and_ends_with_its_program", async () => {
  const { scorer, helper } = await helperOf("background", "sleep 300 & echo $! > PID; exit 0", 60_000);
  for (const fault of await faults(scorer)) expect(fault).toMatch(/ended with exit code 0/);
  await scorer.close();
  // The kernel takes a killed process away in its own time.
  await vi.waitFor(() => expect(alive(helper())).toBe(false), { timeout: 20_000 });
});

test("a_reward_that_its_weight_makes_too_large_and_an_answer_without_a_plain_number_are_faults", async () => {
  const scorer = await scorerOf(
    "for (const r of rows) out({ id: r.id, reward: r.tokens === 2 ? { reward: 1 } : 1e15, error: null });",
    { weight: 1e6 },
  );
  expect(await faults(scorer)).toEqual([
    expect.stringMatching(/command answered no number/),
    "command with its weight came to 1e+21, which is beyond ±1e+15",
    "command with its weight came to 1e+21, which is beyond ±1e+15",
  ]);
  const large = await scorerOf(`for (const r of rows) {
    const end = r.tokens;
    if (end === 1) process.stdout.write('{"id": ' + r.id + ', "reward": 1e999}\\n');
    else out(end === 2 ? { id: r.id, reward: -1e16 } : { id: r.id, steps: [{ end, reward: 2e15 }] });
  }`);
  expect(await faults(large)).toEqual([
    "command returned -10000000000000000, which is beyond ±1e+15",
    "command returned a step of 2000000000000000, which is beyond ±1e+15",
    "command returned Infinity",
  ]);
});

test("a_reward_counts_from_its_first_step_to_its_last", async () => {
  const scorer = await makeScorer(
    [
      rewardSchema.parse({ kind: "length", weight: 0, fromStep: 1 }),
      rewardSchema.parse({ kind: "format", weight: 2, fromStep: 3, toStep: 4 }),
    ],
    {} as never,
  );
  const text = output("<think> a </think> <answer> 4 </answer>");
  const parts = async (step: number) => {
    const [reward] = await scorer.score([text], { step, group: [0] });
    return [reward!.total, Object.keys(reward!.parts)];
  };
  expect(await parts(2)).toEqual([0, ["length"]]);
  expect(await parts(3)).toEqual([2, ["length", "format"]]);
  expect(await parts(4)).toEqual([2, ["length", "format"]]);
  expect(await parts(5)).toEqual([0, ["length"]]);
});
