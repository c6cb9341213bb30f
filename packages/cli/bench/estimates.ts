// `pnpm bench estimates [recipe …]`: the memory of the process that `--dry-run` names for recipes of every kind beside the peak of the process that runs them.
//
// The recipes form one chain: a base of 11M weights, then what starts from it, a step or two each. They run on the CPU, where the
// system reports the peak of a process. Evaluations and the corpus name no memory yet: their peak stands alone.
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { atMost, type BenchResult, describeMachine, latestCheckpoint, listRuns } from "@nsa/core";
import { stringify } from "yaml";

const root = fileURLToPath(new URL("../../../", import.meta.url));
const bundle = join(root, "packages/cli/dist/nsa.mjs");
const preload = pathToFileURL(join(import.meta.dirname, "support/peak-rss.mjs")).href;

const model = {
  ...{ vocab_size: 512, d_model: 320, num_layers: 8, num_heads: 8, num_kv_heads: 2, d_ff: 960 },
  ...{ block_size: 16, stride: 8, selection_block_size: 16, num_selected_blocks: 4, window_size: 32 },
  max_seq_len: 512,
};
const template = "{question}:";
const task = { family: "addition", difficulty: 2, template };
const optimizer = { lr: 1e-4, weight_decay: 0 };
const family = { kind: "family", family: "addition", template, questions: 16, samples: 4, max_tokens: 32 };
const lora = { rank: 16, alpha: 16 };

interface Files {
  questions: string;
  pairs: string;
  outputs: string;
  texts: string;
}

/** Stage and recipe by name; `base` is the checkpoint of the first. */
const recipes: Record<string, (base: string, files: Files) => [string, object]> = {
  pretrain: () => [
    "pretrain",
    {
      ...{
        name: "base",
        data: { sources: [{ generate: "stories", documents: 1500 }], vocab_size: 512 },
        model,
      },
      train: { steps: 2, micro_batch_tokens: 4096, seq_len: 512, eval_every: 2, save_every: 2 },
      sample: { prompts: ["1+1:"], max_tokens: 8 },
    },
  ],
  sft: (base, { questions }) => [
    "sft",
    {
      init_from: base,
      data: { sources: [{ files: [questions], prompt: template, completion: " {answer}" }] },
      train: { steps: 2, micro_batch_tokens: 2048, seq_len: 256, eval_every: 2, save_every: 2 },
    },
  ],
  lora: (base, { questions }) => [
    "sft",
    {
      ...{ init_from: base, adapter: lora },
      data: { sources: [{ files: [questions], prompt: template, completion: " {answer}" }] },
      train: { steps: 2, micro_batch_tokens: 2048, seq_len: 256, eval_every: 2, save_every: 2 },
    },
  ],
  grpo: (base) => [
    "grpo",
    {
      ...{ steps: 1, init: { checkpoint: base }, task },
      rollout: { questions_per_step: 4, group_size: 8, max_tokens: 48 },
      evaluation: { every: 0, questions: 4, samples: 2 },
    },
  ],
  tools: (base) => [
    "grpo",
    {
      ...{
        steps: 1,
        init: { checkpoint: base },
        task,
        environment: { kind: "calculator", max_turns: 2, max_output_tokens: 8 },
      },
      rollout: { questions_per_step: 4, group_size: 8, max_tokens: 48 },
      evaluation: { every: 0, questions: 4, samples: 2 },
    },
  ],
  reward: (base, { outputs }) => [
    "reward",
    {
      ...{ init: { checkpoint: base }, data: { files: [outputs] }, held_out: 0.1 },
      train: { steps: 2, micro_batch_tokens: 2048, save_every: 2, eval_every: 2, optimizer },
    },
  ],
  dpo: (base, { pairs }) => [
    "dpo",
    {
      ...{ init: { checkpoint: base }, data: { files: [pairs], held_out: 0.2 } },
      train: {
        ...{ steps: 2, optimizer, micro_batch_tokens: 2048, pairs_per_step: 32 },
        ...{ eval_every: 2, save_every: 2 },
      },
    },
  ],
  sample: (base) => [
    "sample",
    {
      ...{ init: { checkpoint: base }, task, prompts: { questions: 16 } },
      ...{ sampling: { n: 4, max_tokens: 32 }, engine: { questions: 16 } },
    },
  ],
  eval: (base) => ["eval", { checkpoint: base, tasks: [family], sampling: { temperature: 1 } }],
  corpus: (_, { texts }) => ["tokenizer", { files: [texts], vocab_size: 2000 }],
};

