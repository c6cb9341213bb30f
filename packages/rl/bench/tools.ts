// RL with tools over seeds: products of four digits with Python and without, and links that take two dependent calls.
//
// `pnpm bench tools [--seeds 3] [--from 41] [--keep folder] [--device cuda] --json`: runs configs/pipelines/tools-products.yaml and
// tools-links.yaml once a seed; held-out accuracy of each checkpoint with tools and without, and how right outputs called.
import { join } from "node:path";
import { atLeast, atMost, type BenchResult, describeMachine, readJsonl } from "@nsa/core";
import { argument, measureOnce, root } from "./support/command-line.ts";
import { figuresOf, type Measured, runSeed } from "./support/pipeline-bench.ts";

const PIPELINES = ["products", "links"] as const;
type Methods = Readonly<Record<string, Measured>>;

interface Row {
  task: string;
  kind: string;
  verdict: string;
  completion: string;
}

/** Whether an output calls at least twice, a later call with what an earlier one gave. */
export function callsDependently(completion: string): boolean {
  const blocks = [...completion.matchAll(/```(\w+)\n([\s\S]*?)\n```\n```output\n([\s\S]*?)\n```/g)];
  return blocks.some(([, , text], i) => blocks.slice(0, i).some(([, , , output]) => text!.includes(output!)));
}

/** Share of the right outputs with tools that called dependently; 0 where none is right. */
function dependentShare(folder: string, stage: string): number {
  const rows = readJsonl<Row>(join(folder, "stages", stage, "samples.jsonl"));
  const right = rows.filter(
    (r) => r.kind === "sample" && r.task.endsWith("lookup") && r.verdict === "correct",
  );
  return right.filter((r) => callsDependently(r.completion)).length / Math.max(1, right.length);
}

interface Kept {
  products: Methods;
  links: Methods;
  dependent: number;
}

async function measureSeed(seed: number): Promise<Kept> {
  const runs: Record<string, Methods> = {};
  let dependent = 0;
  for (const name of PIPELINES) {
    const { methods, folder } = await runSeed(join(root, `configs/pipelines/tools-${name}.yaml`), seed);
    runs[name] = methods;
    if (name === "links") dependent = dependentShare(folder, "ask-with-tool");
  }
  return { products: runs.products!, links: runs.links!, dependent };
}

const passAt1 = (methods: Methods, method: string, task: string) =>
  methods[method]!.accuracy[task]!.pass_at_1!;

async function run(): Promise<BenchResult> {
  const first = argument("from", 41);
  const count = argument("seeds", 3);
  const numbers = Array.from({ length: count }, (_, i) => first + i);
  const seeds: Kept[] = [];
  let figures: BenchResult["figures"] = {};
  for (const seed of numbers) {
    const kept = await measureOnce(`tools-${seed}`, () => measureSeed(seed));
    seeds.push(kept);
    for (const name of PIPELINES)
      for (const [key, value] of Object.entries(figuresOf(seed, kept[name])))
        figures[`${name}_${key}`] = value;
    figures = { ...figures, [`links_seed_${seed}_dependent_share`]: kept.dependent };
  }
  const all = (of: (kept: Kept) => number) => seeds.map(of);
  const products = (method: string, task: string) => all((kept) => passAt1(kept.products, method, task));
  const links = (method: string) => all((kept) => passAt1(kept.links, method, "links with lookup"));
  const least = (xs: readonly number[]) => Math.min(...xs);
  const most = (xs: readonly number[]) => Math.max(...xs);
  return {
    name: "tools",
    machine: describeMachine(),
    figures,
    ratios: {},
    bars: [
      atLeast("seeds", count, 3),
      atMost(
        "products with Python before RL, most pass@1",
        most(products("base", "products with Python")),
        0.3,
      ),
      atLeast(
        "products with Python after RL, least pass@1",
        least(products("with-tool", "products with Python")),
        0.9,
      ),
      atMost(
        "products after RL without a tool, most pass@1",
        most(products("without-tool", "products")),
        0.5,
      ),
      atMost(
        "seconds of RL with Python, most",
        most(all((kept) => kept.products["with-tool"]!.seconds)),
        600,
      ),
      atMost("links before RL, most pass@1", most(links("base")), 0.3),
      atLeast("links after RL, least pass@1", least(links("with-tool")), 0.8),
      atLeast(
        "right outputs with two dependent calls, least share",
        least(all((kept) => kept.dependent)),
        0.3,
      ),
    ],
  };
}

export default {
  name: "tools",
  about:
    "RL with tools: products of four digits with Python and without, and links that take two dependent calls",
  run,
};
