// Adapters on a large model with random weights: tokens a second of training, and outputs a second of GRPO steps, on one device.
//
// `pnpm bench lora-throughput [--device cuda] [--width 4096] [--layers 32] [--vocabulary 128256] [--context 4096] [--outputs 256]
// [--output-tokens 1060] [--rank 16] --json`: by default the shape of Llama 3.1 8B in bf16. Training: one document of the context a step.
// GRPO: outputs are sampled, 16 a prompt, scored by the policy without its adapters, and learned from in one update on the policy itself.
// Outputs do not end, so all have their full length. What is met for the first time is met in a short warm-up: one GRPO step of the default
// shape is timed, not two of which the first is thrown away. A line to stderr says what each part took, from the process's start on. The bars are those of the default shape on a GPU; other shapes print figures alone.
import { atLeast, type BenchResult, describeMachine, packBatch, Rng } from "@nsa/core";
import { openDevice } from "@nsa/kernels";
import {
  adapterReference,
  Engine,
  plainSampling,
  resolveModelConfig,
  Transformer,
  trainMemory,
} from "@nsa/model";
import { crossEntropy, Trainer } from "@nsa/train";
import { grpoSchema } from "../src/index.ts";
import {
  outputsOf,
  type PolicySample,
  policyBatch,
  policyStep,
  splitByTokens,
} from "../src/stages/grpo/batch.ts";
import { grpoLoss } from "../src/stages/grpo/loss.ts";
import { argument, deviceArgument } from "./support/command-line.ts";

const WARM = 3;
const TIMED = 5;
const GROUP = 16;
const PROMPT_TOKENS = 128;
const MICRO_BATCH_TOKENS = 8192;

/** RL libraries with full weights on one H200: 1.31 outputs of this length a second a GPU. */
const BARS = { tokens: 12_500, outputs: 5 };

const size = {
  width: argument("width", 4096),
  layers: argument("layers", 32),
  vocabulary: argument("vocabulary", 128_256),
  context: argument("context", 4096),
  outputs: argument("outputs", 256),
  length: argument("output-tokens", 1060),
  rank: argument("rank", 16),
};
const isDefault = size.width === 4096 && size.layers === 32 && size.length === 1060;

/** Heads of 128 channels, four query heads a KV head, an MLP of three and a half times the width. */
function makeModel(): Transformer {
  const heads = Math.max(1, size.width / 128);
  const config = resolveModelConfig({
    vocabSize: size.vocabulary,
    dModel: size.width,
    numLayers: size.layers,
    numHeads: heads,
    numKvHeads: Math.max(1, heads / 4),
    dFf: 3.5 * size.width,
    attention: "full",
    maxSeqLen: Math.max(size.context, PROMPT_TOKENS + size.length),
    tieEmbeddings: false,
    dtype: "bf16",
    lora: { rank: size.rank, alpha: 2 * size.rank },
  });
  const model = new Transformer(openDevice(deviceArgument()), config);
  progress("device opened, weights allocated");
  model.parameters.init(7);
  model.device.sync();
  progress("weights drawn, on the device");
  return model;
}

/** Seconds since the process began, beside what is done by then. */
function progress(what: string): void {
  console.error(`${(performance.now() / 1000).toFixed(1).padStart(7)} s  ${what}`);
}

const median = (xs: number[]) => [...xs].sort((a, b) => a - b)[xs.length >> 1]!;

/** Seconds of one call, the device's work included. */
function seconds(model: Transformer, body: () => void): number {
  const from = performance.now();
  body();
  model.device.sync();
  return (performance.now() - from) / 1000;
}

/** Tokens a second of training on documents of the context. */
function trainingRate(model: Transformer, trainer: Trainer): number {
  const rng = new Rng(3, 1);
  let at = 0;
  const step = () => {
    const ids = Int32Array.from({ length: size.context + 1 }, () => rng.int(size.vocabulary, 0, at++));
    trainer.step({ microBatches: [packBatch([{ ids }])], weightSum: size.context }, crossEntropy);
  };
  for (let i = 0; i < WARM; i++) step();
  return size.context / median(Array.from({ length: TIMED }, () => seconds(model, step)));
}

const promptsOf = (outputs: number) =>
  Array.from({ length: Math.ceil(outputs / GROUP) }, (_, q) =>
    Array.from({ length: PROMPT_TOKENS }, (_x, t) => (t * 31 + q * 17 + 1) % size.vocabulary),
  );

type Output = { ids: readonly number[]; logp: readonly number[] };

/** An output as the update takes it; advantages of a group sum to 0. */
const sampleOf = (prompt: readonly number[], { ids, logp }: Output, id: number): PolicySample => ({
  ...{ prompt, ids, weight: 1, samplerLogp: logp, id },
  advantage: new Float32Array(ids.length).fill(id % 2 ? 1 : -1),
});

