// Prompts before and after SFT and RL over seeds: zero-shot, few-shot and "step by step", with a calculator and without, and forced thoughts.
//
// `pnpm bench prompts [--seeds 3] [--from 61] [--keep folder] [--runs folder] [--device cuda] --json`: runs configs/pipelines/prompts.yaml
// once a seed; accuracy of each checkpoint under each prompt, the spread over prompts, and differences over seeds with their intervals.
import { join } from "node:path";
import { atLeast, type BenchResult, describeMachine } from "@nsa/core";
import { argument, measureOnce, root } from "./support/command-line.ts";
import { differenceOverSeeds, verdictOn } from "./support/differences.ts";
import { type Measured, runSeed } from "./support/pipeline-bench.ts";

const recipe = join(root, "configs/pipelines/prompts.yaml");

type Methods = Readonly<Record<string, Measured>>;
type Figures = BenchResult["figures"];

/** The checkpoints, and the prompts in text that the spread is taken over. */
const CHECKPOINTS = ["base", "sft", "rl"] as const;
const PROMPTS = ["zero-shot", "few-shot", "step by step", "few-shot step by step"] as const;

const accuracyOf = (methods: Methods, checkpoint: string, task: string): number =>
  methods[checkpoint]!.accuracy[task]!.pass_at_1!;

/** Largest less smallest pass@1 of a checkpoint over its prompts in text. */
export function promptSpread(methods: Methods, checkpoint: string): number {
  const all = PROMPTS.map((task) => accuracyOf(methods, checkpoint, task));
  return Math.max(...all) - Math.min(...all);
}

/** A difference over seeds under a name: mean, 95 % interval and verdict. */
function difference(name: string, first: readonly number[], second: readonly number[]): Figures {
  const found = differenceOverSeeds(first, second);
  const finite = (x: number) => (Number.isFinite(x) ? x : null);
  return {
    [name]: found.mean,
    [`${name}_low`]: finite(found.low),
    [`${name}_high`]: finite(found.high),
    [`${name}_verdict`]: verdictOn(found),
  };
}

/** All figures: accuracy by seed, checkpoint and prompt; spreads; and what SFT, RL, examples, words and tools change. */
export function promptFigures(seeds: ReadonlyMap<number, Methods>): Figures {
  let figures: Figures = {};
  const over = (of: (methods: Methods) => number) => [...seeds.values()].map(of);
  const key = (text: string) => text.replaceAll(/[ -]/g, "_");
  for (const [seed, methods] of seeds)
    for (const checkpoint of CHECKPOINTS) {
      for (const task of Object.keys(methods[checkpoint]!.accuracy))
        figures[`seed_${seed}_${checkpoint}_${key(task)}`] = accuracyOf(methods, checkpoint, task);
      figures[`seed_${seed}_${checkpoint}_spread`] = promptSpread(methods, checkpoint);
    }
  for (const checkpoint of CHECKPOINTS) {
    const of = (task: string) => over((methods) => accuracyOf(methods, checkpoint, task));
    for (const task of PROMPTS.slice(1))
      figures = {
        ...figures,
        ...difference(`${checkpoint}_${key(task)}_minus_zero_shot`, of("zero-shot"), of(task)),
      };
    for (const shots of ["zero-shot", "few-shot"])
      figures = {
        ...figures,
        ...difference(`${checkpoint}_tools_minus_text_${key(shots)}`, of(shots), of(`${shots} tools`)),
      };
    if (checkpoint === "base") continue;
    const zero = (of: string) => over((methods) => accuracyOf(methods, of, "zero-shot"));
    const spread = (of: string) => over((methods) => promptSpread(methods, of));
    figures = {
      ...figures,
      ...difference(`${checkpoint}_minus_base_zero_shot`, zero("base"), zero(checkpoint)),
      ...difference(`${checkpoint}_minus_base_spread`, spread("base"), spread(checkpoint)),
    };
  }
  return figures;
}

async function run(): Promise<BenchResult> {
  const first = argument("from", 61);
  const count = argument("seeds", 3);
  const seeds = new Map<number, Methods>();
  for (let seed = first; seed < first + count; seed++)
    seeds.set(seed, (await measureOnce(`prompts-${seed}`, () => runSeed(recipe, seed))).methods);
  const figures = promptFigures(seeds);
  return {
    name: "prompts",
    machine: describeMachine(),
    figures,
    ratios: {},
    bars: [
      atLeast("seeds", count, 3),
      atLeast(
        "RL over base with the prompt of its training, lower end",
        figures.rl_minus_base_zero_shot_low as number,
        0,
      ),
    ],
  };
}

export default {
  name: "prompts",
  about:
    "prompts before and after SFT and RL: zero-shot, few-shot, step by step, with a calculator and without, forced thoughts, over seeds",
  run,
};
