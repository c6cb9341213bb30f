// Learned rewards over seeds: a first reward model that knows its task in part, iterating with and without replay, and a control.
//
// `pnpm bench learned-rewards [--seeds 5] [--from 51] [--keep folder] [--device cuda] --json`: runs configs/pipelines/learned-rewards.yaml once a seed; accuracy of each arm,
// the reward models' held-out AUC beside what length and form tell, their AUC on outputs by the step of the policy, and claims over seeds.
import { join } from "node:path";
import { atLeast, type BenchResult, describeMachine, readJsonl } from "@nsa/core";
import { argument, measureOnce, root } from "./support/command-line.ts";
import { claims, figuresOf, type Measured, runSeed } from "./support/pipeline-bench.ts";

const recipe = join(root, "configs/pipelines/learned-rewards.yaml");

/** Second over first in pass@1. The last one is the control: it must not agree. */
const CLAIMS = [
  ["sft", "once"],
  ["once", "iterated"],
  ["iterated-no-replay", "iterated"],
  ["whole-once", "whole-iterated"],
] as const;

const REWARDS = ["reward", "whole-reward"];
const ITERATED = ["iterated", "iterated-no-replay", "whole-iterated"];

type Row = Record<string, number>;
const rowsOf = (folder: string, stage: string) =>
  readJsonl<Row>(join(folder, "stages", stage, "metrics.jsonl"));

/** Held-out figures of the reward models of a run: after their first training, and before and after each retraining. */
function rewardFigures(folder: string, seed: number): BenchResult["figures"] {
  const figures: BenchResult["figures"] = {};
  const put = (stage: string, name: string, value: number) => {
    figures[`seed_${seed}_${stage.replaceAll("-", "_")}_${name.replaceAll("/", "_")}`] = value;
  };
  for (const stage of REWARDS) {
    const last = rowsOf(folder, stage).findLast((row) => "held_out/auc" in row)!;
    for (const name of ["held_out/auc", "held_out/length_and_form_auc", "held_out/accuracy"])
      if (last[name] !== undefined) put(stage, name, last[name]);
  }
  for (const stage of ITERATED)
    for (const row of rowsOf(folder, stage).filter((r) => "reward_model/train_loss" in r))
      for (const [name, value] of Object.entries(row))
        if (/^reward_model\/(policy_step_\d+\/)?(auc|accuracy)(_before)?$/.test(name))
          put(stage, `after_step_${row.step}_${name.slice("reward_model/".length)}`, value);
  return figures;
}

/** Area beyond what length and form tell, the least over seeds and first reward models. */
function leastLead(figures: BenchResult["figures"], seeds: readonly number[]): number {
  const leads = seeds.flatMap((seed) =>
    REWARDS.map((stage) => {
      const of = (name: string) =>
        figures[`seed_${seed}_${stage.replaceAll("-", "_")}_held_out_${name}`] as number;
      return of("auc") - of("length_and_form_auc");
    }),
  );
  return Math.min(...leads);
}

async function run(): Promise<BenchResult> {
  const first = argument("from", 51);
  const count = argument("seeds", 5);
  const numbers = Array.from({ length: count }, (_, i) => first + i);
  const seeds: Readonly<Record<string, Measured>>[] = [];
  let figures: BenchResult["figures"] = {};
  for (const seed of numbers) {
    const { methods, rewards } = await measureOnce(`learned-rewards-${seed}`, async () => {
      const { methods, folder } = await runSeed(recipe, seed);
      return { methods, rewards: rewardFigures(folder, seed) };
    });
    seeds.push(methods);
    figures = { ...figures, ...figuresOf(seed, methods), ...rewards };
  }
  return {
    name: "learned-rewards",
    machine: describeMachine(),
    figures: { ...figures, ...claims(seeds, CLAIMS) },
    ratios: {},
    bars: [
      atLeast("seeds", count, 5),
      atLeast(
        "AUC of the first reward models over length and form, least lead",
        leastLead(figures, numbers),
        0.1,
      ),
    ],
  };
}

export default {
  name: "learned-rewards",
  about:
    "GRPO paid by a reward model that knows its task in part: iterating with and without replay, and a control that knows all",
  run,
};