/** Outputs of the step's prompts, sampled. */
function sampled(model: Transformer, seed: number, maxTokens: number): PolicySample[] {
  const engine = new Engine(model, {
    maxSequences: size.outputs,
    cacheTokens: 2 ** 19,
    prefillTokens: 16_384,
  });
  const prompts = promptsOf(size.outputs);
  const requests = prompts.map((prompt, q) => ({
    ...{ prompt, n: GROUP, maxTokens, sampling: plainSampling, seed, id: q * GROUP, stopIds: [] },
  }));
  return engine
    .generate(requests)
    .flatMap((group, q) => group.map((output, i) => sampleOf(prompts[q]!, output, q * GROUP + i)));
}

/** Gives each output the reference's log-probabilities. */
function score(model: Transformer, samples: readonly PolicySample[]): void {
  const reference = adapterReference(model);
  for (const group of splitByTokens(samples, MICRO_BATCH_TOKENS)) {
    const batch = policyBatch(group);
    const rows = outputsOf(batch, reference.logprobs(batch).logp);
    for (const [i, row] of rows.entries()) group[i]!.refLogp = row;
  }
}

const { algorithm } = grpoSchema.parse({
  ...{ init: { checkpoint: "-" }, task: { family: "addition" }, algorithm: { klCoef: 0.001 } },
});

function update(trainer: Trainer, samples: readonly PolicySample[]): void {
  const tokens = samples.reduce((n, { ids }) => n + ids.length, 0);
  const step = policyStep(samples, MICRO_BATCH_TOKENS, tokens);
  trainer.step(step, grpoLoss(algorithm, { onPolicy: true, totalTokens: tokens }));
}

/** Tokens of an output that is decoded to meet the shapes of decoding. */
const WARM_TOKENS = 8;

/** Every shape of a step once: decoding of all outputs at once, and one micro-batch of outputs of full length, which nobody sampled. */
function meetShapes(model: Transformer, trainer: Trainer): void {
  sampled(model, 1, WARM_TOKENS);
  const [prompt] = promptsOf(1) as [number[]];
  const count = Math.max(2, Math.floor(MICRO_BATCH_TOKENS / (PROMPT_TOKENS + size.length)));
  const ids = Array.from({ length: size.length }, (_, t) => (t * 7 + 3) % size.vocabulary);
  const output = { ids, logp: ids.map(() => -Math.log(size.vocabulary)) };
  const samples = Array.from({ length: Math.min(count, size.outputs) }, (_, i) =>
    sampleOf(prompt, output, i),
  );
  score(model, samples);
  update(trainer, samples);
  model.device.sync();
}

/** One GRPO step: its seconds by part. */
function grpoStep(model: Transformer, trainer: Trainer) {
  let samples: PolicySample[] = [];
  const sampling = seconds(model, () => {
    samples = sampled(model, 2, size.length);
  });
  progress(`${samples.length} outputs sampled in ${sampling.toFixed(1)} s`);
  const scoring = seconds(model, () => score(model, samples));
  progress(`scored by the reference in ${scoring.toFixed(1)} s`);
  const updating = seconds(model, () => update(trainer, samples));
  progress(`learned from in ${updating.toFixed(1)} s`);
  return { sampling, scoring, updating, outputs: samples.length };
}

async function run(): Promise<BenchResult> {
  const model = makeModel();
  const { device, config, parameters } = model;
  const trainer = new Trainer(model, 100, {
    ...{ optimizer: { lr: 1e-4, weightDecay: 0 }, schedule: { kind: "constant" }, recompute: true },
  });
  device.stats(true);
  const tokens = trainingRate(model, trainer);
  const peak = device.stats(true).peakBytes;
  progress(`trained on ${WARM + TIMED} documents: ${Math.round(tokens)} tokens/s`);
  meetShapes(model, trainer);
  progress("shapes of a GRPO step met");
  const { sampling, scoring, updating, outputs } = grpoStep(model, trainer);
  const estimate = trainMemory(config, size.context, {
    ...{ recompute: true, logitsBudgetBytes: 64 * 2 ** 20, device: device.name },
  });
  const rate = outputs / (sampling + scoring + updating);
  device.close();
  return {
    name: "lora-throughput",
    machine: describeMachine(),
    figures: {
      device: device.name,
      parameters: parameters.layout.parameterCount,
      trained: parameters.layout.trainableCount,
      training_tokens_per_sec: tokens,
      training_peak_bytes: peak,
      training_estimate_bytes: estimate.total,
      grpo_outputs_per_sec: rate,
      grpo_sampling_seconds: sampling,
      grpo_scoring_seconds: scoring,
      grpo_updating_seconds: updating,
    },
    ratios: { estimate_over_peak: estimate.total / peak },
    bars:
      isDefault && device.name === "cuda"
        ? [
            atLeast("tokens a second of training", tokens, BARS.tokens),
            atLeast("outputs a second of GRPO", rate, BARS.outputs),
          ]
        : [],
  };
}

export default {
  name: "lora-throughput",
  about:
    "adapters on an 8B shape with random weights in bf16: training tokens/s and GRPO outputs/s on one device",
  run,
};
