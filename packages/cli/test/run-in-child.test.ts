// The trainer process: what it throws, how it dies and how it is stopped, seen from the command.
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { StageEvent } from "@nsa/core";
import { expect, test } from "vitest";
import { runInChild } from "../src/child/run-in-child.ts";

const folder = () => mkdtempSync(join(tmpdir(), "nsa-child-"));

/** Runs a made-up trainer whose body handles `job` and may `tell` messages. */
async function withTrainer(body: string, signal = new AbortController().signal, runDir = folder()) {
  const entry = join(folder(), "trainer.mjs");
  writeFileSync(
    entry,
    `const tell = (m) => new Promise((r) => process.send(m, undefined, undefined, r));
const done = (status) => tell({ type: "result", result: { status, step: 1, metrics: {}, outputs: {} } });
const busy = (ms) => { for (const end = Date.now() + ms; Date.now() < end; ); };
let stopped; const stop = new Promise((r) => { stopped = r; });
process.on("SIGINT", () => {});
process.on("message", async (m) => { if (m.type === "stop") return stopped(); const job = m.job; ${body} });
tell({ type: "ready" });`,
  );
  const events: StageEvent[] = [];
  const job = { stage: "pretrain", config: { lr: Number.NaN }, runDir, device: "cpu", resume: false };
  const result = await runInChild(job, { signal, onEvent: (event) => events.push(event), entry });
  return { result, events };
}

test("events_arrive_in_order_before_the_result_and_nan_survives", async () => {
  const { result, events } = await withTrainer(`
    for (let i = 0; i < 500; i++) tell({ type: "event", event: { type: "checkpoint", step: i, path: String(job.config.lr) } });
    await done("completed"); process.exit(0);`);
  expect(result.status).toBe("completed");
  expect(events.map((e) => e.type === "checkpoint" && e.step)).toEqual(
    Array.from({ length: 500 }, (_, i) => i),
  );
  expect(events[0]).toMatchObject({ path: "NaN" });
});

test("this_process_keeps_ticking_while_the_trainer_blocks_its_own", async () => {
  let ticks = 0;
  const timer = setInterval(() => ticks++, 20);
  await withTrainer(`busy(1500); await done("completed"); process.exit(0);`);
  clearInterval(timer);
  expect(ticks).toBeGreaterThan(30);
});

test("an_error_of_the_stage_keeps_its_code_words_and_exit_code", async () => {
  const fields = `{ code: "c", what: "w", why: "y", fix: "f", exitCode: 3 }`;
  await expect(
    withTrainer(`await tell({ type: "failed", message: "m", fields: ${fields} }); process.exit(0);`),
  ).rejects.toMatchObject({ code: "c", what: "w", why: "y", fix: "f", exitCode: 3 });
});

test("a_crash_is_told_with_its_last_words_and_the_checkpoint_to_go_on_from", async () => {
  const runDir = folder();
  mkdirSync(join(runDir, "checkpoints/step-000007"), { recursive: true });
  writeFileSync(join(runDir, "checkpoints/step-000007/state.json"), "{}");
  const run = withTrainer(`console.error("CUDA error 700"); process.abort();`, undefined, runDir);
  await expect(run).rejects.toMatchObject({ code: "trainer_crashed", exitCode: 1 });
  await run.catch((error) => {
    expect(error.what).toContain("SIGABRT");
    expect(error.fix).toContain("step-000007");
    expect(error.fix).toContain("--resume");
  });
});

test("a_trainer_killed_by_the_system_counts_as_out_of_memory", async () => {
  await expect(withTrainer(`process.kill(process.pid, "SIGKILL");`)).rejects.toMatchObject({
    code: "trainer_killed",
    exitCode: 5,
  });
});

test("a_trainer_that_leaves_without_a_result_is_a_bug_even_with_code_0", async () => {
  await expect(withTrainer(`process.exit(0);`)).rejects.toMatchObject({
    code: "trainer_crashed",
    exitCode: 1,
  });
});

test("an_abort_reaches_the_trainer_before_and_after_its_start", async () => {
  const late = new AbortController();
  setTimeout(() => late.abort(), 300);
  const body = `await stop; await done("interrupted"); process.exit(0);`;
  expect((await withTrainer(body, late.signal)).result.status).toBe("interrupted");
  expect((await withTrainer(body, AbortSignal.abort())).result.status).toBe("interrupted");
});

test("a_trainer_that_ctrl_c_ends_before_it_can_answer_has_stopped_where_the_run_was", async () => {
  const stop = new AbortController();
  const runDir = folder();
  mkdirSync(join(runDir, "checkpoints/step-000007"), { recursive: true });
  writeFileSync(join(runDir, "checkpoints/step-000007/state.json"), "{}");
  const end = `process.removeAllListeners("SIGINT"); process.kill(process.pid, "SIGINT"); busy(5000);`;
  const asked = withTrainer(`await stop; ${end}`, stop.signal, runDir);
  stop.abort();
  expect((await asked).result).toMatchObject({ status: "interrupted", step: 7 });
  // Nobody has asked for it: something else sent the signal.
  await expect(withTrainer(end)).rejects.toMatchObject({ code: "trainer_crashed" });
});
