// NSA against our own full attention on the CPU: φ, scores, top-n, branches and gate, forward and backward, paper block sizes.
import { atLeast, atMost, type Bench, type BenchResult, describeMachine } from "@nsa/core";
import {
  Device,
  flashAttention,
  type NsaConfig,
  nsaAttention,
  type Phi,
  packDocuments,
  Tape,
  type Tensor,
} from "../src/index.ts";

const config: NsaConfig = {
  heads: 8,
  kvHeads: 2,
  dimK: 64,
  dimV: 64,
  blockSize: 32,
  stride: 16,
  selectionBlockSize: 64,
  numSelectedBlocks: 16,
  windowSize: 512,
};

/** Uniform values in (−1, 1) from a fixed seed. */
function random(device: Device, shape: number[], scale = 1): Tensor {
  const values = new Float32Array(shape.reduce((a, b) => a * b, 1));
  let state = 12345;
  for (let i = 0; i < values.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    values[i] = (state / 2 ** 31 - 1) * scale;
  }
  const t = device.empty(shape, "f32").write(values);
  t.requiresGrad = true;
  return t;
}

/** CPU seconds of one forward and backward on one thread, and the peak bytes above what was live before. */
function measure(device: Device, T: number, kind: "nsa" | "full"): { seconds: number; peak: number } {
  using _ = device.scope();
  const { heads: H, kvHeads: G, dimK: K, dimV: V } = config;
  const docs = packDocuments(device, [0, T], config);
  const q = random(device, [T, H * K]);
  const [k, v] = [() => random(device, [T, G * K]), () => random(device, [T, G * V])];
  const grad = random(device, [T, H * V]);
  const phi = (d: number): Phi => ({
    kind: "mlp",
    pos: random(device, [config.blockSize, d]),
    up: random(device, [4 * d, config.blockSize * d], 1 / Math.sqrt(config.blockSize * d)),
    down: random(device, [d, 4 * d], 1 / Math.sqrt(4 * d)),
  });
  const tape = new Tape();
  const gate = random(device, [T, 3 * H]);
  const inputs =
    kind === "nsa"
      ? {
          q,
          kCmp: k(),
          vCmp: v(),
          kSlc: k(),
          vSlc: v(),
          kWin: k(),
          vWin: v(),
          gate,
          phiK: phi(K),
          phiV: phi(V),
        }
      : undefined;
  const dense = { q, k: k(), v: v() };
  const before = device.stats(true).liveBytes;
  const start = process.cpuUsage();
  const o = inputs
    ? nsaAttention(tape, inputs, docs, config).o
    : flashAttention(tape, dense, docs, { heads: H, kvHeads: G, dimK: K, dimV: V });
  tape.backward([[o, grad]]);
  device.sync();
  const { user, system } = process.cpuUsage(start);
  return { seconds: (user + system) / 1e6, peak: device.stats().peakBytes - before };
}

/** GFLOP/s of one thread of f32 gemm at 1024³ on this device, now. */
function gemmRate(device: Device): number {
  using _ = device.scope();
  const n = 1024;
  const [a, b, c] = [random(device, [n, n]), random(device, [n, n]), device.empty([n, n], "f32")];
  const sizes = { m: n, n, k: n, lda: n, ldb: n, ldc: n, trans_a: 0, trans_b: 1, alpha: 1, beta: 0 };
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 5; i++) {
    const start = process.cpuUsage();
    device.run("gemm", { a, b, c, ...sizes });
    const { user, system } = process.cpuUsage(start);
    best = Math.min(best, user + system);
  }
  return (2 * n ** 3) / best / 1e3;
}

async function run(): Promise<BenchResult> {
  const device = Device.open("cpu", { threads: 1 });
  const figures: BenchResult["figures"] = {};
  const seconds: Record<string, number> = {};
  const peaks: Record<number, number> = {};
  let fullRate = 0;
  for (const T of [16384, 32768]) {
    // The first run only touches the memory. Then both alternate under the same load; the faster run of each counts.
    measure(device, T, "nsa");
    for (let round = 0; round < 2; round++) {
      for (const kind of ["nsa", "full"] as const) {
        const got = measure(device, T, kind);
        const name = `${kind}_${T / 1024}k`;
        seconds[name] = Math.min(seconds[name] ?? Number.POSITIVE_INFINITY, got.seconds);
        if (kind === "nsa") peaks[T] = got.peak;
      }
    }
  }
  for (const [name, s] of Object.entries(seconds)) figures[`${name}_cpu_seconds`] = s;
  for (const [T, bytes] of Object.entries(peaks)) figures[`nsa_${Number(T) / 1024}k_peak_bytes`] = bytes;
  // Causal FLOPs: 2·(d_k + d_v) a pair forward, 2.5 times that backward.
  const pairs = (16384 * 16385) / 2;
  fullRate = (3.5 * 2 * (config.dimK + config.dimV) * config.heads * pairs) / seconds.full_16k! / 1e9;
  const gemm = gemmRate(device);
  figures.full_attention_gflops = fullRate;
  figures.gemm_gflops = gemm;
  const at = (k: string) => seconds[`full_${k}`]! / seconds[`nsa_${k}`]!;
  const growth = peaks[32768]! / peaks[16384]!;
  device.close();
  return {
    name: "nsa-cpu",
    machine: describeMachine(),
    figures,
    ratios: {
      speedup_16k: at("16k"),
      speedup_32k: at("32k"),
      full_over_gemm: fullRate / gemm,
      peak_growth: growth,
    },
    bars: [
      atLeast("NSA over full attention at 16k", at("16k"), 2.5),
      atLeast("NSA over full attention at 32k", at("32k"), 4.5),
      atLeast("full attention over the gemm rate", fullRate / gemm, 0.6),
      atMost("peak memory at 32k over 16k", growth, 2.1),
    ],
  };
}

export default {
  name: "nsa-cpu",
  about: "NSA against full attention on the CPU at 16k and 32k tokens, forward and backward",
  run,
} satisfies Bench;
