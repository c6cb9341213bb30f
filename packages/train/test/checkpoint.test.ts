// Checkpoints: exact resume, integrity, what is kept.
import { createHash } from "node:crypto";
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SafetensorsReader, streamSafetensors } from "@nsa/core";
import { Device } from "@nsa/kernels";
import {
  CheckpointStore,
  loadCheckpoint,
  loadModel,
  readCheckpointState,
  readModelConfig,
  refuseOtherStep,
  resumeCheckpoint,
  saveCheckpoint,
  Transformer,
  writeArchitecture,
} from "@nsa/model";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openBackend } from "../../kernels/test/backend.ts";
import { sealState } from "../../model/src/checkpoint/state.ts";
import { loadNamed, tensorsOf } from "../../model/src/checkpoint/weights.ts";
import { CountingSource, tinyConfig } from "../../model/test/training-fixture.ts";
import { crossEntropy, Trainer } from "../src/index.ts";

const cpu = openBackend({ threads: 1 });
const folder = mkdtempSync(join(tmpdir(), "nsa-checkpoint-"));
afterAll(() => {
  cpu.close();
  rmSync(folder, { recursive: true });
});

function start(seed: number, stateDtype: "fp32" | "bf16" = "fp32") {
  const model = new Transformer(cpu, tinyConfig);
  model.parameters.init(seed);
  const trainer = new Trainer(model, 12, {
    optimizer: { lr: 0.01, stateDtype },
    schedule: { warmupSteps: 3 },
  });
  const source = new CountingSource();
  const run = (n: number) =>
    Array.from({ length: n }, () => trainer.step(source.next(), crossEntropy)["train/loss_ema"]);
  const save = (dir: string, pieceBytes?: number) =>
    saveCheckpoint(dir, {
      pieceBytes,
      model,
      optimizer: trainer.optimizer,
      stateful: [trainer, source],
      step: trainer.stepsDone,
    });
  const load = (dir: string) =>
    loadCheckpoint(dir, { model, optimizer: trainer.optimizer, stateful: [trainer, source] });
  return { model, trainer, run, save, load };
}

test.each(["fp32", "bf16"] as const)(
  "two_resumes_give_the_bits_of_an_unbroken_run_with_%s_moments",
  async (dtype) => {
    const whole = start(1, dtype);
    const losses = whole.run(12);
    const parts = [];
    const first = start(1, dtype);
    parts.push(...first.run(5));
    // Many pieces, whose borders lie inside tensors.
    await first.save(join(folder, "a"), 4096 + 8);
    const second = start(2, dtype);
    await second.load(join(folder, "a"));
    parts.push(...second.run(4));
    await second.save(join(folder, "b"));
    const third = start(3, dtype);
    await third.load(join(folder, "b"));
    parts.push(...third.run(3));
    expect(parts).toEqual(losses);
    expect([...third.model.parameters.flat.read()]).toEqual([...whole.model.parameters.flat.read()]);
    expect([...third.trainer.optimizer.buffers.v!.read()]).toEqual([
      ...whole.trainer.optimizer.buffers.v!.read(),
    ]);
  },
);

test("a_model_loads_by_its_folder_alone", async () => {
  const run = start(4);
  await run.save(join(folder, "c"));
  const model = await loadModel(cpu, join(folder, "c"));
  expect(model.config).toEqual(tinyConfig);
  expect([...model.parameters.flat.read()]).toEqual([...run.model.parameters.flat.read()]);
});

test("truncated_and_bit_flipped_files_are_refused_with_exit_3", async () => {
  const dir = join(folder, "d");
  const run = start(5);
  await run.save(dir);
  const file = join(dir, "model.safetensors");
  const bytes = readFileSync(file);
  const flipped = Buffer.from(bytes);
  flipped[bytes.length - 9]! ^= 4;
  writeFileSync(file, flipped);
  await expect(run.load(dir)).rejects.toThrowError(corrupt(/SHA-256/));
  writeFileSync(file, bytes);
  truncateSync(file, bytes.length - 100);
  await expect(run.load(dir)).rejects.toThrowError(corrupt(/SHA-256/));
});

test("a_checkpoint_of_another_architecture_is_refused_by_the_name_that_differs", async () => {
  const dir = join(folder, "e");
  await start(6).save(dir);
  const wider = new Transformer(cpu, { ...tinyConfig, dFf: 32 });
  await expect(loadCheckpoint(dir, { model: wider })).rejects.toThrowError(/mlp\.gate_proj\.weight/);
});

