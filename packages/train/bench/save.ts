// Saving a checkpoint against `dd conv=fsync` of the same bytes into the same folder, and what the save and the load take of memory.
//
// `pnpm bench save [--layers 16 --d-model 2048 --vocab 32768 --context 4096 --device cuda --dir FOLDER --repeats 3] --json`. One step,
// then the save, timed together with its syncs; dd right after it. The checkpoint is loaded into a model with other weights: weights,
// moments and the next step's loss must have the bits of the model that was saved.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { atLeast, atMost, type Batch, type BenchResult, describeMachine } from "@nsa/core";
import { Device, type DeviceName, hostArray, type Tensor } from "@nsa/kernels";
import {
  loadCheckpoint,
  type ModelConfig,
  resolveModelConfig,
  saveCheckpoint,
  Transformer,
} from "@nsa/model";
import { crossEntropy, Trainer } from "../src/index.ts";

/** Below this a save is opening and syncing files, not writing bytes, and dd is no measure of it. */
const MIN_BYTES_FOR_RATIO = 2 ** 30;
const PIECE = 1 << 22;

function argument(name: string, fallback: string): string {
  const words: string[] = JSON.parse(process.env.NSA_BENCH_ARGS ?? "[]");
  const at = words.indexOf(`--${name}`);
  return at < 0 ? fallback : words[at + 1]!;
}

const sizes = (device: DeviceName): ModelConfig => {
  const number = (name: string, fallback: number) => Number(argument(name, String(fallback)));
  const dModel = number("d-model", 256);
  return resolveModelConfig({
    numLayers: number("layers", 4),
    dModel,
    numHeads: Math.ceil(dModel / 64),
    numKvHeads: Math.ceil(dModel / 64),
    headDim: 64,
    dFf: Math.ceil((8 * dModel) / 3 / 64) * 64,
    vocabSize: number("vocab", 4096),
    maxSeqLen: number("context", 256),
    attention: "full",
    tieEmbeddings: false,
    dtype: device === "cuda" ? "bf16" : "fp32",
  });
};

function batchOf({ vocabSize, maxSeqLen }: ModelConfig, seed: number): Batch {
  const id = (t: number) => (Math.imul(t + seed * 7919, 2654435761) >>> 8) % vocabSize;
  return {
    tokens: Int32Array.from({ length: maxSeqLen }, (_, t) => id(t)),
    targets: Int32Array.from({ length: maxSeqLen }, (_, t) => id(t + 1)),
    lossWeight: new Float32Array(maxSeqLen).fill(1),
    positions: Int32Array.from({ length: maxSeqLen }, (_, t) => t),
    cuSeqlens: Int32Array.of(0, maxSeqLen),
    sampleIds: new Float64Array(1),
  };
}

const start = (device: Device, config: ModelConfig, seed: number) => {
  const model = new Transformer(device, config);
  model.parameters.init(seed);
  const trainer = new Trainer(model, 100, {});
  const step = (n: number) =>
    trainer.step({ microBatches: [batchOf(config, n)], weightSum: config.maxSeqLen }, crossEntropy)[
      "train/loss"
    ]!;
  const free = () => {
    trainer.free();
    model.free();
  };
  return { model, trainer, step, free };
};

type Run = ReturnType<typeof start>;

/** SHA-256 of weights and moments. */
function bitsOf({ model, trainer }: Run): string {
  const hash = createHash("sha256");
  const add = (t: Tensor) => {
    for (let at = 0; at < t.numel; at += PIECE) {
      const piece = hostArray(t.dtype, Math.min(PIECE, t.numel - at));
      model.device.readInto(t, piece, at);
      hash.update(piece);
    }
  };
  for (const t of [model.parameters.flat, trainer.optimizer.buffers.m!, trainer.optimizer.buffers.v!]) add(t);
  return hash.digest("hex");
}

/** Peak resident memory of this process since the last call with `reset`, bytes; null where the system does not count it. */
function peakRss(reset = false): number | null {
  try {
    if (reset) writeFileSync("/proc/self/clear_refs", "5");
    return 1024 * Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync("/proc/self/status", "utf8"))![1]);
  } catch {
    return null;
  }
}

/** Seconds of `body`, and by how much its peak resident memory was above that before it, bytes. */
async function measured(body: () => Promise<unknown>): Promise<{ seconds: number; rise: number | null }> {
  (globalThis as { gc?: () => void }).gc?.();
  const before = peakRss(true);
  const from = performance.now();
  await body();
  const seconds = (performance.now() - from) / 1e3;
  const after = peakRss();
  return { seconds, rise: before === null || after === null ? null : after - before };
}

