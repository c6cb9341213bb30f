// Outputs that the student samples for the prompts of the examples, as training steps: what on-policy distillation learns from.
import {
  type Batch,
  type BatchSource,
  ExitCode,
  NsaError,
  packBatch,
  parseState,
  ShuffledOrder,
  type StepBatch,
} from "@nsa/core";
import type { Tokenizer } from "@nsa/data";
import { Engine, plainSampling, type Transformer } from "@nsa/model";
import { z } from "zod";
import type { Example } from "./source.ts";

export interface StudentSampling {
  /** Prompts of a step, outputs of a prompt, longest output. */
  prompts: number;
  samples: number;
  maxTokens: number;
  samplingTemperature: number;
  microBatchTokens: number;
  seed: number;
}

const ORDER_STREAM = 17;
/** Tokens in the KV cache. */
export const CACHE_TOKENS = 262_144;

interface Item {
  ids: number[];
  /** Ids of the prompt. */
  from: number;
}

/** Items one after another, each whole, up to `budget` tokens a micro-batch. */
function packed(items: readonly Item[], budget: number): Batch[] {
  const groups: Item[][] = [];
  let room = 0;
  for (const item of items) {
    const length = item.ids.length - 1;
    if (length > room || groups.length === 0) {
      groups.push([]);
      room = budget;
    }
    groups.at(-1)!.push(item);
    room -= length;
  }
  return groups.map((group) =>
    packBatch(group.map(({ ids, from }, i) => ({ ids, sampleId: i, isTarget: (index) => index >= from }))),
  );
}

const stateSchema = z.strictObject({ order: z.unknown(), drawn: z.number().int().min(0) });

export class StudentSamples implements BatchSource {
  readonly name = "data";
  /** Steps are sampled from the weights of now. */
  readonly prefetch = 0;
  private readonly order: ShuffledOrder;
  /** Outputs sampled so far: their random streams. */
  private drawn = 0;

  constructor(
    private readonly parts: { student: Transformer; tokenizer: Tokenizer; examples: readonly Example[] },
    private readonly sampling: StudentSampling,
  ) {
    const without = parts.examples.find(({ promptLength }) => promptLength < 1);
    if (without) {
      throw new NsaError({
        code: "distill_invalid",
        what: "an example without a prompt",
        why: "on-policy distillation samples outputs for the examples' prompts",
        fix: "take examples with a prompt, or distill.kind: logits",
        exitCode: ExitCode.usage,
      });
    }
    this.order = new ShuffledOrder(parts.examples.length, sampling.seed, ORDER_STREAM);
  }

  save() {
    return { order: this.order.save(), drawn: this.drawn };
  }

  /** Throws NsaError `state_invalid`, `data_changed` (exit 3). */
  load(state: unknown): void {
    const { order, drawn } = parseState(this.name, stateSchema, state);
    this.order.load(order);
    this.drawn = drawn;
  }

  next(): StepBatch {
    const { student, tokenizer, examples } = this.parts;
    const {
      prompts,
      samples,
      maxTokens,
      samplingTemperature: temperature,
      microBatchTokens,
      seed,
    } = this.sampling;
    const asked = Array.from({ length: prompts }, () => {
      const { ids, promptLength } = examples[this.order.take()]!;
      return Array.from(ids.subarray(0, promptLength));
    });
    const engine = new Engine(student, {
      maxSequences: prompts * samples,
      cacheTokens: CACHE_TOKENS,
      prefillTokens: microBatchTokens,
    });
    const outputs = engine.generate(
      asked.map((prompt, i) => ({
        ...{ prompt, n: samples, seed, stopIds: tokenizer.eosIds },
        maxTokens: Math.min(maxTokens, student.config.maxSeqLen - prompt.length),
        sampling: { ...plainSampling, temperature },
        id: this.drawn + i * samples,
      })),
    );
    this.drawn += prompts * samples;
    const items = outputs.flatMap((all, i) =>
      all.map(({ ids }): Item => ({ ids: [...asked[i]!, ...ids], from: asked[i]!.length })),
    );
    return {
      microBatches: packed(items, microBatchTokens),
      weightSum: items.reduce((n, { ids, from }) => n + ids.length - from, 0),
    };
  }

  async *[Symbol.asyncIterator](): AsyncIterator<StepBatch> {
    for (;;) yield this.next();
  }
}
