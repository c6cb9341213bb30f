// Training a small Llama-shaped model on the CPU, interleaved with PyTorch on the same shapes in one run.
//
// Figures are tokens per CPU-second (all threads together): they move least when the machine is shared.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { atLeast, type Batch, type BenchResult, describeMachine } from "@nsa/core";
import { Device, type FloatDtype } from "@nsa/kernels";
import { crossEntropy, resolveModelConfig, Trainer, Transformer, trainFlops } from "../src/index.ts";

const CONTEXT = 256;
const ROWS = 8;
const TOKENS = CONTEXT * ROWS;
const VOCABULARY = 4096;
const ROUNDS = 3;
const STEPS = 3;
/** The script of the PyTorch baseline; it prints one JSON object with `tok_per_cpu_s`. */
const BASELINE = process.env.NSA_TORCH_BASELINE ?? "../shared/design/cpu_gpt_torch.py";

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

function torch(dtype: "fp32" | "bf16"): number | null {
  if (!existsSync(BASELINE)) return null;
  const args = [BASELINE, "--threads", "2", "--steps", "4", "--warmup", "1", "--dtype", dtype];
  const run = spawnSync("python3", args, { encoding: "utf8" });
  if (run.status !== 0) return null;
  return JSON.parse(run.stdout.trim().split("\n").at(-1)!).tok_per_cpu_s;
}

/** GFLOP per CPU-second of the MLP's matmul, the largest of the layer. */
function gemmRate(device: Device, dtype: FloatDtype): number {
  using _ = device.scope();
  const [m, n, k] = [TOKENS, 1408, 256];
  const a = device.full([m, k], dtype, 0.5);
  const b = device.full([n, k], dtype, 0.25);
  const c = device.empty([m, n], dtype);
  const sizes = { m, n, k, lda: k, ldb: k, ldc: n, trans_a: 0, trans_b: 1, alpha: 1, beta: 0 };
  const rates: number[] = [];
  for (let i = 0; i < 8; i++) {
    const { cpu } = timed(() => {
      for (let j = 0; j < 4; j++) device.run("gemm", { a, b, c, ...sizes });
    });
    rates.push((4 * 2 * m * n * k) / cpu / 1e9);
  }
  return Math.max(...rates);
}

async function run(): Promise<BenchResult> {
  const two = Device.open("cpu", { threads: 2 });
  const one = Device.open("cpu", { threads: 1 });
  const fp32 = new Ours(two, "fp32");
  const single = new Ours(one, "fp32");
  const bf16 = new Ours(two, "bf16");
  const torchRates = { fp32: [] as number[], bf16: [] as number[] };
  const gemm: number[] = [];
  for (let i = 0; i < ROUNDS; i++) {
    fp32.round();
    single.round();
    bf16.round(1);
    gemm.push(gemmRate(one, "f32"));
    for (const dtype of ["fp32", "bf16"] as const) {
      const rate = torch(dtype);
      if (rate !== null) torchRates[dtype].push(rate);
    }
  }
  one.close();
  two.close();
  const flops = trainFlops(config("fp32"), CONTEXT).causal;
  const ours = { fp32: best(fp32.perCpuSecond)!, bf16: best(bf16.perCpuSecond)! };
  const ratio = (dtype: "fp32" | "bf16") => {
    const baseline = best(torchRates[dtype]);
    return baseline === null ? null : ours[dtype] / baseline;
  };
  const ofGemm = (best(single.perCpuSecond)! * flops) / 1e9 / best(gemm)!;
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
      torch_fp32_tokens_per_cpu_second: best(torchRates.fp32),
      torch_bf16_tokens_per_cpu_second: best(torchRates.bf16),
      gemm_gflops_per_cpu_second: best(gemm),
    },
    ratios,
    bars: [
      atLeast("tokens per CPU-second over PyTorch, fp32", ratios.fp32_over_torch, 1.25),
      atLeast("tokens per CPU-second over PyTorch, bf16", ratios.bf16_over_torch, 1.25),
      atLeast("share of our own matmul rate", ofGemm, 0.8),
      atLeast("two threads over one", speedup, 1.85),
    ],
  };
}

export default {
  name: "cpu-train",
  about: "training a 7.3M-parameter Llama-shaped model on the CPU against PyTorch",
  run,
};
