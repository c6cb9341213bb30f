// Generation: continuous batching against one request at a time, and prefills that samples share; with `--device cuda`,
// decoding against PyTorch on the same card.
import { atLeast, type BenchResult, describeMachine } from "@nsa/core";
import { Device } from "@nsa/kernels";
import {
  Engine,
  type GenerateRequest,
  plainSampling,
  resolveModelConfig,
  Transformer,
} from "../src/index.ts";
import { runOnGpu } from "./support/generate-gpu.ts";

const REQUESTS = 16;
const ROUNDS = 3;
const VOCABULARY = 4096;
const SAMPLES = 16;
const SHARED_PROMPT = 512;

/** Prompts of 8 to 188 tokens and outputs of 40 to 130, in no order: batches are ragged at both ends. */
const ragged = (): GenerateRequest[] =>
  Array.from({ length: REQUESTS }, (_, i) => ({
    prompt: Array.from({ length: 8 + ((i * 7) % REQUESTS) * 12 }, (_, t) => (t * 31 + i * 17) % VOCABULARY),
    n: 1,
    maxTokens: 40 + ((i * 11) % REQUESTS) * 6,
    sampling: plainSampling,
    seed: 1,
    id: i,
    stopIds: [],
  }));

function buildModel(device: Device): Transformer {
  const model = new Transformer(
    device,
    resolveModelConfig({
      vocabSize: VOCABULARY,
      dModel: 512,
      numLayers: 6,
      numHeads: 8,
      numKvHeads: 2,
      dFf: 1408,
      attention: "full",
      maxSeqLen: 1024,
    }),
  );
  model.parameters.init(1337);
  return model;
}

/** Wall and CPU seconds. */
function timed(body: () => void): { wall: number; cpu: number } {
  const [wall, cpu] = [performance.now(), process.cpuUsage()];
  body();
  const used = process.cpuUsage(cpu);
  return { wall: (performance.now() - wall) / 1e3, cpu: (used.user + used.system) / 1e6 };
}

const median = (xs: number[]) => [...xs].sort((a, b) => a - b)[xs.length >> 1]!;

function argument(name: string, fallback: string): string {
  const words: string[] = JSON.parse(process.env.NSA_BENCH_ARGS ?? "[]");
  const at = words.indexOf(`--${name}`);
  return at < 0 ? fallback : words[at + 1]!;
}

async function run(): Promise<BenchResult> {
  return argument("device", "cpu") === "cpu" ? onCpu() : runOnGpu(argument);
}

async function onCpu(): Promise<BenchResult> {
  const device = Device.open("cpu", { threads: 2 });
  const model = buildModel(device);
  const options = { maxSequences: REQUESTS, cacheTokens: 16_384, prefillTokens: 4096 };
  const parameters = model.parameters.layout.parameterCount;
  const requests = ragged();
  const tokens = requests.reduce((a, r) => a + r.maxTokens, 0);
  const alone = () => requests.map((r) => new Engine(model, options).generate([r])[0]!);
  const together = () => new Engine(model, options).generate(requests);
  const same = JSON.stringify(alone()) === JSON.stringify(together());

  const times: Record<"alone" | "together", { wall: number[]; cpu: number[] }> = {
    alone: { wall: [], cpu: [] },
    together: { wall: [], cpu: [] },
  };
  for (let round = 0; round < ROUNDS; round++) {
    for (const [name, body] of [
      ["alone", alone],
      ["together", together],
    ] as const) {
      const { wall, cpu } = timed(body);
      times[name].wall.push(wall);
      times[name].cpu.push(cpu);
    }
  }
  const speedup = median(times.alone.wall) / median(times.together.wall);

  const prompt = Array.from({ length: SHARED_PROMPT }, (_, t) => (t * 13) % VOCABULARY);
  const engine = new Engine(model, options);
  engine.generate([{ ...requests[0]!, prompt, n: SAMPLES, maxTokens: 4 }]);
  const saved = (SAMPLES * SHARED_PROMPT - engine.stats.prefillTokens) / SHARED_PROMPT;
  model.free();
  device.close();
  return {
    name: "generate",
    machine: describeMachine(),
    figures: {
      parameters_m: parameters / 1e6,
      tokens_per_sec_alone: tokens / median(times.alone.wall),
      tokens_per_sec_together: tokens / median(times.together.wall),
      tokens_per_cpu_second_alone: tokens / median(times.alone.cpu),
      tokens_per_cpu_second_together: tokens / median(times.together.cpu),
      prefilled_tokens_of_16_samples: engine.stats.prefillTokens,
    },
    ratios: {
      continuous_batching_over_one_at_a_time: speedup,
      cpu_seconds_saved: median(times.alone.cpu) / median(times.together.cpu),
    },
    bars: [
      atLeast("continuous batching over one request at a time, 16 ragged requests", speedup, 3),
      atLeast("prefills saved by 16 samples of one prompt", saved, SAMPLES - 1),
      atLeast("outputs equal to those alone (1 = all)", same ? 1 : 0, 1),
    ],
  };
}

export default {
  name: "generate",
  about: "continuous batching and shared prefills; with --device cuda, decoding against PyTorch",
  run,
};
