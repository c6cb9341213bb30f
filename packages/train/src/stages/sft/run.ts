// `nsa sft`: a checkpoint learns to answer in the formats of the examples.
import { join } from "node:path";
import { type BatchSource, counted, NsaError, type Resize, Rng, type StageRunner, sameSize } from "@nsa/core";
import { PackSource, planPacks, positionsOf, Tokenizer } from "@nsa/data";
import { openPlans } from "@nsa/kernels";
import {
  generationBytes,
  INFERENCE_ONLY,
  loadWithAdapters,
  loraOfRecipe,
  type ModelConfig,
  readModelConfig,
  resolveModelConfig,
  trainFlops,
  weightBytes,
} from "@nsa/model";
import { chatTemplateOf, checkVocabulary } from "@nsa/tasks";
import { estimateTraining } from "../../estimate.ts";
import { runTraining } from "../../loop.ts";
import { collectivesOf, openStageDevice } from "../../rank-device.ts";
import { Trainer } from "../../trainer.ts";
import { chatFiles } from "../chat-files.ts";
import { writeSamples } from "../samples.ts";
import type { SftConfig } from "./config.ts";
import { objectiveOf } from "./distill.ts";
import { checkDistill } from "./distill-config.ts";
import { readExamples } from "./examples.ts";
import { OnDemandExamples, type OnDemandOptions, OnDemandSource } from "./on-demand.ts";
import { type Example, ExampleSource, packExamples, weightedOrder } from "./source.ts";
import { CACHE_TOKENS } from "./student-samples.ts";

const SPLIT_STREAM = 14;

/** What a run will cost at most (micro-batches filled to the brim), with the architecture of `init_from`. */
export function estimateSft(
  config: SftConfig,
  device?: string,
  resize: Resize = sameSize,
  world = 1,
): Record<string, number> {
  checkDistill(config.distill);
  const base = readModelConfig(config.initFrom);
  const model = resize(resolveModelConfig({ ...base, lora: loraOfRecipe(config.adapter, base) }));
  const { distill, train } = config;
  if (!distill) return estimateTraining(model, { ...train, device, world });
  const { teacher: folder, kind, prompts, samples, maxTokens } = distill;
  // Prompts count as long as an example may be. An output is never cut, so one may be more than a micro-batch.
  const outputs = kind === "on_policy" ? prompts * samples : 0;
  const length = outputs > 0 ? train.seqLen + maxTokens : train.seqLen;
  const microBatchTokens = outputs > 0 ? Math.max(train.microBatchTokens, length) : train.microBatchTokens;
  const own = estimateTraining(model, { ...train, seqLen: length, microBatchTokens, device, world });
  const teacher = readModelConfig(folder);
  const bytes = weightBytes(teacher, INFERENCE_ONLY);
  const tokens = outputs > 0 ? train.steps * outputs * length : own.tokens!;
  const forward = (of: ModelConfig) => trainFlops(of, length, INFERENCE_ONLY).actual;
  // Sampling is a forward of the student over prompt and output.
  const sampling = outputs > 0 ? forward(model) : 0;
  // Outputs are sampled before the step allocates its activations.
  const calls = [{ prompts: outputs > 0 ? prompts : 0, n: samples }];
  const engine = {
    maxSequences: prompts * samples,
    cacheTokens: CACHE_TOKENS,
    prefillTokens: microBatchTokens,
  };
  const generation = generationBytes(model, { calls, prompt: train.seqLen, length, device, ...engine });
  const [weights, activations] = [own.memory_parameters_bytes!, own.memory_activations_bytes!];
  return {
    ...own,
    tokens,
    ...(outputs > 0 ? { sampled_tokens_at_most: train.steps * outputs * maxTokens } : {}),
    flops: (own.flops_per_token_actual! + forward(teacher) + sampling) * tokens,
    memory_teacher_bytes: bytes,
    ...(outputs > 0 ? { memory_cache_bytes: generation.cache } : {}),
    memory_bytes: weights + bytes + Math.max(activations, generation.total),
  };
}

/** Steps over the examples, packed as the recipe says. */
function sourceOf(
  examples: Example[],
  { data, train, seed }: SftConfig,
  log: (text: string) => void,
): BatchSource {
  const { packing, microBatchTokens, microBatches } = train;
  if (packing === "random") {
    const weights = data.sources.map(({ weight }) => weight);
    const order = weightedOrder(weights, examples.length, (i) => examples[i]!.source!, seed);
    return new ExampleSource(examples, { microBatchTokens, microBatches, seed }, order);
  }
  const lengths = examples.map(positionsOf);
  const capacity = lengths.reduce((a, b) => Math.max(a, b), microBatchTokens);
  const plan = planPacks(lengths, { method: packing, capacity, seed });
  log(
    `${counted(plan.starts.length - 1, "pack")} of ${capacity} tokens, ${(plan.fill * 100).toFixed(2)} % filled`,
  );
  return new PackSource(plan, examples, { microBatches, seed });
}

/** The template of conversations: the recipe's, the checkpoint's own, or ChatML. */
const templateOf = ({ data, initFrom }: SftConfig) => chatTemplateOf(initFrom, data.chatTemplate);

/** What a run learns from and is measured on. */
interface SftData {
  /** Examples, or with on_demand records, that are learned, and those held out. */
  count: number;
  held: number;
  validation: Example[];
  /** All that are learned; with on_demand a few of them, for their mean length. */
  examples: Example[];
  source(): BatchSource;
  close(): void;
}