test("the_store_keeps_the_last_ones_and_the_best", async () => {
  const dir = mkdtempSync(join(folder, "store-"));
  const store = new CheckpointStore(dir, 2);
  const { model } = start(7);
  // Left by a process that was killed while it saved.
  mkdirSync(join(dir, "step-000001.tmp-4194305"));
  for (const [step, valLoss] of [
    [1, 3],
    [2, 1],
    [3, 2],
    [4, 2],
    [5, 4],
  ] as const) {
    await store.save({ model, step, valLoss });
  }
  expect(readdirSync(dir).sort()).toEqual(["best.json", "step-000002", "step-000004", "step-000005"]);
  expect(store.best()).toEqual({ step: 2, valLoss: 1 });
  // best.json is for people: what it says decides nothing.
  for (const text of ["{", '{"step":5,"valLoss":0}']) {
    writeFileSync(join(dir, "best.json"), text);
    expect(store.best()).toEqual({ step: 2, valLoss: 1 });
  }
  await store.save({ model, step: 6, valLoss: 1 });
  expect(readdirSync(dir).sort()).toEqual(["best.json", "step-000002", "step-000005", "step-000006"]);
  expect(JSON.parse(readFileSync(join(dir, "best.json"), "utf8"))).toEqual({ step: 2, valLoss: 1 });
});

test("a_run_taken_up_on_another_machine_is_told_that_its_bits_differ", async () => {
  const dir = join(folder, "f");
  const device = Device.open("cpu", { threads: 1 });
  const model = new Transformer(device, tinyConfig);
  await saveCheckpoint(dir, { model, step: 8 });
  const heard: unknown[] = [];
  const context = {
    log: (...said: unknown[]) => void heard.push(...said),
    rewind: (step: number) => void heard.push(step),
  };
  const { machine } = await resumeCheckpoint(dir, { model }, context);
  expect(machine).toBe(`cpu, ${device.info.isa}`);
  expect(heard.splice(0)).toEqual([8]);
  const file = join(dir, "state.json");
  const saved = JSON.parse(readFileSync(file, "utf8"));
  const rewrite = (other: string | undefined) => writeFileSync(file, sealState({ ...saved, machine: other }));
  rewrite("cpu, avx1024");
  await resumeCheckpoint(dir, { model }, context);
  expect(heard.splice(0)).toEqual([8, expect.stringMatching(/avx1024, and .*NSA_CPU_ISA=avx1024/), "warn"]);
  rewrite("cuda, NVIDIA H100");
  await resumeCheckpoint(dir, { model }, context);
  expect(heard.splice(0)).toEqual([8, expect.not.stringContaining("NSA_CPU_ISA"), "warn"]);
  // A checkpoint of before this was written down.
  rewrite(undefined);
  await resumeCheckpoint(dir, { model }, context);
  expect(heard).toEqual([8]);
  device.close();
});

const corrupt = (why: RegExp) =>
  expect.objectContaining({ code: "checkpoint_corrupt", exitCode: 3, why: expect.stringMatching(why) });

test("pieces_of_any_size_give_the_same_files_and_hashes_that_can_be_made_by_hand", async () => {
  const run = start(8);
  run.run(2);
  const [small, large] = [join(folder, "g"), join(folder, "h")];
  await run.save(small, 1000);
  await run.save(large);
  for (const file of ["model.safetensors", "optimizer.safetensors"]) {
    const bytes = readFileSync(join(small, file));
    expect(bytes.equals(readFileSync(join(large, file)))).toBe(true);
    const hashes = (dir: string) => JSON.parse(readFileSync(join(dir, "state.json"), "utf8")).sha256[file];
    const sha256 = (part: Buffer) => createHash("sha256").update(part).digest("hex");
    expect(hashes(large)).toEqual([sha256(bytes)]);
    expect(hashes(small)).toHaveLength(Math.ceil(bytes.length / 1000));
    expect(hashes(small)[1]).toBe(sha256(bytes.subarray(1000, 2000)));
  }
  expect((await readCheckpointState(small)).step).toBe(2);
});

test("a_buffer_of_any_dtype_is_saved_and_loaded_in_pieces_that_end_inside_its_tensors", async () => {
  const { parameters } = new Transformer(cpu, tinyConfig);
  for (const dtype of ["f32", "bf16", "f64"] as const) {
    const n = parameters.layout.numel;
    // Values that bf16 holds.
    const values = Float32Array.from({ length: n }, (_, i) => ((i % 127) - 63) / 64);
    const buffer = cpu.from(values, [n], dtype);
    const path = join(folder, `buffer-${dtype}`);
    await streamSafetensors(path, tensorsOf(parameters.tensorsIn(buffer), ".m"), { pieceBytes: 104 });
    using file = SafetensorsReader.open(path);
    const back = cpu.zeros([n], dtype);
    loadNamed(() => file, parameters.tensorsIn(back), { suffix: ".m", pieceBytes: 60 });
    for (const { name, shape } of parameters.names) {
      const { offset } = parameters.range(name);
      const end = offset + shape.reduce((a, b) => a * b, 1);
      expect(back.read().subarray(offset, end), `${name} ${dtype}`).toEqual(
        Float64Array.from(values.subarray(offset, end)),
      );
    }
    buffer.free();
    back.free();
  }
});