const bytesIn = (dir: string) => readdirSync(dir).reduce((n, name) => n + statSync(join(dir, name)).size, 0);

/** Seconds of dd for the same bytes; null where it does not run. */
function ddSeconds(path: string, bytes: number): number | null {
  const from = performance.now();
  const args = ["if=/dev/zero", `of=${path}`, "bs=16M", `count=${bytes}`, "iflag=count_bytes", "conv=fsync"];
  const { status } = spawnSync("dd", args, { stdio: "ignore" });
  const seconds = (performance.now() - from) / 1e3;
  rmSync(path, { force: true });
  return status === 0 ? seconds : null;
}

const median = (x: number[]) => x.toSorted((a, b) => a - b)[x.length >> 1] ?? null;
const most = (x: (number | null)[]) => (x.includes(null) ? null : Math.max(...(x as number[])));

interface SaveFigures {
  bytes: number;
  saves: number[];
  dds: number[];
  rise: number | null;
}

/** Saves and dd in turn, each after what was written before is on the disk. */
async function measureSaves(run: Run, dir: string, repeats: number): Promise<SaveFigures> {
  const [saves, dds, rises]: [number[], number[], (number | null)[]] = [[], [], []];
  const checkpoint = join(dir, "checkpoint");
  for (let i = 0; i < repeats; i++) {
    rmSync(checkpoint, { recursive: true, force: true });
    spawnSync("sync");
    const { model, trainer } = run;
    const parts = { model, optimizer: trainer.optimizer, stateful: [trainer], step: trainer.stepsDone };
    const { seconds, rise } = await measured(() => saveCheckpoint(checkpoint, parts));
    saves.push(seconds);
    rises.push(rise);
    const dd = ddSeconds(join(dir, "zeros"), bytesIn(checkpoint));
    if (dd !== null) dds.push(dd);
  }
  return { bytes: bytesIn(checkpoint), saves, dds, rise: most(rises) };
}

async function measure(device: Device, dir: string) {
  const config = sizes(device.name);
  const saved = start(device, config, 1337);
  saved.step(0);
  const save = await measureSaves(saved, dir, Number(argument("repeats", "1")));
  const bits = bitsOf(saved);
  const loss = saved.step(1);
  const parameters = saved.model.parameters.layout.parameterCount;
  saved.free();
  const loaded = start(device, config, 1);
  const { model, trainer } = loaded;
  const load = await measured(() =>
    loadCheckpoint(join(dir, "checkpoint"), { model, optimizer: trainer.optimizer, stateful: [trainer] }),
  );
  const sameBits = bitsOf(loaded) === bits;
  const sameLoss = Object.is(loaded.step(1), loss);
  loaded.free();
  return { save, load, loss, parameters, sameBits, sameLoss };
}

async function run(): Promise<BenchResult> {
  const device = Device.open(argument("device", "cpu") as DeviceName);
  const dir = mkdtempSync(join(argument("dir", tmpdir()), "nsa-save-"));
  try {
    const { save, load, loss, parameters, sameBits, sameLoss } = await measure(device, dir);
    const [seconds, dd] = [median(save.saves)!, median(save.dds)];
    const ratio = dd === null ? null : seconds / dd;
    const gib = (bytes: number | null) => (bytes === null ? null : bytes / 2 ** 30);
    return {
      name: "save",
      machine: `${describeMachine()}; ${device.info.name ?? device.name}`,
      figures: {
        parameters,
        bytes: save.bytes,
        save_seconds: seconds,
        dd_seconds: dd,
        save_gb_per_second: save.bytes / 1e9 / seconds,
        save_rss_rise_gib: gib(save.rise),
        load_seconds: load.seconds,
        load_rss_rise_gib: gib(load.rise),
        next_loss: loss,
      },
      ratios: { save_over_dd: ratio },
      series: { save_seconds: save.saves, dd_seconds: save.dds },
      bars: [
        ...(save.bytes >= MIN_BYTES_FOR_RATIO ? [atMost("save over dd conv=fsync", ratio, 1.3)] : []),
        atMost("GiB that resident memory rises in a save", gib(save.rise), 1),
        atMost("GiB that resident memory rises in a load", gib(load.rise), 1),
        atLeast("weights and moments come back bit for bit", sameBits ? 1 : 0, 1),
        atLeast("the next step's loss is the same bit for bit", sameLoss ? 1 : 0, 1),
      ],
    };
  } finally {
    rmSync(dir, { recursive: true, force: true });
    device.close();
  }
}

export default {
  name: "save",
  about: "seconds and memory of a checkpoint against dd of the same bytes",
  run,
};