/** How many of `count` are held out. */
const heldOut = (count: number, share: number) => (share > 0 ? Math.max(1, Math.floor(count * share)) : 0);

function openAll(config: SftConfig, all: Example[], log: (text: string) => void): SftData {
  const { validationShare, validationExamples } = config.data;
  const order = new Rng(config.seed, SPLIT_STREAM).permutation(all.length);
  const held = heldOut(all.length, validationShare);
  const validation = Array.from(order.subarray(0, Math.min(held, validationExamples)), (i) => all[i]!);
  const examples = Array.from(order.subarray(held), (i) => all[i]!);
  const source = () => sourceOf(examples, config, log);
  return { count: examples.length, held, validation, examples, source, close: () => {} };
}

/** Records by which the mean length of on_demand examples is estimated. */
const SOUNDED = 64;

async function openOnDemand(config: SftConfig, options: OnDemandOptions): Promise<SftData> {
  const { validationShare, validationExamples } = config.data;
  const all = await OnDemandExamples.open(options);
  const order = new Rng(config.seed, SPLIT_STREAM).permutation(all.count);
  const held = heldOut(all.count, validationShare);
  const some = (records: Uint32Array) => Array.from(records).flatMap((i) => [...all.at(i)]);
  const validation = some(order.subarray(0, Math.min(held, validationExamples)));
  const records = order.slice(held);
  const { microBatchTokens, microBatches } = config.train;
  const source = () =>
    new OnDemandSource(all, records, { microBatchTokens, microBatches, seed: config.seed });
  const examples = some(records.subarray(0, SOUNDED));
  return { count: records.length, held, validation, examples, source, close: () => all.close() };
}

/** Throws NsaError `sft_on_demand`, `sft_weights` (exit 2) beside what needs all examples at once, or has no turns of sources. */
function checkOnDemand({ data, train, distill }: SftConfig): void {
  if (train.packing !== "random" && data.sources.some(({ weight }) => weight !== 1))
    throw new NsaError({
      code: "sft_weights",
      what: `weights of sources with train.packing ${train.packing}`,
      why: "it packs every example once",
      fix: "take train.packing random, or leave the weights out",
      exitCode: 2,
    });
  if (!data.onDemand || (train.packing === "random" && !distill)) return;
  throw new NsaError({
    code: "sft_on_demand",
    what: `data.on_demand with ${distill ? "distill" : `train.packing ${train.packing}`}`,
    why: "it needs the length of every example before the first step",
    fix: distill ? "leave out data.on_demand" : "take train.packing random, or leave out data.on_demand",
    exitCode: 2,
  });
}

/** Runs the stage; resumes exactly when the context names a checkpoint. */
export const runSft: StageRunner<SftConfig> = async (config, context) => {
  const log = (text: string) => context.log(text);
  const tokenizer = Tokenizer.load(join(config.initFrom, "tokenizer.json"));
  const { sources } = config.data;
  const chat = sources.some((s) => s.messages !== undefined) ? templateOf(config) : undefined;
  checkOnDemand(config);
  const warn = (text: string) => context.log(text, "warn");
  const { seqLen } = config.train;
  const data = config.data.onDemand
    ? await openOnDemand(config, { sources, seqLen, chat, tokenizer, dir: context.runDir, warn })
    : openAll(config, readExamples({ sources, seqLen, chat }, tokenizer, log), log);
  const { validation, examples } = data;
  log(`${data.count} ${config.data.onDemand ? "records" : "examples"}, ${data.held} held out`);

  const device = openStageDevice(context, config);
  try {
    openPlans(device, context);
    const { initFrom, adapter, train, seed } = config;
    const model = await loadWithAdapters(device, initFrom, adapter, { groups: train.groups, seed });
    checkVocabulary(tokenizer, model, config.initFrom);
    const { optimizer, schedule, recompute, logitsBudgetMb, skipZScore, shareState } = config.train;
    const trained = { optimizer, schedule, recompute, logitsBudgetMb, skipZScore, shareState };
    const trainer = new Trainer(model, config.train.steps, trained, collectivesOf(context, device), {
      mayShare: true,
    });
    const objective = await objectiveOf(config, { student: model, tokenizer, examples });
    const formats = [...new Set(validation.map((e) => e.format))];
    return await runTraining(
      {
        trainer,
        source: objective.source ?? data.source(),
        loss: objective.loss,
        config: config.train,
        validation: validation.map((_, i) => packExamples(validation, [i])),
        files: chatFiles(config.initFrom, tokenizer, chat),
        sequenceLength: examples.reduce((n, e) => n + e.ids.length, 0) / examples.length,
        parts: formats.map((format) => {
          const own = validation.filter((e) => e.format === format);
          return { name: format, batches: own.map((_, i) => packExamples(own, [i])) };
        }),
        onEval: (step) => {
          const prompts = validation.flatMap((e) => e.prompt || []).slice(0, config.sample.prompts);
          const { maxTokens } = config.sample;
          writeSamples(
            model,
            tokenizer,
            { prompts, maxTokens, temperature: 0, seed: config.seed },
            context,
            step,
          );
        },
      },
      context,
    );
  } finally {
    device.close();
    data.close();
  }
};