describe("a_state_that_was_changed", () => {
  const dir = join(folder, "edited");
  const file = join(dir, "state.json");
  let saved: Buffer;
  beforeAll(async () => {
    const run = start(9);
    run.run(3);
    await run.save(dir);
    saved = readFileSync(file);
  });
  // biome-ignore lint/suspicious/noExplicitAny: what an edit makes of a state has no type.
  type Edit = (state: any) => unknown;
  const put = (state: object, inner: object, values: object) => {
    Object.assign(inner, values);
    return state;
  };
  test.each<[string, Edit, RegExp]>([
    ["null", () => null, /no `format`/],
    ["list", () => [], /no `format`/],
    ["no_hashes", ({ sha256: _, ...s }) => s, /sha256/],
    ["no_hash_of_the_weights", (s) => ({ ...s, sha256: {} }), /seal/],
    ["format_3", (s) => ({ ...s, format: 3 }), /format 3; this version reads 1 and 2/],
    ["format_as_text", (s) => ({ ...s, format: "2" }), /format "2"/],
    ["format_1_with_the_hashes_of_2", (s) => ({ ...s, format: 1 }), /sha256/],
    ["no_format", ({ format: _, ...s }) => s, /no `format`/],
    ["no_seal", ({ seal: _, ...s }) => s, /seal/],
    ["another_seal", (s) => ({ ...s, seal: "0".repeat(64) }), /seal/],
    ["one_more_field", (s) => ({ ...s, note: "x" }), /it has a key that nothing reads: note/],
    ["trainer_step", (s) => put(s, s.stateful.trainer, { step: 2 }), /seal/],
    ["half_a_step", (s) => ({ ...s, step: 1.5 }), /step/],
    ["norm", (s) => put(s, s.stateful.trainer.norms, { 0: 2 }), /seal/],
    ["data_index", (s) => put(s, s.stateful.source, { cursor: 7 }), /seal/],
    ["states_empty", (s) => ({ ...s, stateful: {} }), /seal/],
    ["stateful_null", (s) => ({ ...s, stateful: null }), /stateful/],
    ["another_model", (s) => put(s, s.model, { ropeTheta: 5 }), /seal/],
    ["a_file_outside", (s) => put(s, s.sha256, { "../x": ["0".repeat(64)] }), /sha256/],
    ["pieces_of_another_size", (s) => ({ ...s, pieceBytes: 16 }), /seal/],
  ])("by_%s_is_refused", async (_, edit, why) => {
    writeFileSync(file, JSON.stringify(edit(JSON.parse(saved.toString()))));
    await expect(readCheckpointState(dir)).rejects.toThrowError(corrupt(why));
    expect(() => readModelConfig(dir)).toThrowError(corrupt(why));
  });

  test("at_any_single_byte_is_refused", async () => {
    const refused = (at: number, bits: number) => {
      const flipped = Buffer.from(saved);
      flipped[at]! ^= bits;
      writeFileSync(file, flipped);
      expect(() => readModelConfig(dir), `byte ${at} ^ ${bits}`).toThrowError(corrupt(/./));
    };
    for (let at = 0; at < saved.length; at += 3) refused(at, 1 << (at % 8));
    // A blank for a line's end is the same JSON.
    for (let at = 0; at < saved.length; at++) if (saved[at] === 10) refused(at, 10 ^ 32);
    writeFileSync(file, saved);
    expect((await readCheckpointState(dir)).step).toBe(3);
  });

  test("in_its_folder_is_refused_but_for_hidden_files", async () => {
    writeFileSync(file, saved);
    writeFileSync(join(dir, ".nfs0001"), "");
    await readCheckpointState(dir);
    writeFileSync(join(dir, "tokenizer_config.json"), "{}");
    await expect(readCheckpointState(dir)).rejects.toThrowError(
      corrupt(/tokenizer_config\.json was not saved/),
    );
    rmSync(join(dir, "tokenizer_config.json"));
    const moments = join(dir, "optimizer.safetensors");
    const bytes = readFileSync(moments);
    rmSync(moments);
    await expect(readCheckpointState(dir)).rejects.toThrowError(corrupt(/optimizer\.safetensors is missing/));
    // With a whole piece more the hashes of the others still fit.
    writeFileSync(moments, Buffer.concat([bytes, Buffer.alloc(32 << 20)]));
    await expect(readCheckpointState(dir, { moments: true })).rejects.toThrowError(corrupt(/SHA-256/));
    // Who reads the weights alone does not wait for a hash of the moments, which are twice as large.
    expect((await readCheckpointState(dir)).step).toBe(3);
  });
});

