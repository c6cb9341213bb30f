// NSA on a GPU against the best public kernels, per branch, beside dense attention: the shapes and lengths that they publish.
//
// `pnpm bench nsa-attention --device cuda [--shapes 64/4/128,16/1/64] [--lengths 8,64] [--runs 20] --json`. A shape is query heads /
// KV heads / head dim, a length thousands of tokens. Times are medians by device events, the L2 cache flushed before each run; a
// floor is the branch's multiplications at the rate of a large bf16 gemm in the same run. Inputs are random; in the rows named
// `correlated` neighbouring queries are correlated, so that four choose UNION times the blocks of one, as on models trained at long context.
import { type Bench, type BenchResult, describeMachine } from "@nsa/core";
import {
  Device,
  type Documents,
  flashAttention,
  type NsaConfig,
  nsaAttention,
  packDocuments,
  Tape,
  type Tensor,
} from "../src/index.ts";
import { correlate, rhoOf, union } from "./support/correlated.ts";
import { sdpaTimes } from "./support/sdpa.ts";

interface Shape {
  heads: number;
  kvHeads: number;
  dim: number;
}

interface Times {
  forward: number;
  both: number;
}

/** Milliseconds of mdy666's flash-nsa, forward / forward and backward, on one H100 (the best of five at these shapes). */
const best: Record<string, Times> = {
  "64/4/128 8k": { forward: 3.67, both: 11.1 },
  "64/4/128 16k": { forward: 7.6, both: 24.1 },
  "64/4/128 32k": { forward: 16.8, both: 55.1 },
  "64/4/128 64k": { forward: 43.5, both: 138.9 },
  "16/1/64 64k": { forward: 7.3, both: 21.2 },
  "16/2/128 8k": { forward: 1.67, both: 4.81 },
  "16/2/128 64k": { forward: 16.7, both: 45.7 },
  "32/8/128 8k": { forward: 4.77, both: 11.8 },
  "32/8/128 16k": { forward: 9.93, both: 24.4 },
  "32/8/128 32k": { forward: 22.3, both: 53.9 },
  "32/8/128 64k": { forward: 53.0, both: 127 },
};

const [l, stride, selection, selected, window] = [32, 16, 64, 16, 512];

/** Blocks of four neighbouring queries together over those of one, in the rows named `correlated`. */
const UNION = 1.8;

const config = ({ heads, kvHeads, dim }: Shape): NsaConfig => ({
  heads,
  kvHeads,
  dimK: dim,
  dimV: dim,
  blockSize: l,
  stride,
  selectionBlockSize: selection,
  numSelectedBlocks: selected,
  windowSize: window,
});

const median = (x: number[]) => x.toSorted((a, b) => a - b)[Math.floor(x.length / 2)]!;

/** Query-key pairs of each branch that causality leaves. */
function pairs(T: number) {
  const sum = (seen: (t: number) => number) => {
    let total = 0;
    for (let t = 0; t < T; t++) total += seen(t);
    return total;
  };
  return {
    cmp: sum((t) => (t + 1 < l ? 0 : Math.floor((t + 1 - l) / stride) + 1)),
    slc: sum((t) => Math.min(t + 1, (selected - 1) * selection + (t % selection) + 1)),
    win: sum((t) => Math.min(t + 1, window)),
    dense: (T * (T + 1)) / 2,
  };
}

/** Floors in ms at `rate` FLOP/ms: two products forward, five backward; the scores of selection once more. */
function floors(shape: Shape, T: number, rate: number) {
  const p = pairs(T);
  const one = (n: number) => (2 * n * shape.heads * shape.dim) / rate;
  const branches = p.cmp + p.slc + p.win;
  return {
    forward: one(2 * branches + p.cmp),
    both: one(7 * branches + p.cmp),
    denseForward: one(2 * p.dense),
    denseBoth: one(7 * p.dense),
  };
}

class Rig {
  private readonly flush: Tensor;
  private readonly host: number[] = [];
  constructor(
    readonly device: Device,
    private readonly runs: number,
  ) {
    this.flush = device.empty([1 << 26], "f32");
  }

  /** A point on the device's clock; on the CPU, where ops run at once, on the host's. */
  mark(slot: number): void {
    if (this.device.name === "cuda") this.device.mark(slot);
    else this.host[slot] = performance.now();
  }

  private elapsed(from: number, to: number): number {
    return this.device.name === "cuda" ? this.device.elapsedMs(from, to) : this.host[to]! - this.host[from]!;
  }

  random(shape: number[], seed: number): Tensor {
    const x = this.device.empty(shape, "bf16");
    this.device.run("philox_normal", { x, seed, stream: 0, step: 0, mean: 0, std: 1 });
    x.requiresGrad = true;
    return x;
  }

