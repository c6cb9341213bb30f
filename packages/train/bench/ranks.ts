// Training steps shared by several ranks: how near they come to as many times one rank, what each holds, and whether the bits repeat.
//
// `pnpm bench ranks [--device cuda] [--worlds 1,2] [--cases C,1B,350M] [--torch yes] --json`. Each rank has a GPU and the tokens of one GPU's step;
// `--torch yes` has PyTorch train the last case by DistributedDataParallel on the same GPUs. With `--device cpu` tiny models train by pipes.
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { atLeast, atMost, type BenchResult, describeMachine } from "@nsa/core";
import { makeRankPipes } from "@nsa/kernels";
import type { ModelConfigInput } from "@nsa/model";
import type { RankPlan, RanksOutcome } from "./support/ranks-main.ts";
import { torchRanks } from "./support/train-torch.ts";

type Case = Omit<RankPlan, "shareState">;

const shape = (layers: number, d: number, kv: number, vocab: number, context: number): ModelConfigInput => ({
  dtype: "bf16",
  tieEmbeddings: false,
  attention: "full",
  numLayers: layers,
  dModel: d,
  numHeads: d / 64,
  numKvHeads: kv,
  headDim: 64,
  dFf: Math.ceil((8 * d) / 3 / 64) * 64,
  vocabSize: vocab,
  maxSeqLen: context,
});

/** 350M is case D of `bench train`. The last one is also trained with all masters and moments on every rank, and again, for its bits. */
const GPU_CASES: Case[] = [
  { name: "C", model: shape(12, 768, 12, 32768, 1024), context: 1024, micro: 32768, step: 262144, steps: 9 },
  {
    name: "1B",
    model: shape(16, 2048, 32, 32768, 4096),
    context: 4096,
    micro: 16384,
    step: 131072,
    steps: 6,
  },
  {
    name: "350M",
    model: shape(24, 1024, 4, 32768, 4096),
    context: 4096,
    micro: 32768,
    step: 131072,
    steps: 8,
  },
];
const CPU_CASES: Case[] = [
  { name: "tiny", model: shape(2, 64, 1, 256, 64), context: 64, micro: 64, step: 128, steps: 5 },
];

function argument(name: string, fallback: string): string {
  const words: string[] = JSON.parse(process.env.NSA_BENCH_ARGS ?? "[]");
  const at = words.indexOf(`--${name}`);
  return at < 0 ? fallback : words[at + 1]!;
}

function rankOf(args: string[], env: Record<string, string>): Promise<RanksOutcome> {
  const main = fileURLToPath(new URL("support/ranks-main.ts", import.meta.url));
  const flags = ["--conditions=nsa-source", "--import", import.meta.resolve("tsx"), main];
  const child = spawn(process.execPath, [...flags, ...args], {
    stdio: ["ignore", "pipe", "inherit"],
    env: { ...process.env, ...env },
  });
  let out = "";
  child.stdout.on("data", (x) => {
    out += x;
  });
  return new Promise((resolve, reject) =>
    child.on("close", (code) =>
      code === 0 ? resolve(JSON.parse(out)) : reject(new Error(`a rank ended with ${code}`)),
    ),
  );
}

/**
 * What each rank of a world measured, and the times of the last step's transfers where the device notes them. A world of one is measured
 * on each of `cards` at the same time.
 */
