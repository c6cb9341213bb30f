// Roll-outs from the end of each step of earlier outputs, and the labels that they give the steps.
import { ExitCode, NsaError } from "@nsa/core";
import type { GenerateRequest } from "@nsa/model";
import { splitStops } from "@nsa/tasks";
import { shareItems } from "@nsa/train";
import type { Reward } from "../../rewards/score.ts";
import { type EarlierOutput, type ReadingOptions, readOutputs } from "./continued.ts";
import { MAX_OUTPUTS } from "./outputs.ts";
import { goldOf, type SampleVerdict, verdictOf } from "./rows.ts";
import { labelSteps } from "./steps.ts";
import { stepMetrics } from "./tally.ts";
import type { Batch, Sampler, Work } from "./work.ts";

/** An output with the number of its first roll-out among all of the run. */
interface NumberedOutput {
  row: EarlierOutput;
  first: number;
}

/** The last step is judged by the output itself. */
const continuations = ({ steps }: EarlierOutput) => steps.length - 1;

/** Numbers all roll-outs of the run in the order of the files, so that each has random numbers of its own. */
function* numbered(rows: Iterable<EarlierOutput>, rollouts: number): Generator<NumberedOutput> {
  let first = 0;
  for (const row of rows) {
    yield { row, first };
    first += continuations(row) * rollouts;
  }
}

/** Reads all outputs once: how many there are, and whether they can be continued. Throws NsaError `no_usable_output` (exit 3), `sample_too_many`, `sample_tests_unscored` (exit 2). */
function countOutputs(sampler: Sampler, options: ReadingOptions): number {
  const { data, prompts, rewards } = sampler.config;
  const leftOut = new Map<string, number>();
  const rows = readOutputs(data.files, options, (why) => leftOut.set(why, (leftOut.get(why) ?? 0) + 1));
  let [total, last, untested] = [0, 0, ""];
  for (const { row, first } of numbered(rows, prompts.rollouts)) {
    total++;
    last = first + continuations(row) * prompts.rollouts;
    if (row.tests) untested ||= row.id;
  }
  const reasons = [...leftOut].map(([why, n]) => `${n} ${why}`).join(", ");
  const refuse = (code: string, what: string, why: string, fix: string, exitCode: ExitCode) => {
    throw new NsaError({ code, what, why, fix, exitCode });
  };
  if (total === 0)
    refuse(
      "no_usable_output",
      `no output of ${data.files.join(", ")} has steps to judge`,
      reasons || "there is no row",
      "sample outputs with `nsa sample` first, with a max_tokens that lets them end",
      ExitCode.data,
    );
  if (last > MAX_OUTPUTS)
    refuse(
      "sample_too_many",
      `${last} roll-outs in one run`,
      `the random numbers of a roll-out are keyed by its number, which stays below ${MAX_OUTPUTS}`,
      "label the files in several runs",
      ExitCode.usage,
    );
  if (untested !== "" && !rewards.some(({ kind }) => kind === "code"))
    refuse(
      "sample_tests_unscored",
      `problem ${untested} has unit tests, and no reward of the recipe runs them`,
      "only its tests decide whether a program is right",
      "add {kind: code} to rewards",
      ExitCode.usage,
    );
  if (reasons !== "") sampler.log(`outputs left out: ${reasons}`, "warn");
  return total;
}

const NO_REWARD: Reward = { total: 0, parts: {} };

/** Verdicts of whole outputs; unit tests are run by the recipe's rewards. */
async function judge(
  { scorer, config }: Sampler,
  outputs: readonly { row: EarlierOutput; completion: string; ids: readonly number[]; question: number }[],
): Promise<SampleVerdict[]> {
  const { maxTokens } = config.sampling;
  const tested = outputs.filter(({ row }) => row.tests);
  const rewards = await scorer.score(
    tested.map(({ row, completion, ids }) => {
      const { id, prompt, prompt_ids: promptIds, question } = row;
      const output = { completion, promptIds, ids, tokens: ids.length, maxTokens };
      return { ...goldOf(row), id, question, prompt, ...output };
    }),
    { step: 1, group: tested.map(({ question }) => question) },
  );
  const rewardOf = new Map(tested.map((output, i) => [output, rewards[i]!]));
  return outputs.map((output) =>
    verdictOf(output.completion, goldOf(output.row), rewardOf.get(output) ?? NO_REWARD),
  );
}

/** One roll-out group: the step that it begins at, and where in its output that is. */
interface Start {
  item: NumberedOutput;
  step: number;
}

function requestOf({ config, tokenizer }: Sampler, { item: { row, first }, step }: Start): GenerateRequest {
  const { sampling, prompts, seed } = config;
  const { token } = row.steps[step]!;
  return {
    prompt: [...row.prompt_ids, ...row.ids.slice(0, token + 1)],
    n: prompts.rollouts,
    maxTokens: sampling.maxTokens - (token + 1),
    sampling,
    seed,
    id: MAX_OUTPUTS + first + step * prompts.rollouts,
    ...splitStops(tokenizer, sampling.stop),
  };
}

/** The earlier outputs as work in batches. */
export function stepWork(sampler: Sampler): Work {
  const { config, tokenizer, engine } = sampler;
  const { rollouts } = config.prompts;
  const { vocabSize, maxSeqLen } = engine.model.config;
  const options = { tokenizer, vocabSize, maxSeqLen, maxTokens: config.sampling.maxTokens };
  const total = countOutputs(sampler, options);
  const source = numbered(readOutputs(config.data.files, options), rollouts);
  let read = 0;

  /** Outputs `first` … `first + count − 1`; a resumed run passes over those that are done. */
  function take(first: number, count: number): NumberedOutput[] {
    const items: NumberedOutput[] = [];
    for (; read < first + count; read++) {
      const { value } = source.next() as IteratorYieldResult<NumberedOutput>;
      if (read >= first) items.push(value);
    }
    return items;
  }

  async function batch(first: number, count: number): Promise<Batch | undefined> {
    const items = take(first, count);
    const starts = items.flatMap((item): Start[] =>
      Array.from({ length: continuations(item.row) }, (_, step) => ({ item, step })),
    );
    const requests = starts.map((start) => requestOf(sampler, start));
    const groups = shareItems(sampler.collectives, requests, (own) => engine.generate(own));
    if (sampler.interrupted()) return undefined;
    const flat = groups.flatMap((group, g) => {
      const { item, step } = starts[g]!;
      const before = item.row.ids.slice(0, item.row.steps[step]!.token + 1);
      return group.map(({ ids }) => {
        const whole = [...before, ...ids];
        return { row: item.row, completion: tokenizer.decode(whole), ids: whole, question: g };
      });
    });
    const verdicts = await judge(sampler, flat);
    let group = 0;
    const rows = items.map(({ row }, i) => {
      const own = Array.from({ length: continuations(row) }, () =>
        verdicts.slice(group * rollouts, ++group * rollouts),
      );
      return { step: first + i + 1, ...row, steps: labelSteps(row.steps, own, row.verdict) };
    });
    const steps = rows.flatMap((row) => row.steps);
    const tally = {
      outputs: rows.length,
      steps: steps.length,
      rollouts: flat.length,
      hard: steps.filter(({ hard }) => hard === 1).length,
      soft: steps.reduce((sum, { soft }) => sum + soft, 0),
      right: verdicts.filter((verdict) => verdict === "right").length,
      tokens: groups.flat().reduce((sum, { ids }) => sum + ids.length, 0),
    };
    return { rows, pool: [], tally, faults: [] };
  }

  return { total, batch, metrics: stepMetrics };
}