  /** Medians of `body`, which marks 1 between forward and backward; peak bytes above what was live before. */
  times(body: () => void): Times & { peak: number } {
    const [forward, both]: number[][] = [[], []];
    let peak = 0;
    for (let i = 0; i < this.runs + 2; i++) {
      using _ = this.device.scope();
      this.device.run("fill", { x: this.flush, value: i });
      const before = this.device.stats(true).liveBytes;
      this.mark(0);
      body();
      this.mark(2);
      const [to, all] = [this.elapsed(0, 1), this.elapsed(0, 2)];
      peak = this.device.stats().peakBytes - before;
      if (i < 2) continue;
      forward!.push(to);
      both!.push(all);
    }
    return { forward: median(forward!), both: median(both!), peak };
  }

  /** FLOP a millisecond of a large bf16 product: 8192³ on a GPU. */
  ceiling(): number {
    const n = this.device.name === "cuda" ? 8192 : 512;
    using _ = this.device.scope();
    const [a, b, c] = [this.random([n, n], 1), this.random([n, n], 2), this.device.empty([n, n], "bf16")];
    const sizes = { m: n, n, k: n, lda: n, ldb: n, ldc: n, trans_a: 0, trans_b: 1, alpha: 1, beta: 0 };
    const once = () => this.device.milliseconds(() => this.device.run("gemm", { a, b, c, ...sizes }));
    for (let i = 0; i < 5; i++) once();
    return (2 * n ** 3) / median(Array.from({ length: 20 }, once));
  }
}

function nsaInputs(rig: Rig, { heads: H, kvHeads: G, dim: D }: Shape, T: number) {
  const key = (seed: number) => rig.random([T, G * D], seed);
  return {
    q: rig.random([T, H * D], 1),
    kCmp: key(2),
    vCmp: key(3),
    kSlc: key(4),
    vSlc: key(5),
    kWin: key(6),
    vWin: key(7),
    gate: rig.random([T, 3 * H], 8),
    phiK: { kind: "mean" },
    phiV: { kind: "mean" },
  } as const;
}

type Inputs = ReturnType<typeof nsaInputs>;

/** Correlates the queries. Returns ρ and the union of four neighbours, and that of the random queries. */
function correlateQueries(rig: Rig, shape: Shape, inputs: Inputs, docs: Documents) {
  const sharing = (q: Tensor) => {
    const { selected } = nsaAttention(new Tape(false), { ...inputs, q }, docs, config(shape));
    return union(selected.read(), shape.kvHeads, config(shape).numSelectedBlocks);
  };
  const at = (rho: number) => {
    using _ = rig.device.scope();
    const q = rig.random([...inputs.q.shape], 1);
    correlate(q, rho);
    return sharing(q);
  };
  const before = at(0);
  const rho = rhoOf(UNION, at);
  correlate(inputs.q, rho);
  using _ = rig.device.scope();
  return { rho, union_of_random: before, union: sharing(inputs.q) };
}

function nsa(rig: Rig, shape: Shape, inputs: Inputs, docs: Documents, T: number) {
  const { heads: H, dim: D } = shape;
  const grad = rig.random([T, H * D], 9);
  const step = () => {
    const tape = new Tape();
    const { o } = nsaAttention(tape, inputs, docs, config(shape));
    rig.mark(1);
    tape.backward([[o, grad]]);
    for (const t of Object.values(inputs)) {
      if (!("grad" in t)) continue;
      t.grad?.free();
      t.grad = undefined;
    }
  };
  const times = rig.times(step);
  // Ops one by one, each waited for: shares of the whole, not its time.
  const stop = rig.device.profile();
  for (let i = 0; i < 3; i++) {
    using _ = rig.device.scope();
    step();
  }
  const ops = Object.fromEntries(
    stop().map((x) => [`${x.op} x${x.calls / 3}`, Number((x.ms / 3).toFixed(3))]),
  );
  return { ...times, ops };
}

function dense(rig: Rig, { heads, kvHeads, dim }: Shape, docs: Documents, T: number) {
  const [q, k, v] = [
    rig.random([T, heads * dim], 1),
    rig.random([T, kvHeads * dim], 2),
    rig.random([T, kvHeads * dim], 3),
  ];
  const grad = rig.random([T, heads * dim], 4);
  return rig.times(() => {
    const tape = new Tape();
    const o = flashAttention(tape, { q, k, v }, docs, { heads, kvHeads, dimK: dim, dimV: dim });
    rig.mark(1);
    tape.backward([[o, grad]]);
    for (const t of [q, k, v]) {
      t.grad?.free();
      t.grad = undefined;
    }
  });
}

function argument(name: string, fallback: string): string {
  const words: string[] = JSON.parse(process.env.NSA_BENCH_ARGS ?? "[]");
  const at = words.indexOf(`--${name}`);
  return at < 0 ? fallback : words[at + 1]!;
}

