// A pretraining corpus mixed from several folders of token shards; the weights may change in stages.
import { NsaError } from "@nsa/core";
import type { MixStage } from "@nsa/data";
import type { PretrainConfig } from "./config.ts";
import type { Corpus } from "./corpus.ts";
import { openShards, type ShardCheck } from "./shards.ts";

type Mix = NonNullable<PretrainConfig["data"]["mix"]>;

/** Steps at which the weights change, from the stages' shares of the run. */
export function mixStages(mix: Mix, { data, train }: PretrainConfig): MixStage[] {
  if (!data.mixStages) {
    const weights = Object.fromEntries(Object.entries(mix).map(([name, part]) => [name, part.weight]));
    return [{ until: train.steps, weights }];
  }
  const sum = data.mixStages.reduce((n, stage) => n + stage.share, 0);
  if (data.mixStages.length === 0 || Math.abs(sum - 1) > 1e-6) {
    throw new NsaError({
      code: "mix_stages",
      what: `the shares of data.mix_stages sum to ${sum}`,
      why: "they divide train.steps among the stages, so they must sum to 1",
      fix: "correct the shares",
      exitCode: 2,
    });
  }
  let share = 0;
  return data.mixStages.map((stage) => {
    share += stage.share;
    return { until: Math.round(share * train.steps), weights: stage.weights };
  });
}

/** Mean weight of each part over the run. */
function meanWeights(stages: MixStage[], names: string[]): number[] {
  const last = Math.max(1, stages.at(-1)!.until);
  let from = 0;
  const mean = names.map(() => 0);
  for (const { until, weights } of stages) {
    const sum = Object.values(weights).reduce((a, b) => a + b, 0) || 1;
    for (const [p, name] of names.entries())
      mean[p]! += (((weights[name] ?? 0) / sum) * (until - from)) / last;
    from = until;
  }
  return mean;
}

/**
 * Opens all parts. Validation documents are held out of each part, as many tokens as its mean weight asks for.
 * Throws NsaError `mix_stages` (exit 2), `tokenizer_mismatch` (exit 3) and those of `openShards`.
 */
export function openMix(
  mix: Mix,
  config: PretrainConfig,
  tokenizerFrom?: string,
  check: ShardCheck = {},
): Corpus {
  const names = Object.keys(mix);
  const stages = mixStages(mix, config);
  const mean = meanWeights(stages, names);
  const opened: Corpus[] = [];
  const close = () => {
    for (const corpus of opened) corpus.close();
  };
  try {
    for (const [p, name] of names.entries()) {
      const validationTokens = Math.max(1, Math.round(config.data.validationTokens * mean[p]!));
      const data = { ...config.data, validationTokens };
      opened.push(openShards(mix[name]!.shards, { ...config, data }, tokenizerFrom, check));
      const [first, last] = [opened[0]!, opened.at(-1)!];
      if (first.tokenizer.hash === last.tokenizer.hash) continue;
      throw new NsaError({
        code: "tokenizer_mismatch",
        what: `${mix[name]!.shards} was tokenized with another tokenizer than ${mix[names[0]!]!.shards}`,
        why: "equal ids would mean different texts",
        fix: "run `nsa data tokenize` on all parts with one tokenizer.json",
        exitCode: 3,
      });
    }
    const parts = opened.map(({ train }, p) => ({ name: names[p]!, documents: train }));
    const of = (p: number) => mean[p]! > 0;
    return {
      tokenizer: opened[0]!.tokenizer,
      train: opened[0]!.train,
      mix: { parts, stages },
      trainTokens: opened.reduce((n, c) => n + c.trainTokens, 0),
      validation: opened.flatMap((c, p) => (of(p) ? c.validation : [])),
      validationBytes: opened.reduce((n, c, p) => n + (of(p) ? c.validationBytes : 0), 0),
      close,
    };
  } catch (error) {
    close();
    throw error;
  }
}
