// `nsa doctor` checks what it says, and a machine without CUDA is a sound one.
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { Finding } from "../src/commands/doctor.ts";
import { buildOnce, bundle, nsa, root } from "./built.ts";

test("a_sound_machine_passes_every_check_and_an_absent_gpu_has_its_reason", () => {
  buildOnce();
  const native = mkdtempSync(join(tmpdir(), "nsa-doctor-"));
  cpSync(join(root, "build/native/nsa.node"), join(native, "nsa.node"));
  const run = nsa(["doctor", "--json"], { env: { NSA_NATIVE_DIR: native } });
  expect(run.status, run.stderr).toBe(0);
  const findings = JSON.parse(run.stdout) as Finding[];
  const of = (what: string) => findings.find((finding) => finding.what === what)!;
  for (const what of [
    "machine",
    "node",
    "memory",
    "disk",
    "cpu",
    "cpu matmul",
    "cpu training",
    "cpu repeatable",
  ])
    expect(of(what), what).toMatchObject({ state: "ok" });
  expect(of("cpu").text).toMatch(/isa .*threads \d/);
  expect(of("cpu matmul").text).toMatch(/[1-9]\d* GFLOP\/s/);
  expect(of("cuda")).toMatchObject({ state: "no", text: expect.stringContaining("not built") });
});

test("without_the_addon_the_cpu_fails_and_the_exit_code_is_4", () => {
  const run = nsa(["doctor"], { env: { NSA_NATIVE_DIR: tmpdir() } });
  expect(run.status).toBe(4);
  expect(run.stdout + run.stderr).toMatch(/addon/);
});

test("a_reader_that_leaves_early_is_no_error", () => {
  const command = `set -o pipefail; node ${bundle} config schema pretrain | true`;
  const run = spawnSync("bash", ["-c", command], { encoding: "utf8" });
  expect(run).toMatchObject({ status: 0, stderr: "" });
});