async function measure(device: string, world: number, plans: RankPlan[], cards: number) {
  const folder = mkdtempSync(join(tmpdir(), "nsa-bench-ranks-"));
  try {
    makeRankPipes(folder, world);
    const sizes = JSON.stringify(device === "cuda" ? [1, 4, 16, 64, 256, 1024] : [1, 4]);
    const words = [`${world}`, folder, device, JSON.stringify(plans), sizes];
    const env = { NSA_COMM_TRACE: folder };
    const processes = Array.from({ length: world === 1 ? cards : world }, (_, i) =>
      rankOf([`${i}`, ...words], env),
    );
    return { all: await Promise.all(processes), trace: traceIn(folder) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Trace {
  backward_done_ms: number;
  transfers_ms: [from: number, to: number][];
}

function traceIn(folder: string): Trace | undefined {
  try {
    return JSON.parse(readFileSync(join(folder, "rank-0.json"), "utf8")) as Trace;
  } catch {
    return undefined;
  }
}

/** Share of the transfers' time that lies before the end of the backward. */
function besideBackward({ backward_done_ms: end, transfers_ms: all }: Trace): number {
  const sum = (of: (from: number, to: number) => number) => all.reduce((n, [a, b]) => n + of(a, b), 0);
  return sum((a, b) => Math.max(0, Math.min(b, end) - Math.min(a, end))) / sum((a, b) => b - a);
}

function gpus(): number {
  const listed = spawnSync("nvidia-smi", ["-L"], { encoding: "utf8" });
  return listed.status === 0 ? listed.stdout.trim().split("\n").length : 0;
}

type Figures = Record<string, number | null>;

class Report {
  readonly figures: Figures = {};
  readonly ratios: Figures = {};
  readonly bars: BenchResult["bars"] = [];
  machine = describeMachine();

  constructor(
    private readonly device: string,
    private readonly cases: readonly Case[],
  ) {}

  /** Trains the cases in a world, and compares it with one rank. */
  async add(world: number, cards: number): Promise<void> {
    const last = this.cases.at(-1)!;
    const shared = this.cases.map((c): RankPlan => ({ ...c, shareState: "always" }));
    const more: RankPlan[] = [
      { ...last, name: `${last.name}_unshared`, shareState: "never" },
      { ...last, name: `${last.name}_again`, shareState: "always" },
    ];
    const plans = world === 1 ? shared : [...shared, ...more];
    const { all, trace } = await measure(this.device, world, plans, cards);
    this.machine = `${describeMachine()}; ${world} × ${all[0]!.device}`;
    for (const { name } of plans) this.note(name, world, all);
    if (world === 1) return;
    for (const [name, ms] of Object.entries(all[0]!.transfers))
      this.figures[`${name.replace("_ms", "")}_${world}_ms`] = ms;
    for (const { name } of this.cases) this.compare(name, world);
    const weights = (name: string) => all.map(({ outcomes }) => outcomes[name]!.weights);
    const same = new Set([...weights(last.name), ...weights(`${last.name}_again`)]).size === 1 ? 1 : 0;
    this.bars.push(atLeast(`${last.name}: ${world} ranks have equal bits, twice`, same, 1));
    if (!trace) return;
    this.ratios[`${last.name}_${world}_beside_backward`] = besideBackward(trace);
    console.error(`transfers of the last step, ms from the first: ${JSON.stringify(trace)}`);
  }

  /** PyTorch on the GPUs of the last case's ranks. */
  besideTorch(world: number): void {
    const c = this.cases.at(-1)!;
    const torch = torchRanks(c.model, c, world);
    const ours = this.figures[`${c.name}_${world}_tokens_per_second`];
    const ratio = torch && ours ? ours / torch.tokensPerSecond : null;
    this.figures[`${c.name}_${world}_torch_tokens_per_second`] = torch?.tokensPerSecond ?? null;
    this.ratios[`${c.name}_${world}_over_torch`] = ratio;
    this.bars.push(atLeast(`${c.name}: ${world} ranks over PyTorch DDP`, ratio, 1));
  }

  private note(name: string, world: number, all: readonly RanksOutcome[]): void {
    const found = all.map(({ outcomes }) => outcomes[name]!);
    this.figures[`${name}_${world}_tokens_per_second`] = found[0]!.tokensPerSecond;
    this.figures[`${name}_${world}_state_bytes`] = Math.max(...found.map((f) => f.stateBytes));
    this.figures[`${name}_${world}_peak_bytes`] = Math.max(...found.map((f) => f.peakBytes));
    if (world === 1) this.figures[`${name}_slowest_alone`] = Math.min(...found.map((f) => f.tokensPerSecond));
  }

  private compare(name: string, world: number): void {
    const over = (figure: string, one: string, times: number) => {
      const [alone, all] = [this.figures[one], this.figures[`${name}_${world}_${figure}`]];
      return alone && all ? all / (alone * times) : null;
    };
    const speed = over("tokens_per_second", `${name}_1_tokens_per_second`, world);
    const bytes = over("state_bytes", `${name}_1_state_bytes`, 1);
    this.ratios[`${name}_${world}_of_linear`] = speed;
    this.ratios[`${name}_${world}_of_slowest`] = over("tokens_per_second", `${name}_slowest_alone`, world);
    this.ratios[`${name}_${world}_state_bytes_over_one`] = bytes;
    if (this.device === "cuda")
      this.bars.push(atLeast(`${name}: ${world} ranks over ${world} times one`, speed, 0.985));
    this.bars.push(atMost(`${name}: masters and moments of a rank over those of one`, bytes, 1.1 / world));
  }
}

async function run(): Promise<BenchResult> {
  const device = argument("device", "cuda");
  const cuda = device === "cuda";
  const most = cuda ? gpus() : Math.max(2, availableParallelism());
  const names = argument("cases", "C,1B,350M,tiny").split(",");
  const report = new Report(
    device,
    (cuda ? GPU_CASES : CPU_CASES).filter(({ name }) => names.includes(name)),
  );
  const worlds = argument("worlds", cuda ? "1,2,4,8" : "1,2")
    .split(",")
    .map(Number)
    .filter((n) => n <= most);
  for (const world of worlds) await report.add(world, cuda ? Math.max(...worlds) : 1);
  if (cuda && argument("torch", "no") === "yes") report.besideTorch(Math.max(...worlds));
  const { machine, figures, ratios, bars } = report;
  return { name: "ranks", machine, figures, ratios, bars };
}

export default {
  name: "ranks",
  about: "steps shared by ranks against as many times one, and PyTorch DDP",
  run,
};
