// Rollouts on a GPU against steady decoding of the same batch: what prefills, captures and scheduling cost.
//
// 32 prompts × 16 outputs of at most 256 tokens by the 86M policy whose GRPO step is measured. `steady` decodes 512 outputs of 256 tokens
// and counts from the first decode step on, as `bench generate` does; `rollout` is the whole call. `ragged` is the whole call where
// outputs end at random: late steps, which read the longest texts, then have fewer rows, which no scheduling mends.
import { atLeast, type BenchResult, describeMachine } from "@nsa/core";
import { Device } from "@nsa/kernels";
import { Engine, type GenerateRequest, plainSampling, resolveModelConfig, Transformer } from "@nsa/model";

const QUESTIONS = 32;
const GROUP = 16;
const PROMPT = 16;
const MAX_TOKENS = 256;
const ROUNDS = 5;
/** One id in so many ends an output; a mean of about 180 tokens. */
const ENDS_ONE_IN = 330;

const median = (xs: number[]) => xs.toSorted((a, b) => a - b)[xs.length >> 1]!;

function requests(vocabulary: number, stopIds: number[], round: number): GenerateRequest[] {
  return Array.from({ length: QUESTIONS }, (_, q) => ({
    prompt: Array.from({ length: PROMPT }, (_, t) => (t * 31 + q * 17 + 1) % vocabulary),
    n: GROUP,
    maxTokens: MAX_TOKENS,
    sampling: plainSampling,
    seed: 1 + round,
    id: q * GROUP,
    stopIds,
  }));
}

/** Sampled tokens a second: of decoding alone, and of the whole call. */
function measure(model: Transformer, stopIds: number[], round: number) {
  let first = 0;
  const engine = new Engine(model, {
    maxSequences: QUESTIONS * GROUP,
    cacheTokens: QUESTIONS * GROUP * (PROMPT + MAX_TOKENS + 16),
    prefillTokens: 16_384,
    onToken: () => {
      first ||= performance.now();
    },
  });
  const start = performance.now();
  const outputs = engine.generate(requests(model.config.vocabSize, stopIds, round)).flat();
  const end = performance.now();
  const tokens = outputs.reduce((n, { ids }) => n + ids.length, 0);
  return {
    decoding: (1e3 * (tokens - outputs.length)) / (end - first),
    whole: (1e3 * tokens) / (end - start),
    meanLength: tokens / outputs.length,
  };
}

/** Throws NsaError `device_unavailable` (exit 4) without a GPU. */
export function rolloutsOnGpu(): BenchResult {
  const device = Device.open("cuda");
  const figures: Record<string, number> = {};
  const ratios: BenchResult["ratios"] = {};
  const bars: BenchResult["bars"] = [];
  for (const vocabSize of [300, 32_768]) {
    const shape = { numLayers: 12, dModel: 768, numHeads: 12, numKvHeads: 12, dFf: 2048, vocabSize };
    const config = resolveModelConfig({ ...shape, attention: "full", dtype: "bf16", maxSeqLen: 512 });
    const model = new Transformer(device, config);
    model.parameters.init(7);
    const ends = Array.from({ length: Math.ceil(vocabSize / ENDS_ONE_IN) }, (_, i) => i * ENDS_ONE_IN);
    measure(model, ends, 0);
    const rounds = Array.from({ length: ROUNDS }, (_, i) => i + 1);
    const full = rounds.map((round) => measure(model, [], round));
    const ragged = rounds.map((round) => measure(model, ends, round));
    const key = `vocabulary_${vocabSize}`;
    const steady = median(full.map(({ decoding }) => decoding));
    figures[`${key}_steady_tokens_per_sec`] = steady;
    figures[`${key}_rollout_tokens_per_sec`] = median(full.map(({ whole }) => whole));
    figures[`${key}_ragged_tokens_per_sec`] = median(ragged.map(({ whole }) => whole));
    figures[`${key}_ragged_mean_length`] = median(ragged.map(({ meanLength }) => meanLength));
    const ratio = figures[`${key}_rollout_tokens_per_sec`]! / steady;
    ratios[`${key}_rollout_over_steady`] = ratio;
    ratios[`${key}_ragged_over_steady`] = figures[`${key}_ragged_tokens_per_sec`]! / steady;
    bars.push(atLeast(`vocabulary ${vocabSize}: rollout over steady decoding of 512 outputs`, ratio, 0.9));
    model.free();
  }
  const machine = `${describeMachine()}; ${device.info.name ?? device.name}`;
  device.close();
  return { name: "rollout", machine, figures, ratios, bars };
}
