// Rate of the CPU matrix product at training shapes against OpenBLAS in the same run, and its gain from a second thread.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { loadavg } from "node:os";
import { join } from "node:path";
import { atLeast, type Bench, type BenchResult, describeMachine, NsaError } from "@nsa/core";

const root = join(import.meta.dirname, "../../..");
const program = join(root, "build/native/gemm_bench");
// Debian's libopenblas0-pthread; elsewhere the loader's path decides.
const debian = "/usr/lib/x86_64-linux-gnu/openblas-pthread/libopenblas.so.0";

interface Output {
  openblas_kernel: string;
  isa: string;
  shapes: Record<string, { f32: number; openblas: number; bf16: number }>;
  f32_gflops: number;
  openblas_gflops: number;
  bf16_gflops: number;
  scaling: number;
  scaling_cpu: number;
}

function measure(): Output {
  // Both would keep OpenBLAS from choosing the kernel of this CPU.
  const { OPENBLAS_CORETYPE: _core, OPENBLAS_L2_SIZE: _size, ...env } = process.env;
  const library = existsSync(debian) ? debian : "libopenblas.so.0";
  const run = spawnSync(program, ["bench", library], {
    encoding: "utf8",
    env,
  });
  if (run.status !== 0)
    throw new NsaError({
      code: "bench/gemm",
      what: `${program} did not run`,
      why: run.error?.message ?? run.stderr,
      fix: "run `pnpm build:native`",
      exitCode: 1,
    });
  return JSON.parse(run.stdout) as Output;
}

async function run(): Promise<BenchResult> {
  const own = measure();
  const present = own.openblas_gflops > 0;
  const figures: BenchResult["figures"] = {
    isa: own.isa,
    openblas_kernel: own.openblas_kernel,
    f32_gflops: own.f32_gflops,
    bf16_gflops: own.bf16_gflops,
    openblas_gflops: present ? own.openblas_gflops : null,
    load_average: loadavg()[0]!,
  };
  for (const [name, s] of Object.entries(own.shapes)) {
    figures[`${name}_f32_gflops`] = s.f32;
    figures[`${name}_bf16_gflops`] = s.bf16;
    figures[`${name}_openblas_gflops`] = present ? s.openblas : null;
  }
  const ratio = present ? own.f32_gflops / own.openblas_gflops : null;
  return {
    name: "cpu-gemm",
    machine: describeMachine(),
    figures,
    ratios: {
      f32_over_openblas: ratio,
      bf16_over_f32: own.bf16_gflops / own.f32_gflops,
      two_threads_wall: own.scaling,
      two_threads_by_cpu_seconds: own.scaling_cpu,
    },
    bars: [
      atLeast("f32 over OpenBLAS, training shapes weighted by a step", ratio, 0.85),
      atLeast("two threads over one, wall clock", own.scaling, 1.85),
    ],
  };
}

export default {
  name: "cpu-gemm",
  about: "CPU matrix product in f32 and bf16 at training shapes against OpenBLAS",
  run,
} satisfies Bench;
