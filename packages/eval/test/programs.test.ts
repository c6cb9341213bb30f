// A model that has learned to write a program is evaluated by what the program prints, end to end.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openStageContext, parseConfig, readJsonl } from "@nsa/core";
import { Tokenizer } from "@nsa/data";
import { bubblewrapState } from "@nsa/tasks";
import { runSft, sftSchema } from "@nsa/train";
import { afterAll, beforeAll, expect } from "vitest";
import { needs } from "../../core/test/needs.ts";
import { makeTinyCheckpoint, type TinyCheckpoint } from "../../train/test/tiny-checkpoint.ts";
import { evalSchema, type ProblemsSummary, runEval, type SampleRow, type TaskSummary } from "../src/index.ts";
import type { GreedyRow } from "../src/rows.ts";

const { usable, why } = bubblewrapState();

let tiny: TinyCheckpoint;
let [taught, caller] = ["", ""];
const prompt = "Q: {question}\nA:\n";
const program = "```python\nprint(3+4)\n```\n";

/** The tiny model after examples of answers with programs; its checkpoint. */
async function teach(name: string, rows: readonly { question: string; answer: string }[]): Promise<string> {
  const examples = join(tiny.dir, `${name}.jsonl`);
  const lines = rows.map((row) => JSON.stringify(row)).join("\n");
  writeFileSync(examples, `${Array(40).fill(lines).join("\n")}\n`);
  const runDir = join(tiny.dir, name);
  mkdirSync(join(runDir, "checkpoints"), { recursive: true });
  const context = openStageContext({ runDir, device: "cpu" });
  const recipe = {
    init_from: tiny.checkpoint,
    threads: 1,
    data: { sources: [{ files: [examples], prompt, completion: "{answer}", format: "tool" }] },
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
  const { outputs } = await runSft(parseConfig(sftSchema, recipe, "test"), context);
  await context.close();
  return outputs.checkpoint!;
}

beforeAll(async () => {
  if (!usable) return;
  tiny = await makeTinyCheckpoint();
  writeFileSync(join(tiny.dir, "sum.jsonl"), '{"id": "s", "question": "3+4", "answer": "7"}\n');
  writeFileSync(join(tiny.dir, "sum.yaml"), "name: sum\nfiles: [sum.jsonl]\nmax_tokens: 64\n");
  const echo = { question: "5+6", answer: '```python\nprint("6+5")\n```\n' };
  taught = await teach("pot", [{ question: "3+4", answer: program }, echo]);
  // What the interpreter wrote is masked: here it is not even right.
  const call = `${program}\`\`\`output\n9\n\`\`\`\nIt is 7.`;
  caller = await teach("tool", [{ question: "3+4", answer: call }]);
});
afterAll(() => tiny?.remove());

async function evaluate(format: string, more: object = {}, checkpoint = taught) {
  const runDir = join(tiny.dir, `${format}-${Object.keys(more).join()}`);
  mkdirSync(join(runDir, "checkpoints"), { recursive: true });
  const tasks = [{ kind: "problems", task: join(tiny.dir, "sum.yaml"), format, template: prompt, ...more }];
  const recipe = { checkpoint, data_dir: tiny.dir, threads: 1, tasks };
  const context = openStageContext({ runDir, device: "cpu" });
  await runEval(parseConfig(evalSchema, recipe, "test"), context);
  await context.close();
  const [summary] = JSON.parse(readFileSync(join(runDir, "summary.json"), "utf8")) as TaskSummary[];
  const rows = readJsonl<SampleRow | GreedyRow>(join(runDir, "samples.jsonl"));
  return {
    rows,
    row: rows[0]!,
    summary: summary as ProblemsSummary,
  };
}

needs(usable, why)("the_output_of_a_written_program_is_the_answer", async () => {
  const { row, summary } = await evaluate("pot");
  expect(row.completion).toContain("print(3+4)");
  expect(row).toMatchObject({ verdict: "correct", answer: "7", form: "program", task: "sum (pot)" });
  expect(summary).toMatchObject({ accuracy: { mean: 1 }, formatRate: 1, programs: { run: 1, ok: 1 } });
});

needs(usable, why)("programs_are_answered_greedily_too_and_their_echoes_are_counted", async () => {
  const { rows, summary } = await evaluate("pot", { greedy: true, samples: 2 });
  expect(rows.map((r) => r.kind)).toEqual(["sample", "sample", "greedy"]);
  expect(summary).toMatchObject({ echoes: 0, greedy: { accuracy: { mean: 1 }, echoes: 0 } });
  writeFileSync(join(tiny.dir, "sum.jsonl"), '{"id": "s", "question": "5+6", "answer": "11"}\n');
  const copies = await evaluate("pot", { greedy: true });
  expect(copies.row).toMatchObject({ answer: "6+5", verdict: "wrong", echo: true });
  expect(copies.summary).toMatchObject({ echoes: 1, greedy: { accuracy: { mean: 0 }, echoes: 1 } });
  writeFileSync(join(tiny.dir, "sum.jsonl"), '{"id": "s", "question": "3+4", "answer": "7"}\n');
});

needs(usable, why)("tool_integrated_answers_hold_their_outputs", async () => {
  const { row } = await evaluate("tool", { max_tokens: 48 }, caller);
  expect(row.completion).toContain("```output\n7\n```");
  expect(row).toMatchObject({
    verdict: "correct",
    answer: "7",
    programs: [{ status: "ok", why: "it ended" }],
  });
  // What the interpreter wrote is no part of the answer's length.
  const tokenizer = Tokenizer.load(join(caller, "tokenizer.json"));
  expect(row.tokens).toBeLessThan(tokenizer.encode(row.completion).length);
});
