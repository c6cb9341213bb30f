// Run folders, sinks and atomic writes: what is on disk after a run, a kill and a resume.
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { atomicWriteDir, atomicWriteFile, explainWriteError, restoreReplaced } from "../src/atomic.ts";
import type { NsaError } from "../src/errors.ts";
import { JsonlFile, readJsonl } from "../src/jsonl.ts";
import { MlflowSink } from "../src/metrics/mlflow.ts";
import { crc32c, TensorBoardSink } from "../src/metrics/tensorboard.ts";
import {
  createRunDir,
  findCheckpoint,
  findRun,
  latestCheckpoint,
  listRuns,
  restoreCheckpoints,
} from "../src/run-dir.ts";
import { openStageContext } from "../src/stage-context.ts";

const fresh = () => mkdtempSync(join(tmpdir(), "nsa-core-"));

test("atomic_folder_replaces_the_old_one_and_a_failure_leaves_it", async () => {
  const target = join(fresh(), "step-000001");
  await atomicWriteDir(target, (tmp) => writeFileSync(join(tmp, "a"), "old"));
  const failing = atomicWriteDir(target, () => {
    throw Object.assign(new Error("write"), { code: "ENOSPC" });
  });
  await expect(failing).rejects.toMatchObject({ code: "disk_full", exitCode: 3 });
  expect(readFileSync(join(target, "a"), "utf8")).toBe("old");
  await atomicWriteDir(target, (tmp) => writeFileSync(join(tmp, "a"), "new"));
  expect(readFileSync(join(target, "a"), "utf8")).toBe("new");
  expect(readdirSync(join(target, ".."))).toEqual(["step-000001"]);
});

test("a_save_settles_what_a_kill_of_an_earlier_process_of_its_number_left", async () => {
  const dir = fresh();
  const target = join(dir, "step-000010");
  const old = `${target}.old-${process.pid}`;
  mkdirSync(old, { recursive: true });
  writeFileSync(join(old, "a"), "old");
  const failing = atomicWriteDir(target, () => {
    throw new Error("in the middle");
  });
  await expect(failing).rejects.toThrow("in the middle");
  expect(readFileSync(join(target, "a"), "utf8")).toBe("old");
  mkdirSync(old);
  await atomicWriteDir(target, (folder) => writeFileSync(join(folder, "a"), "new"));
  expect(readFileSync(join(target, "a"), "utf8")).toBe("new");
  expect(readdirSync(dir)).toEqual(["step-000010"]);
});

test("a_resume_finds_the_checkpoint_that_had_stepped_aside", () => {
  const run = fresh();
  const step = join(run, "checkpoints", "step-000010");
  mkdirSync(`${step}.old-7`, { recursive: true });
  writeFileSync(join(`${step}.old-7`, "state.json"), "{}");
  mkdirSync(`${step}.tmp-7`);
  expect(latestCheckpoint(run)).toBe(null);
  restoreCheckpoints(run);
  expect(latestCheckpoint(run)).toBe(step);
  expect(readdirSync(join(run, "checkpoints"))).toEqual(["step-000010"]);
});

test("a_damaged_step_in_an_event_file_ends_what_a_rewind_keeps", () => {
  const dir = fresh();
  const sink = new TensorBoardSink(dir, 1);
  sink.write(1, { loss: 2 }, 1);
  const whole = readFileSync(sink.path);
  // A record of 24 bytes whose step is a number without an end.
  const damaged = Buffer.alloc(12 + 24 + 4, 0xff);
  damaged.fill(0, 0, 12);
  damaged.writeUInt32LE(24, 0);
  damaged[12 + 9] = 2 << 3;
  writeFileSync(sink.path, Buffer.concat([whole, damaged]));
  sink.rewind(5);
  expect(readFileSync(sink.path).equals(whole)).toBe(true);
});

test("a_folder_that_stepped_aside_for_a_new_one_comes_back_after_a_kill_between_the_two", () => {
  const dir = mkdtempSync(join(tmpdir(), "nsa-replaced-"));
  const make = (name: string, content: string) => {
    mkdirSync(join(dir, name));
    writeFileSync(join(dir, name, "a"), content);
  };
  // As a kill leaves them: before the new folder has its name, after it has it, and in a save of its own.
  make("step-1.old-7", "old");
  make("step-1.tmp-7", "new");
  make("step-2", "new");
  make("step-2.old-7", "old");
  make("step-3.tmp-7", "half");
  make("other.tmp-7", "not ours");
  restoreReplaced(dir, (name) => /^step-\d+$/.test(name));
  expect(readdirSync(dir).sort()).toEqual(["other.tmp-7", "step-1", "step-2"]);
  expect(readFileSync(join(dir, "step-1/a"), "utf8")).toBe("old");
  expect(readFileSync(join(dir, "step-2/a"), "utf8")).toBe("new");
  rmSync(dir, { recursive: true });
});

