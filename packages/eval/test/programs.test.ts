// A model that has learned to write a program is evaluated by what the program prints, end to end.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openStageContext, parseConfig, readJsonl } from "@nsa/core";
import { bubblewrapState } from "@nsa/tasks";
import { runSft, sftSchema } from "@nsa/train";
import { afterAll, beforeAll, expect } from "vitest";
import { needs } from "../../core/test/needs.ts";
import { makeTinyCheckpoint, type TinyCheckpoint } from "../../train/test/tiny-checkpoint.ts";
import { evalSchema, type ProblemsSummary, runEval, type SampleRow, type TaskSummary } from "../src/index.ts";

const { usable, why } = bubblewrapState();

let tiny: TinyCheckpoint;
let taught = "";
const prompt = "Q: {question}\nA:\n";
const program = "```python\nprint(3+4)\n```\n";

beforeAll(async () => {
  if (!usable) return;
  tiny = await makeTinyCheckpoint();
  const examples = join(tiny.dir, "examples.jsonl");
  const row = JSON.stringify({ question: "3+4", pot: program });
  writeFileSync(examples, `${Array(40).fill(row).join("\n")}\n`);
  writeFileSync(join(tiny.dir, "sum.jsonl"), '{"id": "s", "question": "3+4", "answer": "7"}\n');
  writeFileSync(join(tiny.dir, "sum.yaml"), "name: sum\nfiles: [sum.jsonl]\nmax_tokens: 64\n");
  const runDir = join(tiny.dir, "sft");
  mkdirSync(join(runDir, "checkpoints"), { recursive: true });
  const context = openStageContext({ runDir, device: "cpu" });
  const recipe = {
    init_from: tiny.checkpoint,
    threads: 1,
    data: { sources: [{ files: [examples], prompt, completion: "{pot}", format: "pot" }] },
    train: {
      steps: 150,
      micro_batch_tokens: 96,
      seq_len: 96,
      optimizer: { lr: 0.02 },
      eval_every: 0,
      save_every: 150,
    },
    sample: { prompts: 0 },
  };
  taught = (await runSft(parseConfig(sftSchema, recipe, "test"), context)).outputs.checkpoint!;
  await context.close();
});
afterAll(() => tiny?.remove());

async function evaluate(format: string) {
  const runDir = join(tiny.dir, format);
  mkdirSync(join(runDir, "checkpoints"), { recursive: true });
  const tasks = [{ kind: "problems", task: join(tiny.dir, "sum.yaml"), format, template: prompt }];
  const recipe = { checkpoint: taught, data_dir: tiny.dir, threads: 1, tasks };
  const context = openStageContext({ runDir, device: "cpu" });
  await runEval(parseConfig(evalSchema, recipe, "test"), context);
  await context.close();
  const [summary] = JSON.parse(readFileSync(join(runDir, "summary.json"), "utf8")) as TaskSummary[];
  return {
    row: readJsonl<SampleRow>(join(runDir, "samples.jsonl"))[0]!,
    summary: summary as ProblemsSummary,
  };
}

needs(usable, why)("the_output_of_a_written_program_is_the_answer", async () => {
  const { row, summary } = await evaluate("pot");
  expect(row.completion).toContain("print(3+4)");
  expect(row).toMatchObject({ verdict: "correct", answer: "7", form: "program", task: "sum (pot)" });
  expect(summary).toMatchObject({ accuracy: { mean: 1 }, formatRate: 1, programs: { run: 1, ok: 1 } });
});

needs(usable, why)("tool_integrated_answers_hold_their_outputs", async () => {
  const { row } = await evaluate("tool");
  expect(row.completion).toContain("```output\n7\n```");
  expect(row).toMatchObject({ verdict: "correct", answer: "7" });
});
