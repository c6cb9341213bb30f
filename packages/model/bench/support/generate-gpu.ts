// Decoding on a GPU against PyTorch with one CUDA graph a step on the same card (one H100 80GB): cases B and C of training.
//
// Prompt 64, 256 new tokens, sampled at T = 1, bf16, random weights. The figure counts new tokens over the seconds from the
// first decode step to the last token; `end_to_end` counts the prefill, capture and scheduling too.
import { atLeast, type BenchResult, describeMachine } from "@nsa/core";
import { Device } from "@nsa/kernels";
import {
  Engine,
  type GenerateRequest,
  plainSampling,
  resolveModelConfig,
  Transformer,
} from "../../src/index.ts";

const PROMPT = 64;
const NEW = 256;

const cases = {
  B: {
    shape: { numLayers: 10, dModel: 640, numHeads: 10, numKvHeads: 10, dFf: 1728, vocabSize: 16384 },
    peer: { 1: 2400, 64: 125_000, 256: 265_000, 512: 340_000 },
  },
  C: {
    shape: { numLayers: 12, dModel: 768, numHeads: 12, numKvHeads: 12, dFf: 2048, vocabSize: 32768 },
    peer: { 1: 1900, 64: 93_000, 256: 196_000, 512: 241_000 },
  },
} as const;

function requests(batch: number, vocabulary: number): GenerateRequest[] {
  return Array.from({ length: batch }, (_, i) => ({
    prompt: Int32Array.from(
      { length: PROMPT },
      (_, t) => (Math.imul(t + 977 * i, 2654435761) >>> 8) % vocabulary,
    ),
    n: 1,
    maxTokens: NEW,
    sampling: plainSampling,
    seed: 7,
    id: i,
    stopIds: [],
  }));
}

/** Milliseconds of one decode step by op, run op by op as its first step is, and their sum. */
function stepByOp(model: Transformer, batch: number): Record<string, number> {
  let tokens = 0;
  let stop: (() => { op: string; calls: number; ms: number }[]) | undefined;
  let ops: { op: string; calls: number; ms: number }[] = [];
  const engine = new Engine(model, {
    maxSequences: batch,
    cacheTokens: batch * (PROMPT + NEW + 16),
    prefillTokens: 32_768,
    onToken: () => {
      tokens++;
      if (tokens === batch) stop = model.device.profile();
      else if (tokens === 2 * batch) ops = stop!();
    },
  });
  // Two tokens: the prefill's, and that of one step, which nothing follows.
  const short = requests(batch, model.config.vocabSize).map((r) => ({ ...r, maxTokens: 2 }));
  engine.generate(short);
  const sum = ops.reduce((a, x) => a + x.ms, 0);
  return Object.fromEntries([
    ...ops.map((x) => [`${x.op} x${x.calls}`, Number(x.ms.toFixed(4))]),
    ["sum", Number(sum.toFixed(3))],
  ]);
}

/** Seconds of decoding alone and of everything. */
function measure(model: Transformer, batch: number) {
  let first = 0;
  const engine = new Engine(model, {
    maxSequences: batch,
    cacheTokens: batch * (PROMPT + NEW + 16),
    prefillTokens: 32_768,
    onToken: () => {
      first ||= performance.now();
    },
  });
  const start = performance.now();
  const out = engine.generate(requests(batch, model.config.vocabSize));
  const end = performance.now();
  return { decode: (end - first) / 1e3, all: (end - start) / 1e3, last: out.at(-1)![0]!.ids };
}

/** Runs the GPU cases. Words: `--device cuda --cases B,C --batches 1,64 --profile yes --tune yes`. */
export async function runOnGpu(argument: (name: string, fallback: string) => string): Promise<BenchResult> {
  const device = Device.open(argument("device", "cuda") as "cuda");
  if (argument("tune", "no") === "yes") device.tune();
  const figures: Record<string, number | null> = {};
  const ratios: Record<string, number | null> = {};
  const bars: BenchResult["bars"] = [];
  for (const name of argument("cases", "B,C").split(",") as ("B" | "C")[]) {
    const { shape, peer } = cases[name];
    const model = new Transformer(
      device,
      resolveModelConfig({
        ...shape,
        headDim: 64,
        attention: "full",
        tieEmbeddings: false,
        dtype: "bf16",
        maxSeqLen: 1024,
      }),
    );
    model.parameters.init(1337);
    for (const batch of argument("batches", "1,64,256,512").split(",").map(Number)) {
      const key = `${name}_${batch}`;
      const runs = Array.from({ length: 3 }, () => measure(model, batch));
      const best = runs.toSorted((a, b) => a.decode - b.decode)[1]!;
      const same = runs.every((r) => JSON.stringify(r.last) === JSON.stringify(runs[0]!.last));
      const tokens = batch * (NEW - 1);
      const expected = peer[batch as 1];
      figures[`${key}_tokens_per_sec`] = tokens / best.decode;
      figures[`${key}_end_to_end_tokens_per_sec`] = (batch * NEW) / best.all;
      figures[`${key}_peer_tokens_per_sec`] = expected ?? null;
      ratios[key] = expected ? tokens / best.decode / expected : null;
      bars.push(atLeast(`case ${name}, batch ${batch}: tokens/s over PyTorch`, ratios[key]!, 1));
      bars.push(
        atLeast(`case ${name}, batch ${batch}: equal tokens in three runs (1 = yes)`, same ? 1 : 0, 1),
      );
      if (argument("profile", "no") === "yes") console.error(key, JSON.stringify(stepByOp(model, batch)));
      console.error(
        `${key}: ${figures[`${key}_tokens_per_sec`]?.toFixed(0)} tokens/s, ratio ${ratios[key]?.toFixed(3)}`,
      );
    }
    model.free();
  }
  const machine = `${describeMachine()}; ${device.info.name ?? device.name}`;
  device.close();
  return { name: "generate", machine, figures, ratios, bars };
}
