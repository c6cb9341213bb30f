// What goes wrong with GPUs, played by a plugin that fails on demand: each fault ends in three lines and the right code.
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { latestCheckpoint } from "@nsa/core";
import { beforeAll, expect, test } from "vitest";
import { nsa, root } from "./built.ts";
import { tinyPretrain } from "./tiny.ts";

const dir = mkdtempSync(join(tmpdir(), "nsa-faults-"));
const recipe = join(dir, "tiny.yaml");
const native = join(dir, "native");
const real = join(root, "build/native");

beforeAll(() => {
  writeFileSync(recipe, tinyPretrain);
  mkdirSync(native);
  for (const name of readdirSync(real).filter((file) => file.endsWith(".node")))
    symlinkSync(join(real, name), join(native, name));
  symlinkSync(join(real, "tests/libnsa_fault.so"), join(native, "libnsa_cuda.so"));
});

/** Runs with the failing plugin in the place of CUDA's. */
function withFault(fault: string, ...args: string[]) {
  return nsa(args, { cwd: dir, env: { NSA_NATIVE_DIR: native, NSA_FAULT: fault } });
}
const pretrain = (runs: string, device: string, ...set: string[]) => [
  ...["pretrain", recipe, "--plain", "--runs", join(dir, runs), "--device", device],
  ...set.flatMap((s) => ["--set", s]),
];
const onlyRun = (runs: string) => join(dir, runs, readdirSync(join(dir, runs))[0]!);

const refusals = [
  "there is no NVIDIA driver on this machine",
  "the NVIDIA driver is too old: it supports CUDA 11.4, the plugin was built with 13.0",
  "NVIDIA T4 has compute capability 7.5; the plugin was built for sm_80, sm_90a",
  "NVIDIA H100 has 0.1 of 79.1 GiB free: another process may hold the rest",
];

test.each(refusals)("a_card_that_cannot_be_used_is_explained_%#", (reason) => {
  const asked = withFault(`create:${reason}`, ...pretrain("refused", "cuda"));
  expect(asked.status).toBe(4);
  expect(asked.stderr).toMatch(/error: device cuda cannot be used\n {2}why: .*\n {2}fix: .*\n$/);
  expect(asked.stderr).toContain(reason);
  // Left to choose, the run takes the CPU and says why.
  const auto = withFault(`create:${reason}`, ...pretrain(`auto-${refusals.indexOf(reason)}`, "auto"));
  expect(auto.status, auto.stderr).toBe(0);
  expect(auto.stdout).toContain(`device: cpu (${reason})`);
});

test("memory_that_another_process_holds_is_named_with_what_is_ours", () => {
  const { status, stderr } = withFault("limit:1", ...pretrain("full", "cuda"));
  expect(status, stderr).toBe(5);
  expect(stderr).toMatch(
    /out of memory on cuda.*\n.*why: .*most of it: (\S+ )+[\d.]+ MiB.*\n.*fix: (set|lower|train)/,
  );
});

test("a_card_lost_in_a_step_leaves_the_last_checkpoint_and_the_run_goes_on_to_the_same_weights", () => {
  const set = ["train.steps=12", "sample.prompts=[]"];
  const whole = withFault("", ...pretrain("whole", "cuda", ...set));
  expect(whole.status, whole.stderr).toBe(0);
  // A library that is missing costs speed: that is said.
  expect(whole.stdout).toContain("device: cuda (a GPU of the tests, own kernels (cuBLASLt was not found))");
  const lost = withFault("lost:700", ...pretrain("lost", "cuda", ...set));
  expect(lost.status, lost.stderr).toBe(4);
  expect(lost.stderr).toMatch(/the cuda device failed in .*\n.*unspecified launch failure.*\n.*--resume/);
  const run = onlyRun("lost");
  const kept = Number(/step-(\d+)$/.exec(latestCheckpoint(run) ?? "")?.[1]);
  expect(kept).toBeGreaterThan(0);
  expect(kept).toBeLessThan(12);
  const resumed = withFault("", "pretrain", recipe, "--plain", "--device", "cuda", "--resume", run);
  expect(resumed.status, resumed.stderr).toBe(0);
  const weights = (r: string) => readFileSync(join(r, "checkpoints/step-000012/model.safetensors"));
  expect(weights(run).equals(weights(onlyRun("whole")))).toBe(true);
});
