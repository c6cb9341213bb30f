// DeepSeekMath §5.2.2 put to a test that can fail: RL lifts Maj@K but not Pass@K, on problems of which most are of medium difficulty.
//
// `pnpm bench topk [--seeds 5] [--from 21] [--samples 256] [--keep folder] [--device cuda] --json`. Each seed, in two conditions: a base model and SFT, a
// pool of held-out problems by measured pass rate, 256 problems of it, K = 1 … 256 before and after GRPO. In the control hardly any text
// shows a carry, so that RL has to bring a skill to the surface, and the verdict must be "disagrees".
import { mkdtempSync, readdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { atLeast, atMost, type BenchResult, describeMachine, readJsonl, readRunJson } from "@nsa/core";
import { argument, measureOnce, nsa, root } from "./support/command-line.ts";
import { type Difference, differenceOverSeeds } from "./support/differences.ts";
import { chooseProblems, isMedium, type PoolRow, PROBLEMS, topKVerdict } from "./support/topk.ts";

const config = (name: string) => join(root, "configs", `${name}.yaml`);

/** Shares of right and of careless sums in all text that a condition's model sees before RL, and the steps of RL. */
const CONDITIONS = {
  main: { right: 0.5, slip: 0.3, needs: "medium", steps: 100 },
  control: { right: 0.05, slip: 0.94, needs: "any", steps: 200 },
} as const;

/** Held-out problems that are chosen from; the texts never show a sum of four digits. */
const POOL = [
  [2, 0.2],
  [3, 0.4],
  [4, 0.4],
].map(([difficulty, share]) => `{family: addition, difficulty: ${difficulty}, share: ${share}}`);
type Condition = keyof typeof CONDITIONS;

interface Curves {
  pass: Record<string, number>;
  maj: Record<string, number>;
  greedy: number;
}

interface Outcome {
  /** Share of the problems with 0.02 < pass@1 < 0.6, by the samples before RL. */
  medium: number;
  before: Curves;
  after: Curves;
  seconds: number;
}

/** Runs a stage and returns its newest run folder. */
async function stage(cwd: string, words: string[], set: readonly string[]): Promise<string> {
  const runs = join(cwd, "runs");
  const before = new Set(readdirSync(runs));
  await nsa(cwd, [...words, ...set.flatMap((text) => ["--set", text])]);
  const made = readdirSync(runs).filter((name) => !before.has(name));
  return join(runs, made.sort().at(-1)!);
}

function newestCheckpoint(run: string): string {
  const checkpoints = join(run, "checkpoints");
  return join(checkpoints, readdirSync(checkpoints).sort().at(-1)!);
}

/** The checkpoint that RL starts from. */
async function prepare(cwd: string, seed: number, condition: Condition): Promise<string> {
  const { right, slip } = CONDITIONS[condition];
  const recipe = join(cwd, "pipeline.yaml");
  const crawl = (name: string, difficulty: number, examples: number) => `  - name: ${name}
    stage: crawl
    config: ${config("crawl/unified")}
    set: [seed=${difficulty}, solutions.difficulty=${difficulty}, solutions.examples=${examples}, solutions.right_share=${right}, solutions.slip_share=${slip}]
`;
  const shares = [0, 1].flatMap((i) => [
    `data.sources.${i}.right_share=${right}`,
    `data.sources.${i}.slip_share=${slip}`,
  ]);
  writeFileSync(
    recipe,
    `name: start
stages:
${crawl("sums-2", 2, 1200)}${crawl("sums-3", 3, 600)}  - name: base
    stage: pretrain
    config: ${config("pretrain/unified-base")}
    set: [seed=${seed}, ${shares.join(", ")}]
  - name: sft
    stage: sft
    config: ${config("sft/unified")}
    set:
      - seed=${seed}
      - init_from={base.checkpoint}
      - data.sources.0.files=[{sums-2.examples}, {sums-3.examples}]
`,
  );
  await nsa(cwd, ["pipeline", "run", recipe]);
  return newestCheckpoint(join(cwd, "runs", readdirSync(join(cwd, "runs"))[0]!, "stages/sft"));
}

/** Held-out problems by pass rate, written as a task; its path. */
async function makeTask(
  cwd: string,
  seed: number,
  checkpoint: string,
  condition: Condition,
): Promise<string> {
  const set = [
    `seed=${seed}`,
    `init.checkpoint=${checkpoint}`,
    `task.mix=[${POOL.join(", ")}]`,
    "prompts.split=heldout",
    "prompts.questions=1024",
    "sampling.n=64",
  ];
  const run = await stage(cwd, ["sample", config("sample/unified")], set);
  const pool = readJsonl<PoolRow>(join(run, "pool.jsonl"));
  const chosen = chooseProblems(pool, CONDITIONS[condition].needs);
  if (!chosen) {
    const medium = pool.filter((row) => isMedium(row.pass_rate)).length;
    throw new Error(`seed ${seed}: of ${pool.length} problems ${medium} are of medium difficulty, too few`);
  }
  writeFileSync(join(cwd, "problems.jsonl"), chosen.map((row) => `${JSON.stringify(row)}\n`).join(""));
  const task = join(cwd, "task.yaml");
  writeFileSync(
    task,
    `name: problems\nfiles: [${join(cwd, "problems.jsonl")}]\nanswer_form: number\nprompt: "{question}:"\nmax_tokens: 64\n`,
  );
  return task;
}

interface Summary {
  greedy: { accuracy: { mean: number } };
  passAtK: Record<string, number>;
  majAtK: Record<string, number>;
}
type Row = { kind: string; id: string; verdict: string };

async function evaluate(cwd: string, checkpoint: string, task: string, samples: number) {
  const tasks = `tasks=[{kind: problems, task: ${task}, template: "{question}:", samples: ${samples}, greedy: true, max_tokens: 64}]`;
  const run = await stage(
    cwd,
    ["eval", config("eval/unified")],
    [`checkpoint=${checkpoint}`, tasks, "seed=99"],
  );
  const [summary] = readRunJson(run, "summary.json") as unknown as Summary[];
  const right = new Map<string, number>();
  for (const row of readJsonl<Row>(join(run, "samples.jsonl")))
    if (row.kind === "sample")
      right.set(row.id, (right.get(row.id) ?? 0) + (row.verdict === "correct" ? 1 : 0));
  const medium = [...right.values()].filter((n) => isMedium(n / samples)).length / right.size;
  const curves: Curves = {
    pass: summary!.passAtK,
    maj: summary!.majAtK,
    greedy: summary!.greedy.accuracy.mean,
  };
  return { curves, medium };
}

async function runOne(seed: number, condition: Condition, samples: number): Promise<Outcome> {
  const cwd = mkdtempSync(join(tmpdir(), `nsa-topk-${condition}-`));
  const from = performance.now();
  const start = await prepare(cwd, seed, condition);
  const task = await makeTask(cwd, seed, start, condition);
  const before = await evaluate(cwd, start, task, samples);
  const set = [`seed=${seed}`, `init.checkpoint=${start}`, `steps=${CONDITIONS[condition].steps}`];
  const policy = newestCheckpoint(await stage(cwd, ["grpo", config("grpo/topk")], set));
  const after = await evaluate(cwd, policy, task, samples);
  const seconds = (performance.now() - from) / 1e3;
  return { medium: before.medium, before: before.curves, after: after.curves, seconds };
}

const mean = (xs: readonly number[]) => xs.reduce((a, b) => a + b, 0) / xs.length;

/** Changes over seeds at every K, each with its interval, and the verdict at K = 64, the paper's largest. */
function conclude(condition: Condition, outcomes: readonly Outcome[]) {
  const figures: BenchResult["figures"] = {};
  const change = (of: (c: Curves) => number): Difference =>
    differenceOverSeeds(
      outcomes.map(({ before }) => of(before)),
      outcomes.map(({ after }) => of(after)),
    );
  const write = (name: string, of: (c: Curves) => number) => {
    const difference = change(of);
    const key = `${condition}_${name}`;
    figures[`${key}_before`] = mean(outcomes.map(({ before }) => of(before)));
    figures[`${key}_change`] = difference.mean;
    figures[`${key}_low`] = Number.isFinite(difference.low) ? difference.low : null;
    figures[`${key}_high`] = Number.isFinite(difference.high) ? difference.high : null;
    return difference;
  };
  write("greedy", (c) => c.greedy);
  const ks = Object.keys(outcomes[0]!.before.pass);
  const pass = new Map(ks.map((k) => [k, write(`pass_at_${k}`, (c) => c.pass[k]!)]));
  const maj = new Map(ks.map((k) => [k, write(`maj_at_${k}`, (c) => c.maj[k] ?? c.pass[k]!)]));
  const at = ks.includes("64") ? "64" : ks.at(-1)!;
  const verdict = topKVerdict(maj.get(at)!, pass.get(at)!);
  figures[`${condition}_verdict_at_${at}`] = verdict;
  figures[`${condition}_medium_share`] = mean(outcomes.map(({ medium }) => medium));
  figures[`${condition}_seconds`] = mean(outcomes.map(({ seconds }) => seconds));
  return { figures, verdict, passBefore: mean(outcomes.map(({ before }) => before.pass[at]!)) };
}

async function run(): Promise<BenchResult> {
  const [count, first, samples] = [argument("seeds", 5), argument("from", 21), argument("samples", 256)];
  const outcomes: Record<Condition, Outcome[]> = { main: [], control: [] };
  for (let seed = first; seed < first + count; seed++)
    for (const condition of Object.keys(CONDITIONS) as Condition[])
      outcomes[condition].push(
        await measureOnce(`topk-${condition}-${seed}`, () => runOne(seed, condition, samples)),
      );
  const [main, control] = [conclude("main", outcomes.main), conclude("control", outcomes.control)];
  return {
    name: "topk",
    machine: describeMachine(),
    figures: { problems: PROBLEMS, ...main.figures, ...control.figures },
    ratios: {},
    bars: [
      atLeast("seeds", count, 5),
      atLeast("share of problems of medium difficulty", main.figures.main_medium_share as number, 0.6),
      atLeast("pass@64 before RL", main.passBefore, 0.4),
      atMost("pass@64 before RL", main.passBefore, 0.85),
      atLeast("the control disagrees (1 = yes)", control.verdict === "disagrees" ? 1 : 0, 1),
    ],
  };
}

export default {
  name: "topk",
  about:
    "whether RL lifts Maj@K and not Pass@K, K = 1 to 256, over seeds, with a control in which it brings up a skill that the text hardly shows",
  run,
};
