// Training a small Llama-shaped model on the CPU, interleaved with PyTorch on the same shapes in one run.
//
// Figures are tokens per CPU-second (all threads together): they move least when the machine is shared.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { atLeast, type Batch, type BenchResult, describeMachine } from "@nsa/core";
import { Device } from "@nsa/kernels";
import { resolveModelConfig, Transformer, trainFlops } from "@nsa/model";
import { crossEntropy, Trainer } from "../src/index.ts";

const CONTEXT = 256;
const ROWS = 8;
const TOKENS = CONTEXT * ROWS;
const VOCABULARY = 4096;
const ROUNDS = 3;
const STEPS = 3;
const PEER = join(import.meta.dirname, "support/torch_llama.py");
const GEMM = join(import.meta.dirname, "../../../build/native/gemm_bench");

const config = (dtype: "fp32" | "bf16") =>
  resolveModelConfig({
    vocabSize: VOCABULARY,
    dModel: 256,
    numLayers: 4,
    numHeads: 4,
    numKvHeads: 4,
    dFf: 704,
    attention: "full",
    tieEmbeddings: false,
    maxSeqLen: CONTEXT,
    dtype,
  });

function randomBatch(): Batch {
  const id = (t: number) => (Math.imul(t, 2654435761) >>> 8) % VOCABULARY;
  return {
    tokens: Int32Array.from({ length: TOKENS }, (_, t) => id(t)),
    targets: Int32Array.from({ length: TOKENS }, (_, t) => id(t + 1)),
    lossWeight: new Float32Array(TOKENS).fill(1),
    positions: Int32Array.from({ length: TOKENS }, (_, t) => t % CONTEXT),
    cuSeqlens: Int32Array.from({ length: ROWS + 1 }, (_, i) => i * CONTEXT),
    sampleIds: new Float64Array(ROWS),
  };
}

const best = (values: number[]) => (values.length === 0 ? null : Math.max(...values));

/** Wall seconds and CPU seconds of `body`. */
function timed(body: () => void): { wall: number; cpu: number } {
  const [wall, cpu] = [performance.now(), process.cpuUsage()];
  body();
  const used = process.cpuUsage(cpu);
  return { wall: (performance.now() - wall) / 1e3, cpu: (used.user + used.system) / 1e6 };
}

class Ours {
  readonly perCpuSecond: number[] = [];
  readonly perSecond: number[] = [];
  private readonly trainer: Trainer;
  private readonly step = { microBatches: [randomBatch()], weightSum: TOKENS };

  constructor(device: Device, dtype: "fp32" | "bf16") {
    const model = new Transformer(device, config(dtype));
    model.parameters.init(1337);
    this.trainer = new Trainer(model, 1000);
    this.trainer.step(this.step, crossEntropy);
  }

  round(steps = STEPS): void {
    for (let i = 0; i < steps; i++) {
      const { wall, cpu } = timed(() => this.trainer.step(this.step, crossEntropy));
      this.perCpuSecond.push(TOKENS / cpu);
      this.perSecond.push(TOKENS / wall);
    }
  }
}

/** A Python with PyTorch, or null. */
function findPython(): string | null {
  const candidates = [process.env.NSA_PYTHON, "python3", "/usr/bin/python3"].filter((p) => p !== undefined);
  return candidates.find((p) => spawnSync(p, ["-c", "import torch"]).status === 0) ?? null;
}

interface Peer {
  torch: string;
  tokens_per_cpu_second: number;
  tokens_per_second: number;
}

function peer(python: string | null, dtype: string, threads: number): Peer | null {
  if (python === null) return null;
  // Both would keep its OpenBLAS from choosing the kernel of this CPU.
  const { OPENBLAS_CORETYPE: _core, OPENBLAS_L2_SIZE: _size, ...env } = process.env;
  const args = [PEER, "--threads", `${threads}`, "--dtype", dtype];
  const run = spawnSync(python, args, { encoding: "utf8", env });
  return run.status === 0 ? JSON.parse(run.stdout) : null;
}

/** GFLOP/s of one thread that `pnpm bench cpu-gemm` prints: f32, the step's shapes weighted by their share of it. */
function gemmRate(): number | null {
  if (!existsSync(GEMM)) return null;
  const run = spawnSync(GEMM, ["bench"], { encoding: "utf8" });
  return run.status === 0 ? JSON.parse(run.stdout).f32_gflops : null;
}

async function run(): Promise<BenchResult> {
  const two = Device.open("cpu", { threads: 2 });
  const one = Device.open("cpu", { threads: 1 });
  const fp32 = new Ours(two, "fp32");
  const single = new Ours(one, "fp32");
  const bf16 = new Ours(two, "bf16");
  const python = findPython();
  const peers = { fp32: [] as Peer[], bf16: [] as Peer[] };
  const gemm: number[] = [];
  for (let i = 0; i < ROUNDS; i++) {
    fp32.round();
    single.round();
    bf16.round();
    const rate = gemmRate();
    if (rate !== null) gemm.push(rate);
    for (const dtype of ["fp32", "bf16"] as const) {
      for (const threads of [1, 2]) {
        const got = peer(python, dtype, threads);
        if (got) peers[dtype].push(got);
      }
    }
  }
  one.close();
  two.close();
  const flops = trainFlops(config("fp32"), CONTEXT).causal;
  const ours = { fp32: best(fp32.perCpuSecond)!, bf16: best(bf16.perCpuSecond)! };
  const ratio = (dtype: "fp32" | "bf16") => {
    const baseline = best(peers[dtype].map((p) => p.tokens_per_cpu_second));
    return baseline === null ? null : ours[dtype] / baseline;
  };
  const matmul = best(gemm);
  const ofGemm = matmul === null ? null : (best(single.perCpuSecond)! * flops) / 1e9 / matmul;
  const speedup = best(fp32.perSecond)! / best(single.perSecond)!;
  const ratios = {
    fp32_over_torch: ratio("fp32"),
    bf16_over_torch: ratio("bf16"),
    share_of_gemm_rate: ofGemm,
    two_threads_over_one: speedup,
  };
  return {
    name: "cpu-train",
    machine: describeMachine(),
    figures: {
      mflop_per_token_causal: flops / 1e6,
      fp32_tokens_per_cpu_second: ours.fp32,
      bf16_tokens_per_cpu_second: ours.bf16,
      torch_fp32_tokens_per_cpu_second: best(peers.fp32.map((p) => p.tokens_per_cpu_second)),
      torch_bf16_tokens_per_cpu_second: best(peers.bf16.map((p) => p.tokens_per_cpu_second)),
      torch: peers.fp32[0]?.torch ?? null,
      one_thread_fp32_tokens_per_second: best(single.perSecond),
      two_threads_fp32_tokens_per_second: best(fp32.perSecond),
      gemm_gflops: matmul,
    },
    ratios,
    bars: [
      atLeast("tokens per CPU-second over PyTorch, fp32", ratios.fp32_over_torch, 1.25),
      atLeast("tokens per CPU-second over PyTorch, bf16", ratios.bf16_over_torch, 1.25),
      atLeast("share of the rate of cpu-gemm, one thread", ofGemm, 0.8),
      atLeast("two threads over one", speedup, 1.85),
    ],
  };
}

export default {
  name: "cpu-train",
  about: "training a 7.3M-parameter Llama-shaped model on the CPU against PyTorch",
  run,
};
