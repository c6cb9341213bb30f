// R1-Zero by rules alone over seeds: a base model without SFT is pretrained, then learns sums by GRPO.
//
// Sampled and greedy figures before and after, and the share of answers that echo the question (a sum written again is no
// answer). `pnpm bench r1-zero [--seeds 5] [--from 1] [--parallel 1] [--samples 256] --json`: the recipes of configs/ through the command line.
import { mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { atLeast, atMost, type BenchResult, describeMachine, loadConfig } from "@nsa/core";
import { familyDocuments, makeFamily } from "@nsa/tasks";
import { pretrainSchema } from "@nsa/train";
import { argument, nsa, root } from "./support/command-line.ts";

const pretrainRecipe = join(root, "configs/pretrain/r1-zero-base.yaml");
const grpoRecipe = join(root, "configs/grpo/r1-zero-addition.yaml");

interface Outcome {
  seed: number;
  seconds: number;
  before: Record<string, number>;
  after: Record<string, number>;
}

async function runSeed(seed: number, samples: number): Promise<Outcome> {
  const cwd = mkdtempSync(join(tmpdir(), "nsa-r1-zero-"));
  const from = performance.now();
  await nsa(cwd, ["pretrain", pretrainRecipe, "--set", `seed=${seed}`]);
  const run = readdirSync(join(cwd, "runs")).find((name) => name.startsWith("pretrain-"))!;
  const checkpoints = join(cwd, "runs", run, "checkpoints");
  const checkpoint = join(checkpoints, readdirSync(checkpoints).sort().at(-1)!);
  const settings = [`seed=${seed}`, `init.checkpoint=${checkpoint}`, `evaluation.samples=${samples}`];
  const events = await nsa(cwd, ["grpo", grpoRecipe, ...settings.flatMap((s) => ["--set", s])]);
  const evaluations = events.filter((e) => e.type === "eval").map((e) => e.metrics as Record<string, number>);
  return {
    seed,
    seconds: (performance.now() - from) / 1e3,
    before: evaluations[0]!,
    after: evaluations.at(-1)!,
  };
}

/** Documents of the base model's text that hold a problem of a held-out split. */
function leaks(): number {
  const { config } = loadConfig(pretrainSchema, pretrainRecipe);
  let found = 0;
  for (const source of config.data.sources) {
    if (!("family" in source)) continue;
    const { isHeldOut } = makeFamily(source.family, { ...source, seed: config.seed, split: "train" });
    for (const text of familyDocuments({ ...source, seed: config.seed })) {
      // The question comes first; its working adds single digits.
      const question = /\d+\+\d+/.exec(text)?.[0];
      if (question && isHeldOut(question)) found++;
    }
  }
  return found;
}

/** Processor seconds of all ended children so far, where the system tells. */
function childSeconds(): number {
  if (process.platform !== "linux") return Number.NaN;
  // The name in brackets may hold spaces; cutime and cstime are fields 16 and 17, in hundredths.
  const fields = readFileSync("/proc/self/stat", "utf8").split(") ")[1]!.split(" ");
  return (Number(fields[13]) + Number(fields[14])) / 100;
}

/** The least K from which on Pass@K is lower after than before; 0 when the curves do not cross. */
function crossing(before: Record<string, number>, after: Record<string, number>): number {
  const ks = Object.keys(before).flatMap((name) => /^eval\/pass_at_(\d+)$/.exec(name)?.[1] ?? []);
  const lower = ks.map(Number).filter((k) => after[`eval/pass_at_${k}`]! < before[`eval/pass_at_${k}`]!);
  return lower.length > 0 ? Math.min(...lower) : 0;
}

const least = (x: number[]) => Math.min(...x);

async function run(): Promise<BenchResult> {
  const samples = argument("samples", 256);
  const first = argument("from", 1);
  const seeds = Array.from({ length: argument("seeds", 5) }, (_, i) => first + i);
  const outcomes: Outcome[] = [];
  const queue = [...seeds];
  const worker = async () => {
    for (let seed = queue.shift(); seed !== undefined; seed = queue.shift())
      outcomes.push(await runSeed(seed, samples));
  };
  await Promise.all(Array.from({ length: argument("parallel", 1) }, worker));
  outcomes.sort((a, b) => a.seed - b.seed);
  const figures: Record<string, number> = {
    documents_with_heldout_problems: leaks(),
    cpu_seconds_per_seed: childSeconds() / seeds.length,
  };
  for (const { seed, seconds, before, after } of outcomes) {
    figures[`seed_${seed}_seconds`] = seconds;
    for (const [name, value] of Object.entries(before))
      figures[`seed_${seed}_before_${name.slice(5)}`] = value;
    for (const [name, value] of Object.entries(after)) figures[`seed_${seed}_after_${name.slice(5)}`] = value;
    figures[`seed_${seed}_crossing_at_k`] = crossing(before, after);
  }
  const echoes = outcomes.flatMap(({ before, after }) =>
    [before, after].flatMap((e) => [e["eval/echo_share"]!, e["eval/greedy_echo_share"]!]),
  );
  const change = (name: string) => outcomes.map((o) => o.after[name]! - o.before[name]!);
  const ratios = {
    pass_at_1_after_over_before: least(
      outcomes.map((o) => o.after["eval/pass_at_1"]! / o.before["eval/pass_at_1"]!),
    ),
    greedy_pass_at_1_gain: least(change("eval/greedy_pass_at_1")),
    maj_at_64_gain: least(change("eval/maj_at_64")),
    pass_at_64_change: Math.max(...change("eval/pass_at_64").map(Math.abs)),
  };
  return {
    name: "r1-zero",
    machine: describeMachine(),
    figures,
    ratios,
    bars: [
      atLeast("pass@1 after, worst seed", least(outcomes.map((o) => o.after["eval/pass_at_1"]!)), 0.8),
      atLeast("pass@1 after over before, worst seed", ratios.pass_at_1_after_over_before, 2),
      atLeast("greedy pass@1 gain, worst seed", ratios.greedy_pass_at_1_gain, 0.1),
      atLeast("maj@64 gain, worst seed", ratios.maj_at_64_gain, 0.1),
      atMost("answers that echo the question, before or after, worst seed", Math.max(...echoes), 0.01),
      atMost("pass@64 change, worst seed", ratios.pass_at_64_change, 0.03),
      atMost(
        "pass@64 before, highest seed (its ceiling is 1)",
        Math.max(...outcomes.map((o) => o.before["eval/pass_at_64"]!)),
        0.95,
      ),
      atMost("seconds, slowest seed", Math.max(...outcomes.map((o) => o.seconds)), 300),
      atMost("documents that hold a held-out problem", figures.documents_with_heldout_problems!, 0),
    ],
  };
}

export default {
  name: "r1-zero",
  about:
    "pure RL from a base model on held-out sums, over seeds: pass@1 sampled and greedy, maj@64, pass@64, echoes, before and after",
  run,
};
