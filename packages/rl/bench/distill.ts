// Three ways of distillation beside each other, and RL on the same student, over seeds, with as many tokens of the student.
//
// `pnpm bench distill [--seeds 3] [--from 51] [--keep folder] [--device cuda] --json`: runs configs/pipelines/distill.yaml once a seed and
// reads what each checkpoint solves and how many tokens it learned from.
import { join } from "node:path";
import { atLeast, atMost, type BenchResult, describeMachine, readJsonl } from "@nsa/core";
import { argument, measureOnce, root } from "./support/command-line.ts";
import { claims, figuresOf, type Measured, runSeed } from "./support/pipeline-bench.ts";

const recipe = join(root, "configs/pipelines/distill.yaml");

const METHODS = ["samples", "logits", "on-policy", "rl"] as const;

/** Differences of pass@1 that should be positive, second less first: distillation is better than RL, distributions than samples. */
const CLAIMS: readonly (readonly [string, string])[] = [
  ...METHODS.map((method) => ["student", method] as const),
  ["rl", "samples"],
  ["rl", "logits"],
  ["rl", "on-policy"],
  ["samples", "logits"],
  ["samples", "on-policy"],
  ["logits", "on-policy"],
];

interface Seed {
  methods: Record<string, Measured>;
  /** Tokens of prompts and outputs that the student was trained on. */
  tokens: Record<string, number>;
}

/** Tokens of all steps of a run folder. */
const learnedTokens = (folder: string): number =>
  readJsonl<Record<string, number>>(join(folder, "metrics.jsonl")).reduce(
    (sum, row) => sum + (row["train/tokens"] ?? 0),
    0,
  );

async function measure(seed: number): Promise<Seed> {
  const { folder, methods } = await runSeed(recipe, seed);
  const tokens = METHODS.map((name) => [name, learnedTokens(join(folder, "stages", name))] as const);
  return { methods, tokens: Object.fromEntries(tokens) };
}

async function run(): Promise<BenchResult> {
  const first = argument("from", 51);
  const count = argument("seeds", 3);
  const seeds: Seed[] = [];
  let figures: BenchResult["figures"] = {};
  for (let seed = first; seed < first + count; seed++) {
    const measured = await measureOnce(`distill-${seed}`, () => measure(seed));
    seeds.push(measured);
    figures = { ...figures, ...figuresOf(seed, measured.methods) };
    for (const [name, tokens] of Object.entries(measured.tokens))
      figures[`seed_${seed}_${name.replaceAll("-", "_")}_learned_tokens`] = tokens;
  }
  // The budget is that of the samples; lengths of outputs decide what the others come to.
  const off = seeds.flatMap(({ tokens }) =>
    METHODS.map((name) => Math.abs(tokens[name]! / tokens.samples! - 1)),
  );
  return {
    name: "distill",
    machine: describeMachine(),
    figures: {
      ...figures,
      ...claims(
        seeds.map(({ methods }) => methods),
        CLAIMS,
      ),
    },
    ratios: {},
    bars: [
      atLeast("seeds", count, 3),
      atMost(
        "learned tokens of a method against those of samples, largest relative difference",
        Math.max(...off),
        0.15,
      ),
    ],
  };
}

export default {
  name: "distill",
  about:
    "a student by the teacher's samples, its logits, on-policy reverse KL, and by RL, over seeds with equal tokens",
  run,
};