test("a_checkpoint_without_moments_is_no_resume_and_a_stand_in_is_no_model", async () => {
  const dir = join(folder, "no-moments");
  const run = start(10);
  await saveCheckpoint(dir, { model: run.model, step: 1 });
  await expect(run.load(dir)).rejects.toThrowError(corrupt(/saved without optimizer\.safetensors/));
  const stand = mkdtempSync(join(folder, "stand-in-"));
  writeArchitecture(stand, tinyConfig);
  expect(readModelConfig(stand)).toEqual(tinyConfig);
  await expect(loadModel(cpu, stand)).rejects.toThrowError(corrupt(/names no model\.safetensors/));
});

test("a_checkpoint_of_format_1_resumes_with_a_warning_to_the_same_bits_and_its_weights_vouch_for_its_model", async () => {
  const dir = join(folder, "format-1");
  const run = start(11);
  run.run(3);
  await run.save(dir);
  const {
    seal: _,
    pieceBytes: __,
    sha256,
    ...rest
  } = JSON.parse(readFileSync(join(dir, "state.json"), "utf8"));
  const whole = (name: string) =>
    createHash("sha256")
      .update(readFileSync(join(dir, name)))
      .digest("hex");
  const old = {
    ...rest,
    format: 1,
    sha256: Object.fromEntries(Object.keys(sha256).map((name) => [name, whole(name)])),
  };
  const write = (state: object) =>
    writeFileSync(join(dir, "state.json"), `${JSON.stringify(state, null, 1)}\n`);
  write(old);
  const again = start(12);
  const heard: unknown[] = [];
  const context = { log: (...said: unknown[]) => void heard.push(...said), rewind: () => {} };
  const { trainer } = again;
  await resumeCheckpoint(
    dir,
    { model: again.model, optimizer: trainer.optimizer, stateful: [trainer] },
    context,
  );
  expect(heard).toEqual([expect.stringContaining("format 1"), "warn"]);
  expect([...again.model.parameters.flat.read()]).toEqual([...run.model.parameters.flat.read()]);
  expect([...trainer.optimizer.buffers.m!.read()]).toEqual([...run.trainer.optimizer.buffers.m!.read()]);
  write({ ...old, model: { ...old.model, ropeTheta: 5 } });
  await expect(loadModel(cpu, dir)).rejects.toThrowError(corrupt(/another architecture/));
  write({ ...old, sha256: undefined });
  await expect(loadModel(cpu, dir)).rejects.toThrowError(corrupt(/sha256/));
  write({ ...old, sha256: {} });
  await expect(loadModel(cpu, dir)).rejects.toThrowError(corrupt(/names no model/));
});

const context = { log: () => undefined, rewind: () => undefined };
const resumeWith = async (dir: string, model = start(2).model) => {
  const { trainer } = start(2);
  const parts = { model, optimizer: trainer.optimizer, stateful: [trainer] };
  refuseOtherStep(dir, await resumeCheckpoint(dir, parts, context));
};

test.each<[string, (state: Record<string, unknown>) => unknown, RegExp]>([
  ["a step of its own", (s) => ({ ...s, step: 3 }), /saved at step 2, and its trainer at step 3/],
  ["half a step", (s) => ({ ...s, step: 1.5 }), /state of trainer is not valid: step/],
  ["texts for norms", (s) => ({ ...s, norms: ["a"] }), /norms/],
  ["nothing", () => ({}), /step/],
  ["null", () => null, /object/],
])("a_sealed_state_whose_trainer_has_%s_is_refused", async (_, edit, why) => {
  const { run, save } = start(1);
  run(2);
  const dir = join(folder, `sealed-${edit.toString().length}-${why.source.length}`);
  await save(dir);
  const path = join(dir, "state.json");
  const state = JSON.parse(readFileSync(path, "utf8"));
  state.stateful.trainer = edit(state.stateful.trainer);
  writeFileSync(path, sealState(state));
  await expect(resumeWith(dir)).rejects.toThrow(corrupt(why));
});

test("a_recipe_with_another_architecture_of_the_same_shapes_is_refused_on_resume_and_not_as_a_start", async () => {
  const { run, save } = start(1);
  run(1);
  const dir = join(folder, "same-shapes");
  await save(dir);
  const other = new Transformer(cpu, { ...tinyConfig, ropeTheta: 5, normEps: 1e-6 });
  await expect(resumeWith(dir, other)).rejects.toMatchObject({
    code: "checkpoint_mismatch",
    exitCode: 3,
    why: expect.stringMatching(/ropeTheta is 5, there \d+; .*normEps|normEps .*; ropeTheta/),
  });
  await expect(loadCheckpoint(dir, { model: other })).resolves.toMatchObject({ step: 1 });
});
