// Packing 776,000 examples with a median of 300 tokens into 4096: share filled and seconds, by method.
import { atLeast, atMost, type Bench, type BenchResult, describeMachine, Rng } from "@nsa/core";
import { type PackMethod, planPacks } from "../src/index.ts";

const EXAMPLES = 776_000;
const CAPACITY = 4096;
const MEDIAN = 300;
/** Spread of the logarithm of lengths: 95 % lie between 75 and 1,200 tokens. */
const SIGMA = 0.7;

function lengths(): Uint32Array {
  const rng = new Rng(3, 0);
  return Uint32Array.from({ length: EXAMPLES }, (_, i) =>
    Math.min(CAPACITY, Math.max(8, Math.round(MEDIAN * Math.exp(SIGMA * rng.normal(0, i))))),
  );
}

async function run(): Promise<BenchResult> {
  const all = lengths();
  const figures: Record<string, number | string> = { median: all.slice().sort()[EXAMPLES / 2]! };
  for (const method of ["random", "bfd", "wrapped"] as PackMethod[]) {
    let best = Infinity;
    for (let i = 0; i < 3; i++) {
      const start = performance.now();
      const plan = planPacks(all, { method, capacity: CAPACITY, seed: 1 });
      best = Math.min(best, (performance.now() - start) / 1000);
      figures[`${method}_fill`] = plan.fill;
      figures[`${method}_packs`] = plan.starts.length - 1;
    }
    figures[`${method}_seconds`] = best;
  }
  return {
    name: "packing",
    machine: describeMachine(),
    figures,
    ratios: {},
    bars: [
      atLeast("bfd: share filled", figures.bfd_fill as number, 0.999),
      atMost("bfd: seconds", figures.bfd_seconds as number, 1),
      atLeast("random: share filled", figures.random_fill as number, 0.9),
    ],
  };
}

export default { name: "packing", about: "packing 776K examples into 4096 tokens", run } satisfies Bench;
