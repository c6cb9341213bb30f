// Attention of one new token a sequence over a long cache on a GPU: NSA beside dense, in µs and as shares of the memory's bandwidth.
//
// `pnpm bench nsa-decode --device cuda [--shapes 64/4/128] [--cache 64] [--batches 1,8,32] [--runs 50] --json`. A shape is query heads / KV
// heads / head dim, the cache thousands of tokens. A step is recorded in a graph and its replays are timed by device events, the L2
// cache flushed before each, as it is between the layers of a model. A floor is the bytes of the keys and values read at 4.3 TB/s.
import { atMost, type Bench, type BenchResult, describeMachine } from "@nsa/core";
import {
  Device,
  decodeAttention,
  type NsaConfig,
  nsaDecodeAttention,
  nsaLayerCache,
  planDecode,
  type Tensor,
} from "../src/index.ts";

const sizes = {
  blockSize: 32,
  stride: 16,
  selectionBlockSize: 64,
  numSelectedBlocks: 16,
  windowSize: 512,
} as const;

/** Bytes a second that a large copy reaches on an H200. */
const BANDWIDTH = 4.3e12;

/** Most µs of NSA on an H200 by batch, with 64 query heads, 4 KV heads of 128 and a cache of 64K tokens. */
const BARS: Record<string, number> = {
  "64/4/128 64k batch 1": 26,
  "64/4/128 64k batch 8": 50,
  "64/4/128 64k batch 32": 115,
};

const median = (x: number[]) => x.toSorted((a, b) => a - b)[Math.floor(x.length / 2)]!;

function argument(name: string, fallback: string): string {
  const words: string[] = JSON.parse(process.env.NSA_BENCH_ARGS ?? "[]");
  const at = words.indexOf(`--${name}`);
  return at < 0 ? fallback : words[at + 1]!;
}

/** Microseconds of `body`, which makes tensors that nobody needs afterwards. */
function microseconds(device: Device, flush: Tensor, runs: number, body: () => void): number {
  body();
  const step = device.canCapture ? device.capture(body) : undefined;
  const once = () => {
    device.run("fill", { x: flush, value: 1 });
    return device.milliseconds(() => (step ? step.launch() : body())) * 1000;
  };
  for (let i = 0; i < 3; i++) once();
  const us = median(Array.from({ length: runs }, once));
  step?.destroy();
  return us;
}

function random(device: Device, x: Tensor, seed: number): Tensor {
  device.run("philox_normal", { x, seed, stream: 0, step: 0, mean: 0, std: 1 });
  return x;
}

/** µs of both, and their floors. Pages lie in a mixed order. */
function measure(device: Device, flush: Tensor, runs: number, config: NsaConfig, B: number, T: number) {
  using _ = device.scope();
  const { heads: H, kvHeads: G, dimK: D } = config;
  const page = config.selectionBlockSize;
  const each = Math.ceil(T / page);
  const pages = B * each;
  const cache = nsaLayerCache(device, config, pages, page, "bf16");
  Object.values(cache).forEach((x, i) => void random(device, x, i));
  // An odd step that is prime to no power of two visits every page of a power of two of them once.
  const sequences = Array.from({ length: B }, (_, s) => ({
    length: T,
    pages: Array.from({ length: each }, (_, i) => ((s * each + i) * 40503) % pages),
  }));
  const plan = planDecode(device, sequences, page, each, { ...sizes, kvHeads: G });
  const q = random(device, device.empty([B, H * D], "bf16"), 20);
  const gate = random(device, device.empty([B, 3 * H], "bf16"), 21);
  const run = (body: () => Tensor) => microseconds(device, flush, runs, () => body().free());
  const nsa = run(() => nsaDecodeAttention(q, gate, cache, plan, config));
  const dense = run(() => decodeAttention(q, cache.kSlc, cache.vSlc, plan, { ...config, windowSize: 0 }));
  const entries = Math.floor((T - sizes.blockSize) / sizes.stride) + 1;
  const bytes = (keys: number) => (B * G * D * 4 * keys * 1e6) / BANDWIDTH;
  const read = entries + sizes.numSelectedBlocks * page + sizes.windowSize;
  return { nsa, dense, floor: bytes(read), denseFloor: bytes(T) };
}

async function run(): Promise<BenchResult> {
  const device = Device.open(argument("device", "cuda") as "cuda");
  const runs = Number(argument("runs", "50"));
  const T = Number(argument("cache", "64")) * 1024;
  const figures: BenchResult["figures"] = {};
  const ratios: BenchResult["ratios"] = {};
  const bars: BenchResult["bars"] = [];
  const flush = device.empty([device.name === "cuda" ? 1 << 26 : 1], "f32");
  for (const name of argument("shapes", "64/4/128").split(",")) {
    const [heads, kvHeads, dim] = name.split("/").map(Number) as [number, number, number];
    for (const batch of argument("batches", "1,8,32").split(",").map(Number)) {
      const x = measure(device, flush, runs, { ...sizes, heads, kvHeads, dimK: dim, dimV: dim }, batch, T);
      const row = `${name} ${T / 1024}k batch ${batch}`;
      Object.assign(figures, {
        [`${row} nsa_us`]: x.nsa,
        [`${row} dense_us`]: x.dense,
        [`${row} nsa_floor_us`]: x.floor,
        [`${row} dense_floor_us`]: x.denseFloor,
      });
      Object.assign(ratios, {
        [`${row} dense_over_nsa`]: x.dense / x.nsa,
        [`${row} bandwidth_of_nsa`]: x.floor / x.nsa,
        [`${row} bandwidth_of_dense`]: x.denseFloor / x.dense,
      });
      if (x.nsa < x.floor || x.dense < x.denseFloor)
        throw new Error(`${row}: faster than its bytes can be read, so not all of them were`);
      if (BARS[row]) bars.push(atMost(`${row}, µs`, x.nsa, BARS[row]));
      console.error(
        `${row}: nsa ${x.nsa.toFixed(1)} µs (floor ${x.floor.toFixed(1)}), dense ${x.dense.toFixed(1)} µs (floor ${x.denseFloor.toFixed(1)})`,
      );
    }
  }
  const machine = `${describeMachine()}; ${device.info.name ?? device.name}`;
  device.close();
  return { name: "nsa-decode", machine, figures, ratios, bars };
}

export default {
  name: "nsa-decode",
  about: "attention of one new token over a cache of 64k tokens on a GPU, NSA beside dense, in µs",
  run,
} satisfies Bench;
