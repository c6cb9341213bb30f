// The CPU matrix product on every ISA of this machine: against double sums, across threads, a row alone and among others.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const program = join(import.meta.dirname, "../../../build/native/gemm_bench");

test("every_isa_agrees_with_double_sums_and_no_bit_depends_on_rows_or_threads", ({ skip }) => {
  skip(!existsSync(program), "build/native/gemm_bench is not built");
  const run = spawnSync(program, ["test"], { encoding: "utf8" });
  expect(run.stdout).toMatch(/^\d{4,} checks, 0 failed\n$/);
  expect(run.status).toBe(0);
}, 120_000);
