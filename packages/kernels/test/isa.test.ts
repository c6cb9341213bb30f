// NSA_CPU_ISA: the kernels of a lower level than the machine's, and names that it does not have.
import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { expect, test } from "vitest";

const program = `
const { Device } = await import(${JSON.stringify(join(import.meta.dirname, "../src/index.ts"))});
try {
  const device = Device.open("cpu", { threads: 1 });
  const x = device.from(Array.from({ length: 1000 }, (_, i) => Math.sin(i) * 2 ** (i % 20)), [1, 1000], "f32");
  const y = device.empty([1, 1], "f32");
  const sizes = { m: 1, n: 1, k: 1000, lda: 1000, ldb: 1000, ldc: 1, trans_a: 0, trans_b: 1, alpha: 1, beta: 0 };
  device.run("gemm", { a: x, b: x, c: y, ...sizes });
  console.log(device.info.isa, y.read()[0]);
} catch (error) {
  console.log(error.code, error.exitCode, error.why ?? error.message);
}`;

function under(isa: string): string {
  const run = spawnSync(
    process.execPath,
    ["--conditions=nsa-source", "--import", "tsx", "--input-type=module", "-e", program],
    { encoding: "utf8", env: { ...process.env, NSA_CPU_ISA: isa } },
  );
  expect(run.status, run.stderr).toBe(0);
  return run.stdout.trim();
}

test("a_lower_level_is_taken_and_one_that_is_unknown_or_not_there_is_refused", () => {
  const [best] = under("").split(" ");
  expect(under("baseline")).toMatch(/^baseline \d/);
  expect(under(best!)).toBe(under(""));
  expect(under("mmx")).toMatch(
    /^device_unavailable 4 NSA_CPU_ISA=mmx: not one of baseline, avx2, avx512, avx512-bf16, amx-bf16$/,
  );
  if (best !== "amx-bf16")
    expect(under("amx-bf16")).toBe(
      `device_unavailable 4 NSA_CPU_ISA=amx-bf16: this machine has no more than ${best}`,
    );
});
