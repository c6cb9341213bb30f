// Rollouts on the CPU: 32 prompts with 16 samples each against a plain KV-cache loop over the same model. With `--device cuda`, on a
// GPU against steady decoding of the same batch.
//
// The plain loop answers one output after another: its prompt is run, then one token at a time is decoded from the cache. A
// second baseline decodes the 16 samples of a prompt together, prompt by prompt, until the longest has ended. The plain loop
// is timed on 2 of the prompts: its rate does not depend on their number.
import { atLeast, type BenchResult, describeMachine } from "@nsa/core";
import { Device } from "@nsa/kernels";
import { Engine, type GenerateRequest, plainSampling, resolveModelConfig, Transformer } from "@nsa/model";
import { deviceArgument } from "./support/command-line.ts";
import { rolloutsOnGpu } from "./support/rollout-gpu.ts";

const PROMPTS = 32;
const SAMPLES = 16;
const PROMPT_TOKENS = 64;
const MAX_TOKENS = 96;
const VOCABULARY = 4096;
const PLAIN_PROMPTS = 2;
const ROUNDS = 3;
/** One id in 64 ends an output, as an untrained model draws them: lengths are ragged. */
const stopIds = Array.from({ length: VOCABULARY / 64 }, (_, i) => i * 64);

const requests: GenerateRequest[] = Array.from({ length: PROMPTS }, (_, i) => ({
  prompt: Array.from({ length: PROMPT_TOKENS }, (_, t) => (t * 31 + i * 17 + 1) % VOCABULARY),
  n: SAMPLES,
  maxTokens: MAX_TOKENS,
  sampling: plainSampling,
  seed: 1,
  id: i * SAMPLES,
  stopIds,
}));

type Ids = number[][][];

/** Tokens a second of wall clock and a CPU second, and the ids. */
function timed(body: () => Ids): { perSecond: number; perCpuSecond: number; ids: Ids } {
  const [wall, cpu] = [performance.now(), process.cpuUsage()];
  const ids = body();
  const used = process.cpuUsage(cpu);
  const tokens = ids.flat().reduce((n, output) => n + output.length, 0);
  return {
    perSecond: tokens / ((performance.now() - wall) / 1e3),
    perCpuSecond: tokens / ((used.user + used.system) / 1e6),
    ids,
  };
}

const median = (xs: number[]) => [...xs].sort((a, b) => a - b)[xs.length >> 1]!;

async function run(): Promise<BenchResult> {
  return deviceArgument() === "cuda" ? rolloutsOnGpu() : onCpu();
}

function onCpu(): BenchResult {
  const device = Device.open("cpu", { threads: 2 });
  const model = new Transformer(
    device,
    resolveModelConfig({
      vocabSize: VOCABULARY,
      dModel: 256,
      numLayers: 4,
      numHeads: 4,
      numKvHeads: 4,
      dFf: 704,
      attention: "full",
      maxSeqLen: 256,
    }),
  );
  model.parameters.init(7);
  const options = { maxSequences: PROMPTS * SAMPLES, cacheTokens: 131_072, prefillTokens: 4096 };
  const idsOf = (rs: GenerateRequest[]) =>
    new Engine(model, options).generate(rs).map((group) => group.map((output) => output.ids));
  const single = (r: GenerateRequest) =>
    Array.from({ length: SAMPLES }, (_, s) => idsOf([{ ...r, n: 1, id: r.id + s }])[0]![0]!);
  const ways = {
    plain: () => requests.slice(0, PLAIN_PROMPTS).map(single),
    by_prompt: () => requests.map((r) => idsOf([r])[0]!),
    rollout: () => idsOf(requests),
  };
  const rates = Object.keys(ways).map((name) => ({
    name,
    wall: [] as number[],
    cpu: [] as number[],
    ids: "",
  }));
  for (let round = 0; round < ROUNDS; round++) {
    for (const rate of rates) {
      const { perSecond, perCpuSecond, ids } = timed(ways[rate.name as keyof typeof ways]);
      rate.wall.push(perSecond);
      rate.cpu.push(perCpuSecond);
      rate.ids = JSON.stringify(ids.slice(0, PLAIN_PROMPTS));
    }
  }
  const parameters = model.parameters.layout.parameterCount;
  model.free();
  device.close();
  const of = (name: keyof typeof ways) => {
    const { wall, cpu } = rates.find((r) => r.name === name)!;
    return { wall: median(wall), cpu: median(cpu) };
  };
  const same = rates.every((r) => r.ids === rates[0]!.ids);
  const speedup = of("rollout").wall / of("plain").wall;
  return {
    name: "rollout",
    machine: describeMachine(),
    figures: {
      parameters_m: parameters / 1e6,
      ...Object.fromEntries(
        rates.flatMap(({ name, wall, cpu }) => [
          [`${name}_tokens_per_sec`, median(wall)],
          [`${name}_tokens_per_cpu_second`, median(cpu)],
        ]),
      ),
    },
    ratios: {
      rollout_over_plain_loop: speedup,
      rollout_over_plain_loop_cpu_seconds: of("rollout").cpu / of("plain").cpu,
      rollout_over_prompt_by_prompt: of("rollout").wall / of("by_prompt").wall,
    },
    bars: [
      atLeast("rollout over a plain KV-cache loop, 32 prompts × 16 samples, tokens/s", speedup, 2.5),
      atLeast("outputs equal to those of the plain loop (1 = all)", same ? 1 : 0, 1),
    ],
  };
}

export default {
  name: "rollout",
  about:
    "rollouts of 32 prompts × 16 samples against a plain KV-cache loop; with --device cuda, against steady decoding",
  run,
};