function writeFiles(folder: string): Files {
  const rows = (name: string, row: (i: number) => object, n: number) => {
    const path = join(folder, `${name}.jsonl`);
    writeFileSync(path, Array.from({ length: n }, (_, i) => `${JSON.stringify(row(i))}\n`).join(""));
    return path;
  };
  const sum = (i: number) => ({ question: `${i % 90}+${i % 7}`, answer: String((i % 90) + (i % 7)) });
  const words = (i: number) => `${sum(i).question}: ${sum(i).answer}. `;
  return {
    questions: rows("questions", sum, 400),
    pairs: rows(
      "pairs",
      (i) => ({ prompt: `${words(i).repeat(12)}${i}+1:`, chosen: ` ${i + 1}`, rejected: ` ${i + 2}` }),
      200,
    ),
    outputs: rows(
      "outputs",
      (i) => ({
        ...{ step: 1, id: `q${i >> 1}`, prompt: `${i % 7}+2:`, question: `${i % 7}+2` },
        ...{ completion: ` ${(i % 7) + 2 + (i & 1)}`, verdict: i & 1 ? "wrong" : "right", sample: i & 1 },
        reward: i & 1 ? 0 : 1,
      }),
      200,
    ),
    texts: rows(
      "texts",
      (i) => ({ text: Array.from({ length: 60 }, (_, k) => words(i * 60 + k)).join("") }),
      400,
    ),
  };
}

interface Row {
  recipe: string;
  /** MiB. */
  estimated?: number;
  measured: number;
}

const ratioOf = ({ estimated, measured }: Row) =>
  estimated === undefined ? undefined : estimated / measured;

/** Runs the command; throws where it fails. */
function nsa(words: readonly string[], env: Record<string, string> = {}): string {
  const run = spawnSync(process.execPath, [bundle, ...words], {
    cwd: root,
    encoding: "utf8",
    env: { ...process.env, ...env },
  });
  if (run.status !== 0) throw new Error(`nsa ${words.join(" ")} ended with ${run.status}: ${run.stderr}`);
  return run.stdout;
}

function measure(
  name: string,
  [stage, recipe]: [string, object],
  folder: string,
): { row: Row; runs: string } {
  const path = join(folder, `${name}.yaml`);
  writeFileSync(path, stringify(recipe));
  const [runs, peaks] = [join(folder, "runs", name), join(folder, "peaks", name)];
  mkdirSync(peaks, { recursive: true });
  const words = ["run", stage, path, "--device", "cpu", "--runs", runs];
  const estimate = JSON.parse(nsa([...words, "--dry-run", "--json"])) as { process_bytes?: number };
  nsa([...words, "--plain"], { NODE_OPTIONS: `--import=${preload}`, NSA_PEAKS: peaks });
  const trainer = readdirSync(peaks).filter((file) => file.startsWith("trainer-"));
  const most = Math.max(...trainer.map((file) => Number(readFileSync(join(peaks, file), "utf8"))));
  const measured = most / 2 ** 20;
  const estimated = estimate.process_bytes === undefined ? undefined : estimate.process_bytes / 2 ** 20;
  return { row: { recipe: name, estimated, measured }, runs };
}

async function run(): Promise<BenchResult> {
  const words = JSON.parse(process.env.NSA_BENCH_ARGS ?? "[]") as string[];
  const wanted = words.filter((word) => !word.startsWith("--"));
  const folder = mkdtempSync(join(tmpdir(), "nsa-estimates-"));
  const files = writeFiles(folder);
  const rows: Row[] = [];
  let base = "";
  for (const [name, recipe] of Object.entries(recipes)) {
    if (wanted.length > 0 && name !== "pretrain" && !wanted.includes(name)) continue;
    const { row, runs } = measure(name, recipe(base, files), folder);
    console.error(JSON.stringify({ ...row, ratio: ratioOf(row) }));
    rows.push(row);
    if (name === "pretrain") base = latestCheckpoint(listRuns(runs)[0]!.path)!;
  }
  rmSync(folder, { recursive: true, force: true });
  return {
    name: "estimates",
    machine: describeMachine(),
    figures: Object.fromEntries(
      rows.flatMap(({ recipe, estimated, measured }) => [
        ...(estimated === undefined ? [] : [[`${recipe}_estimated_mib`, estimated] as const]),
        [`${recipe}_measured_mib`, measured] as const,
      ]),
    ),
    ratios: Object.fromEntries(rows.flatMap((row) => [[row.recipe, ratioOf(row) ?? 0]])),
    bars: rows
      .filter(({ estimated }) => estimated !== undefined)
      .map((row) =>
        atMost(
          `share by which ${row.recipe} is estimated too high or too low`,
          Math.abs(ratioOf(row)! - 1),
          0.1,
        ),
      ),
  };
}

export default {
  name: "estimates",
  about:
    "memory that --dry-run names beside the peak of the process, recipes of every kind on the CPU: within 10 %",
  run,
};
