// Rewards by reward models: `model` gives one number an output, `process_model` one at the end of each step.
import { ExitCode, NsaError } from "@nsa/core";
import type { Tokenizer } from "@nsa/data";
import { type PlacedText, RewardModel, type RewardModelFile } from "@nsa/model";
import type { RewardConfig } from "./config.ts";
import type { BatchReward, RewardEnvironment, RewardKind, Scored, Verdict } from "./kind.ts";
import { stepEndsBy, stepTokens } from "./step-rules.ts";
import { tokenEnds } from "./steps.ts";

function refuse(what: string, why: string, fix: string): NsaError {
  return new NsaError({ code: "reward_model_unfit", what, why, fix, exitCode: ExitCode.usage });
}

function check({ kind, checkpoint }: RewardConfig): void {
  if (checkpoint === "")
    throw refuse(`a reward of kind ${kind}`, "`checkpoint` is not set", "name a reward model");
}

/** The reward models of an entry: its checkpoint and its ensemble, all of one kind. */
async function openModels(
  { kind, checkpoint, ensemble }: RewardConfig,
  wanted: RewardModelFile["kind"],
  { device, tokenizer }: RewardEnvironment,
): Promise<RewardModel[]> {
  const models: RewardModel[] = [];
  for (const folder of [checkpoint, ...ensemble]) {
    const model = await RewardModel.open(device, folder, tokenizer.hash);
    if (model.file.kind !== wanted)
      throw refuse(
        `a reward of kind ${kind} by ${folder}`,
        `it is a model of the kind ${model.file.kind}`,
        `use kind ${wanted === "outcome" ? "process_model" : "model"}, or another checkpoint`,
      );
    const [first] = models;
    if (first && (first.file.loss !== model.file.loss || first.file.steps !== model.file.steps))
      throw refuse(
        `an ensemble of ${checkpoint} and ${folder}`,
        "they were trained with other losses or other steps, so their numbers have no common scale",
        "train the models of an ensemble by one recipe with other seeds",
      );
    models.push(model);
  }
  return models;
}

/** Mean and population standard deviation over models, number by number. */
function combined(scores: readonly number[][]): { mean: number[]; spread: number } {
  const mean = scores[0]!.map((_, i) => scores.reduce((sum, s) => sum + s[i]!, 0) / scores.length);
  const variance = mean.map((m, i) => scores.reduce((sum, s) => sum + (s[i]! - m) ** 2, 0) / scores.length);
  const spread = variance.reduce((sum, v) => sum + Math.sqrt(v), 0) / Math.max(1, variance.length);
  return { mean, spread };
}

/** The first number that is not finite. */
const broken = (numbers: readonly number[]) => numbers.find((x) => !Number.isFinite(x));

/** Scores texts by all models; too long ones and those with a number that is not finite are at fault. */
function scoreAll(
  models: readonly RewardModel[],
  texts: readonly PlacedText[],
  verdict: (i: number, mean: number[]) => Verdict,
): Verdict[] {
  const longest = Math.min(...models.map((m) => m.maxTokens));
  const fits = texts.flatMap(({ ids }, i) => (ids.length <= longest ? [i] : []));
  const out = texts.map(
    ({ ids }): Verdict => ({
      fault: `was given ${ids.length} tokens of prompt and output, and its checkpoint reads ${longest} at most`,
    }),
  );
  const scores = models.map((model) => model.score(fits.map((i) => texts[i]!)));
  for (const [n, i] of fits.entries()) {
    const { mean, spread } = combined(scores.map((s) => s[n]!));
    const wrong = broken(mean);
    if (wrong !== undefined) out[i] = { fault: `got ${wrong} from the reward model` };
    else {
      const found = verdict(i, mean);
      out[i] = models.length === 1 || typeof found === "number" ? found : { ...found, notes: { spread } };
    }
  }
  return out;
}

/** Positions of the tokens that end the steps, in the ids of prompt and output. */
const placesOf = ({ promptIds, ids }: Scored, ends: readonly number[], tokenizer: Tokenizer): number[] =>
  stepTokens(ends, tokenEnds(tokenizer, ids)).map((t) => promptIds.length + t);

const idsOf = ({ promptIds, ids }: Scored) => Int32Array.from([...promptIds, ...ids]);

export const model: RewardKind = {
  name: "model",
  check,
  async open(config, environment): Promise<BatchReward> {
    const models = await openModels(config, "outcome", environment);
    return {
      single: true,
      scoreBatch: (outputs) => {
        const texts = outputs.map((output) => {
          const ids = idsOf(output);
          return { ids, at: [ids.length - 1] };
        });
        return scoreAll(models, texts, (_, [reward]) => ({ reward: reward! }));
      },
      close: () => {
        for (const m of models) m.free();
      },
    };
  },
};

export const processModel: RewardKind = {
  name: "process_model",
  ofSteps: true,
  check,
  async open(config, environment): Promise<BatchReward> {
    const models = await openModels(config, "process", environment);
    const { steps: rule } = models[0]!.file;
    return {
      single: true,
      scoreBatch: (outputs) => {
        const ends = outputs.map(({ completion }) => stepEndsBy(rule, completion));
        const texts = outputs.map((output, i) => ({
          ids: idsOf(output),
          at: placesOf(output, ends[i]!, environment.tokenizer),
        }));
        return scoreAll(models, texts, (i, rewards) => ({
          steps: ends[i]!.map((end, n) => ({ end, reward: rewards[n]! })),
        }));
      },
      close: () => {
        for (const m of models) m.free();
      },
    };
  },
};
