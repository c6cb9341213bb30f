// Short checks that a backend computes what the double oracle does, twice the same, and how fast a matmul is.
import { type Batch, Rng } from "@nsa/core";
import { Device, type DeviceName } from "@nsa/kernels";
import { resolveModelConfig, Transformer } from "@nsa/model";
import { crossEntropy, Trainer } from "@nsa/train";

export interface Check {
  name: string;
  ok: boolean;
  text: string;
}

function product(
  name: DeviceName,
  n: number,
  repeat: number,
): { values: ArrayLike<number>; seconds: number } {
  const x = Float32Array.from({ length: n * n }, (_, i) => Math.sin(i * 0.7));
  const dtype = name === "reference" ? "f64" : "f32";
  const device = Device.open(name);
  try {
    const [a, c] = [device.from(x, [n, n], dtype), device.zeros([n, n], dtype)];
    const sizes = { m: n, n, k: n, lda: n, ldb: n, ldc: n, trans_a: 0, trans_b: 1, alpha: 1, beta: 0 };
    const once = () => device.run("gemm", { a, b: a, c, ...sizes });
    once();
    c.read();
    const from = performance.now();
    for (let i = 0; i < repeat; i++) once();
    const values = c.read();
    return { values, seconds: (performance.now() - from) / 1000 / Math.max(1, repeat) };
  } finally {
    device.close();
  }
}

/** FLOP/s with products of 512 that every GPU exceeds by far. */
const SLOWEST_GPU = 5e11;

/** FLOP/s of a square fp32 matmul that is large enough for the backend. */
export function matmulRate(name: "cpu" | "cuda"): number {
  const rate = (n: number) => (2 * n ** 3) / product(name, n, 10).seconds;
  const small = rate(512);
  // A GPU shows its rate with large products alone; what is this slow with small ones is none, and would take minutes.
  return name === "cuda" && small > SLOWEST_GPU ? rate(4096) : small;
}

const VOCABULARY = 300;
const LENGTH = 200;

function batch(): Batch {
  const rng = new Rng(1, 1);
  const tokens = Int32Array.from({ length: LENGTH }, (_, t) => rng.int(VOCABULARY, 0, t));
  return {
    tokens,
    targets: tokens.map((_, t) => tokens[(t + 1) % LENGTH]!),
    lossWeight: new Float32Array(LENGTH).fill(1),
    positions: Int32Array.from({ length: LENGTH }, (_, t) => t),
    cuSeqlens: Int32Array.of(0, LENGTH),
    sampleIds: Float64Array.of(0),
  };
}

/** Loss and gradient norm of a tiny NSA transformer at each of three optimizer steps. */
function lossesOf(name: DeviceName): number[] {
  const device = Device.open(name);
  try {
    const model = new Transformer(
      device,
      resolveModelConfig({
        vocabSize: VOCABULARY,
        dModel: 64,
        numLayers: 2,
        numHeads: 4,
        numKvHeads: 1,
        dFf: 96,
        blockSize: 8,
        stride: 4,
        selectionBlockSize: 8,
        numSelectedBlocks: 3,
        windowSize: 8,
        maxSeqLen: LENGTH,
      }),
    );
    model.parameters.init(1);
    const trainer = new Trainer(model, 3, { optimizer: { lr: 0.01 } });
    const step = () => trainer.step({ microBatches: [batch()], weightSum: LENGTH }, crossEntropy);
    return [step(), step(), step()].flatMap((m) => [m["train/loss"]!, m["train/grad_norm"]!]);
  } finally {
    device.close();
  }
}

const worst = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Array.from(a).reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);

/** Checks of one backend that can be opened; about a second on the CPU. */
export function selfCheck(name: "cpu" | "cuda"): Check[] {
  const difference = worst(product(name, 64, 0).values, product("reference", 64, 0).values);
  const [got, again, want] = [lossesOf(name), lossesOf(name), lossesOf("reference")];
  const apart = worst(got, want);
  const gflops = matmulRate(name) / 1e9;
  return [
    {
      name: "matmul",
      ok: difference < 1e-3,
      text: `differs from the oracle by ${difference.toExponential(1)}; ${gflops.toFixed(0)} GFLOP/s in fp32`,
    },
    {
      name: "training",
      ok: apart < 1e-3 && got[4]! < got[0]!,
      text: `three NSA steps, loss ${got[0]!.toFixed(3)} to ${got[4]!.toFixed(3)}, differs from the oracle by ${apart.toExponential(1)}`,
    },
    {
      name: "repeatable",
      ok: worst(got, again) === 0,
      text: worst(got, again) === 0 ? "the same bits twice" : "two equal runs gave different bits",
    },
  ];
}
