// Handles, scopes and transfers of the device layer.
import { afterAll, expect, test } from "vitest";
import { Device } from "../src/index.ts";

const device = Device.open("cpu", { threads: 1 });
afterAll(() => device.close());

test("values_survive_a_round_trip_in_every_dtype", () => {
  for (const dtype of ["f32", "bf16", "f64", "i32", "i64", "u8"] as const) {
    const t = device.from([1, 2, 3, 200], [4], dtype);
    expect([...t.read()]).toEqual([1, 2, 3, 200]);
    t.free();
  }
});

test("a_fetch_holds_the_values_of_its_time_at_any_size", () => {
  using scope = device.scope();
  void scope;
  for (const [n, dtype] of [
    [5, "i32"],
    [16_384, "f32"],
    [40_000, "f32"],
  ] as const) {
    const t = device.full([n], dtype, 7);
    const values = device.fetch(t, 3);
    device.run("fill", { x: t, value: 9 });
    expect(values()).toEqual((dtype === "i32" ? new Int32Array(n) : new Float32Array(n)).fill(7));
    expect(t.read()[n - 1]).toBe(9);
  }
});

test("a_scope_frees_what_it_owns_and_keeps_what_is_kept", () => {
  const before = device.stats();
  let kept: ReturnType<Device["zeros"]>;
  let lost: ReturnType<Device["zeros"]>;
  {
    using scope = device.scope();
    kept = scope.keep(device.full([8], "f32", 3));
    lost = device.zeros([1000], "f32");
    expect(device.stats().liveBytes).toBeGreaterThan(before.liveBytes);
  }
  expect(lost.isLive).toBe(false);
  expect([...kept.read()]).toEqual(Array(8).fill(3));
  kept.free();
  expect(device.stats().liveBytes).toBe(before.liveBytes);
  expect(device.stats().handles).toBe(before.handles);
});

test("a_stale_handle_throws_and_never_reads_reused_memory", () => {
  const a = device.full([4], "f32", 1);
  a.free();
  const b = device.full([4], "f32", 2);
  expect(() => a.read()).toThrow(/freed/);
  expect(() => device.run("add", { a, b, y: b, alpha: 1, beta: 1 })).toThrow(/'a' was freed/);
  b.free();
});

test("a_view_dies_with_its_owner", () => {
  const t = device.from([1, 2, 3, 4], [4], "f32");
  const v = t.view(2, [2]);
  expect([...v.read()]).toEqual([3, 4]);
  expect(() => t.view(3, [2])).toThrow(/outside/);
  t.free();
  expect(() => v.read()).toThrow(/freed/);
});

test("full_memory_names_its_largest_tenants_and_the_setting_to_change", () => {
  const small = Device.open("cpu", { threads: 1, memoryLimit: 8 * 2 ** 20 });
  const weights = small.label(small.zeros([2 ** 20], "f32"), "weights");
  const made = small.full([2 ** 19], "f32", 1);
  expect(() => small.empty([2 ** 20], "f32")).toThrowError(
    expect.objectContaining({
      code: "out_of_memory",
      exitCode: 5,
      why: expect.stringMatching(/4 MiB wanted, 6 MiB in use.*weights 4\.0 MiB, tensors of fill 2\.0 MiB/),
      fix: "train a smaller model",
    }),
  );
  // What is free inside may still be taken, and what is given back again.
  const rest = small.empty([2 ** 19], "f32");
  rest.free();
  made.free();
  expect(small.empty([2 ** 20 - 64], "f32").isLive).toBe(true);
  expect(weights.isLive).toBe(true);
  small.close();
});

test("an_arena_keeps_its_memory_apart_and_gives_it_back", () => {
  const own = Device.open("cpu", { threads: 1 });
  const arena = own.arena();
  const inside = arena.use(() => own.full([1000], "f32", 3));
  const outside = own.full([1000], "f32", 4);
  expect(inside.read()[999]).toBe(3);
  expect(own.stats().liveBytes).toBe(2 * 4096);
  expect(() => arena.use(() => arena.use(() => 0))).toThrow(/arena/);
  arena.free();
  expect(inside.isLive).toBe(false);
  expect(outside.read()[0]).toBe(4);
  expect(own.stats().liveBytes).toBe(4096);
  own.close();
});

test("recorded_ops_run_only_when_launched_and_see_new_inputs", () => {
  const own = Device.open("cpu", { threads: 1, recordOps: true });
  expect(device.canCapture).toBe(false);
  const x = own.from([1, 2], [2], "f32");
  const y = own.zeros([2], "f32");
  const step = own.capture(() => own.run("add", { a: y, b: x, y, alpha: 1, beta: 1 }));
  expect([...y.read()]).toEqual([0, 0]);
  step.launch();
  x.write([10, 20]);
  step.launch();
  expect([...y.read()]).toEqual([11, 22]);
  step.destroy();
  expect(() => step.launch()).toThrow();
  expect(() => own.capture(() => x.write([0, 0]))).toThrow(/no transfer/);
  own.run("fill", { x, value: 7 });
  expect([...x.read()]).toEqual([7, 7]);
  own.close();
});

test("unknown_and_missing_fields_are_refused", () => {
  const t = device.zeros([2], "f32");
  expect(() => device.run("fill", { x: t, value: 1, extra: 2 })).toThrow(/unknown field/);
  expect(() => device.run("fill", { x: t })).toThrow(/'value' is missing/);
  t.free();
});

test("cuda_without_its_library_says_why_and_exits_4", () => {
  expect(() => Device.open("cuda", { ordinal: 99 })).toThrowError(
    expect.objectContaining({ code: "device_unavailable", exitCode: 4 }),
  );
});