async function run(): Promise<BenchResult> {
  const device = Device.open(argument("device", "cuda") as "cuda");
  const runs = Number(argument("runs", "20"));
  const shapes = argument("shapes", "64/4/128,16/1/64,16/2/128,32/8/128").split(",");
  const lengths = argument("lengths", "8,16,32,64").split(",").map(Number);
  const rig = new Rig(device, runs);
  const rate = rig.ceiling();
  const figures: BenchResult["figures"] = { gemm_tflops: rate / 1e9 };
  const ratios: BenchResult["ratios"] = {};
  const peers = argument("device", "cuda") === "cuda" ? sdpaTimes(shapes, lengths, runs) : undefined;
  if (!peers) figures.sdpa = "no PyTorch with a GPU here";
  for (const name of shapes) {
    const [heads, kvHeads, dim] = name.split("/").map(Number) as [number, number, number];
    const shape = { heads, kvHeads, dim };
    for (const k of lengths) {
      const T = k * 1024;
      const row = `${name} ${k}k`;
      using _ = device.scope();
      const docs = packDocuments(device, [0, T], { blockSize: l, stride });
      const inputs = nsaInputs(rig, shape, T);
      const ours = nsa(rig, shape, inputs, docs, T);
      const sharing = correlateQueries(rig, shape, inputs, docs);
      const together = nsa(rig, shape, inputs, docs, T);
      const full = dense(rig, shape, docs, T);
      const floor = floors(shape, T, rate);
      const peer = peers?.[row];
      const p = pairs(T);
      const read = p.cmp + p.slc + p.win;
      const fastest = (part: keyof Times) => Math.min(full[part], peer?.[part] ?? Number.POSITIVE_INFINITY);
      Object.assign(figures, {
        [`${row} forward_ms`]: ours.forward,
        [`${row} both_ms`]: ours.both,
        [`${row} peak_gib`]: ours.peak / 2 ** 30,
        [`${row} ops_ms`]: JSON.stringify(ours.ops),
        [`${row} dense_forward_ms`]: full.forward,
        [`${row} dense_both_ms`]: full.both,
        [`${row} sdpa_forward_ms`]: peer?.forward ?? null,
        [`${row} sdpa_both_ms`]: peer?.both ?? null,
      });
      for (const [name, value] of Object.entries(sharing)) figures[`${row} correlated ${name}`] = value;
      Object.assign(figures, {
        [`${row} correlated forward_ms`]: together.forward,
        [`${row} correlated both_ms`]: together.both,
        [`${row} correlated ops_ms`]: JSON.stringify(together.ops),
        [`${row} keys_read`]: read / T,
      });
      const public_ = best[row];
      Object.assign(ratios, {
        [`${row} fewer_keys`]: p.dense / read,
        [`${row} fastest_dense_over_forward`]: fastest("forward") / ours.forward,
        [`${row} fastest_dense_over_both`]: fastest("both") / ours.both,
        [`${row} correlated fastest_dense_over_forward`]: fastest("forward") / together.forward,
        [`${row} correlated fastest_dense_over_both`]: fastest("both") / together.both,
        [`${row} floor_of_forward`]: floor.forward / ours.forward,
        [`${row} floor_of_both`]: floor.both / ours.both,
        [`${row} floor_of_dense_both`]: floor.denseBoth / full.both,
        [`${row} best_public_over_forward`]: public_ ? public_.forward / ours.forward : null,
        [`${row} best_public_over_both`]: public_ ? public_.both / ours.both : null,
        [`${row} dense_over_both`]: full.both / ours.both,
        [`${row} sdpa_over_both`]: peer ? peer.both / ours.both : null,
        [`${row} sdpa_over_dense_both`]: peer ? peer.both / full.both : null,
      });
      const ms = (t: Times | undefined) => (t ? `${t.forward.toFixed(2)}/${t.both.toFixed(2)}` : "-");
      console.error(
        `${row}: nsa ${ms(ours)}, correlated ${ms(together)} (union ${sharing.union.toFixed(2)} at ρ ${sharing.rho.toFixed(3)}, random ${sharing.union_of_random.toFixed(2)}) best public ${ms(public_)} dense ${ms(full)} sdpa ${ms(peer)} ms, ${(ours.peak / 2 ** 30).toFixed(2)} GiB, floor ${floor.forward.toFixed(1)}/${floor.both.toFixed(1)} ${JSON.stringify(ours.ops)}`,
      );
    }
  }
  const machine = `${describeMachine()}; ${device.info.name ?? device.name}`;
  device.close();
  return { name: "nsa-attention", machine, figures, ratios, bars: [] };
}

export default {
  name: "nsa-attention",
  about: "NSA on a GPU against the best public kernels, our dense attention and SDPA-cuDNN, 8k to 64k tokens",
  run,
} satisfies Bench;