test("full_disk_is_explained_and_other_errors_pass", () => {
  if (existsSync("/dev/full"))
    expect(() => new JsonlFile("/dev/full").append({ a: 1 })).toThrow(/disk is full/);
  const other = new Error("other");
  expect(explainWriteError("x", other)).toBe(other);
  expect((explainWriteError("x", { code: "ENOSPC" }) as NsaError).fix).toContain("--resume");
});

test("atomic_file_leaves_no_temporary_name", () => {
  const dir = fresh();
  atomicWriteFile(join(dir, "a.json"), "{}");
  expect(readdirSync(dir)).toEqual(["a.json"]);
});

test("jsonl_cut_back_to_a_step_drops_later_and_half_written_rows", () => {
  const path = join(fresh(), "metrics.jsonl");
  const file = new JsonlFile(path);
  for (const step of [1, 2, 3]) file.append({ step });
  const offset = file.offset();
  file.append({ step: 4 });
  file.close();
  writeFileSync(path, '{"step":5', { flag: "a" });
  file.truncateToStep(3);
  expect(file.offset()).toBe(offset);
  file.append({ step: 4, again: true });
  expect(readJsonl(path)).toEqual([{ step: 1 }, { step: 2 }, { step: 3 }, { step: 4, again: true }]);
});

test("a_damaged_line_with_rows_behind_it_is_named_and_nothing_is_cut", () => {
  const path = join(mkdtempSync(join(tmpdir(), "nsa-damaged-")), "rows.jsonl");
  const text = '{"step":1}\n{"step"\0:2}\n{"step":3}\n';
  writeFileSync(path, text);
  expect(() => new JsonlFile(path).truncateToStep(9)).toThrowError(
    expect.objectContaining({ code: "rows_damaged", exitCode: 3 }),
  );
  expect(readFileSync(path, "utf8")).toBe(text);
});

test.each([
  ["null", "a row that is no object"],
  ["3", "a number"],
  ["[1]", "a list"],
  ['{"step":', "half a row"],
])("a_line_that_is_no_object_is_named_with_its_number_%s", (line) => {
  const path = join(mkdtempSync(join(tmpdir(), "nsa-no-object-")), "rows.jsonl");
  writeFileSync(path, `\ufeff{"step":1}\r\n\n{"step":2}\n`);
  expect(readJsonl(path)).toEqual([{ step: 1 }, { step: 2 }]);
  writeFileSync(path, `{"step":1}\n${line}\n{"step":3}\n`);
  const named = expect.objectContaining({
    ...{ code: "rows_damaged", exitCode: 3 },
    what: `${path}:2 is not a JSON object`,
  });
  expect(() => readJsonl(path)).toThrow(named);
  expect(() => new JsonlFile(path).truncateToStep(9)).toThrow(named);
});

test("a_mark_and_blank_lines_stay_where_rows_are_cut_back_to_a_step", () => {
  const path = join(fresh(), "rows.jsonl");
  const kept = '\ufeff{"step":1}\r\n\n{"step":2}\n \n';
  writeFileSync(path, `${kept}{"step":3}\n\n{"step":4`);
  new JsonlFile(path).truncateToStep(2);
  expect(readFileSync(path, "utf8")).toBe(kept);
  expect(readJsonl(path)).toEqual([{ step: 1 }, { step: 2 }]);
  new JsonlFile(path).truncateToStep(1);
  expect(readFileSync(path, "utf8")).toBe('\ufeff{"step":1}\r\n\n');
});

test("a_damaged_last_line_that_has_its_end_is_named_by_the_reader_and_by_a_cut", () => {
  const path = join(fresh(), "rows.jsonl");
  writeFileSync(path, '{"step":1}\n{"step":\n');
  const named = expect.objectContaining({ code: "rows_damaged", what: `${path}:2 is not a JSON object` });
  expect(() => readJsonl(path)).toThrow(named);
  expect(() => new JsonlFile(path).truncateToStep(9)).toThrow(named);
});

test("crc32c_gives_the_rfc3720_answer", () => {
  expect(crc32c(new Uint8Array(32))).toBe(0x8a9136aa);
  expect(crc32c(Buffer.from("123456789"))).toBe(0xe3069283);
});

test("tensorboard_records_are_framed_and_rewound_by_step", () => {
  const dir = fresh();
  const sink = new TensorBoardSink(dir, 1000);
  sink.write(1, { "train/loss": 2 }, 1000);
  sink.write(300, { "train/loss": 1.5 }, 1001);
  sink.close();
  const full = readFileSync(sink.path);
  const steps: number[] = [];
  for (let at = 0; at < full.length; at += 16 + full.readUInt32LE(at)) {
    const payload = full.subarray(at + 12, at + 12 + full.readUInt32LE(at));
    const crc = crc32c(payload);
    const masked = (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0;
    expect(full.readUInt32LE(at + 12 + payload.length)).toBe(masked);
    steps.push(payload.indexOf("train/loss"));
  }
  expect(steps.filter((at) => at > 0)).toHaveLength(2);
  const again = new TensorBoardSink(dir, 2000);
  expect(again.path).toBe(sink.path);
  again.rewind(299);
  const cut = readFileSync(sink.path);
  expect(cut.equals(full.subarray(0, cut.length))).toBe(true);
  expect(cut.toString("latin1").match(/train\/loss/g)).toHaveLength(1);
});

test("mlflow_gets_every_row_and_an_absent_server_only_warns", async () => {
  const seen: { url: string; body: Record<string, unknown> }[] = [];
  const server = createServer(async (request, response) => {
    let text = "";
    for await (const chunk of request) text += chunk;
    seen.push({ url: request.url!, body: text ? JSON.parse(text) : {} });
    const answers: Record<string, object> = {
      "experiments/create": { experiment_id: "7" },
      "runs/create": { run: { info: { run_id: "r1" } } },
    };
    const key = request.url!.replace("/api/2.0/mlflow/", "");
    response.statusCode = key.startsWith("experiments/get-by-name") ? 404 : 200;
    response.end(JSON.stringify(answers[key] ?? {}));
  });
  await new Promise<void>((done) => server.listen(0, done));
  const uri = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const errors: string[] = [];
  const options = { experiment: "e", runName: "n", onError: (reason: string) => errors.push(reason) };
  const sink = new MlflowSink({ ...options, uri });
  for (let step = 1; step <= 3; step++) sink.write(step, { "train/loss": step, bad: Number.NaN }, step);
  await sink.close();
  server.close();
  const batches = seen.filter((call) => call.url.endsWith("log-batch"));
  expect(batches.flatMap((call) => call.body.metrics)).toEqual(
    [1, 2, 3].map((step) => ({ key: "train/loss", value: step, step, timestamp: step * 1000 })),
  );
  expect(errors).toEqual([]);
  const away = new MlflowSink({ ...options, uri });
  away.write(1, { a: 1 }, 1);
  await away.close();
  expect(errors).toHaveLength(1);
});

test("runs_are_found_by_latest_name_and_beginning", () => {
  const root = fresh();
  const make = (stage: string, second: number) =>
    createRunDir({ root, stage, name: "a b", configYaml: "x: 1\n", now: new Date(2026, 0, 2, 3, 4, second) });
  const first = make("pretrain", 5);
  const twin = make("pretrain", 5);
  const last = make("grpo", 6);
  expect(first.endsWith("pretrain-a-b-20260102-030405")).toBe(true);
  expect(twin).not.toBe(first);
  expect(listRuns(root).map((run) => run.stage)).toEqual(["pretrain", "pretrain", "grpo"]);
  expect(findRun(root, "latest").path).toBe(last);
  expect(findRun(root, "latest", "pretrain").path).toBe(twin);
  expect(findRun(root, "grpo").path).toBe(last);
  expect(() => findRun(root, "pretrain")).toThrow(/names 2 runs/);
  writeFileSync(join(twin, "metrics.jsonl"), "");
  expect(findRun(root, "latest").path, "a start that failed is not the latest run").toBe(twin);
  expect(() => findRun(root, "absent")).toThrow(/no run/);
  expect(() => findRun(root, "")).toThrow(/no run/);
  symlinkSync(join(root, "nowhere"), join(root, "pretrain-lost-20270102-030405"));
  expect(listRuns(root), "a link to nowhere is no run").toHaveLength(3);
  expect(JSON.parse(readFileSync(join(first, "env.json"), "utf8")).node).toBe(process.versions.node);
});

test("a_run_folder_in_the_making_is_no_run_and_is_swept", () => {
  const root = fresh();
  const make = () =>
    createRunDir({
      root,
      stage: "grpo",
      name: "a",
      configYaml: "x: 1\n",
      now: new Date(2026, 0, 2, 3, 4, 5),
      files: { "o.json": "[]" },
    });
  // Ended processes have ids above the largest that the system gives.
  const mine = `.run-4194999-${hostname()}`;
  const young = ".run-4194999-elsewhere";
  const old = ".run-1-elsewhere";
  for (const name of [mine, young, old]) mkdirSync(join(root, name, "checkpoints"), { recursive: true });
  utimesSync(join(root, old), 1000, 1000);
  mkdirSync(join(root, "grpo-half-20260101-000000", "checkpoints"), { recursive: true });
  expect(listRuns(root)).toEqual([]);
  const path = make();
  expect(readdirSync(path).sort()).toEqual(["checkpoints", "config.yaml", "env.json", "o.json"]);
  expect(readdirSync(root).sort()).toEqual(
    [young, path.slice(root.length + 1), "grpo-half-20260101-000000"].sort(),
  );
  expect(listRuns(root).map((run) => run.path)).toEqual([path]);
  rmSync(path, { recursive: true });
  writeFileSync(path, "a file of this name");
  expect(make()).toBe(`${path}-2`);
});

test("an_event_file_that_was_never_begun_is_begun_when_the_run_goes_on", () => {
  const whole = new TensorBoardSink(fresh(), 1000);
  whole.write(1, { a: 1 }, 1000);
  whole.close();
  for (const bytes of [0, 7]) {
    const dir = fresh();
    writeFileSync(join(dir, "events.out.tfevents.1000.nsa"), readFileSync(whole.path).subarray(0, bytes));
    const sink = new TensorBoardSink(dir, 1000);
    sink.rewind(-1);
    sink.write(1, { a: 1 }, 1000);
    sink.close();
    expect(readFileSync(sink.path).equals(readFileSync(whole.path))).toBe(true);
  }
});

test("latest_checkpoint_ignores_incomplete_folders", () => {
  const dir = fresh();
  expect(latestCheckpoint(dir)).toBeNull();
  for (const name of ["step-000009", "step-000010", "step-000011.tmp-1"])
    mkdirSync(join(dir, "checkpoints", name), { recursive: true });
  writeFileSync(join(dir, "checkpoints", "step-000009", "state.json"), "{}");
  expect(latestCheckpoint(dir)).toBe(join(dir, "checkpoints", "step-000009"));
});

test("a_checkpoint_is_found_by_its_folder_its_run_and_its_pipeline", () => {
  const root = fresh();
  const run = createRunDir({ root, stage: "pipeline", name: "p", configYaml: "" });
  const saved = (stage: string, step: string) => {
    const path = join(run, "stages", stage, "checkpoints", step);
    mkdirSync(path, { recursive: true });
    writeFileSync(join(path, "state.json"), "{}");
    // Whole weights, or adapters on those of another checkpoint.
    const weights = stage === "grpo" ? "adapter.safetensors" : "model.safetensors";
    if (stage !== "eval") writeFileSync(join(path, weights), "");
    return path;
  };
  expect(() => findCheckpoint(root, "latest")).toThrow(/no checkpoint/);
  const base = saved("base", "step-000002");
  utimesSync(join(base, "state.json"), 1, 1);
  expect(findCheckpoint(root, "latest")).toBe(base);
  const grpo = saved("grpo", "step-000001");
  for (const which of ["latest", "pipeline-p", run]) expect(findCheckpoint(root, which), which).toBe(grpo);
  expect(findCheckpoint(root, base)).toBe(base);
  saved("eval", "step-000009");
  const evaluation = createRunDir({
    root,
    stage: "eval",
    name: "e",
    configYaml: "",
    now: new Date(2099, 0, 1),
  });
  expect(findCheckpoint(root, "latest"), "an evaluation has no model").toBe(grpo);
  expect(() => findCheckpoint(root, evaluation)).toThrow(/no checkpoint/);
  expect(() => findCheckpoint(root, "absent")).toThrow(/no run/);
  expect(findCheckpoint(root, "a/path/that/is/not/there")).toBe("a/path/that/is/not/there");
});

test("a_resumed_stage_records_no_row_twice", async () => {
  const runDir = fresh();
  const events: string[] = [];
  const open = () => openStageContext({ runDir, now: () => 5, onEvent: (event) => events.push(event.type) });
  const first = open();
  for (const step of [1, 2, 3]) first.emit({ type: "step", step, totalSteps: 4, metrics: { loss: step } });
  first.emit({ type: "sample", step: 3, prompt: "p", text: "t" });
  await first.close();
  const second = open();
  second.rewind(2);
  for (const step of [3, 4]) second.emit({ type: "step", step, totalSteps: 4, metrics: { loss: step } });
  second.log("resumed");
  await second.close();
  expect(readJsonl(join(runDir, "metrics.jsonl")).map((row) => row.step)).toEqual([1, 2, 3, 4]);
  expect(readJsonl(join(runDir, "samples.jsonl"))).toEqual([]);
  expect(readFileSync(join(runDir, "log.txt"), "utf8")).toContain("info resumed");
  expect(events.at(-1)).toBe("log");
});
