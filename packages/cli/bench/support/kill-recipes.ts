// Small recipes of every stage of the registry and of a pipeline of all of them, made once by a run that is left alone.
//
// The pipeline's own stages give the recipes: config.yaml of each, with the paths of what it was given. Stages that no pipeline of
// seconds has (sample, reward, dpo) take that pipeline's checkpoint.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { listRuns } from "@nsa/core";
import { parse, stringify } from "yaml";
import { STAGE_TABLE } from "../../src/commands/stage-table.ts";
import { live } from "./kill-life.ts";
import { tinyPipeline } from "./tiny-pipeline.ts";

/** Words of the command for each stage; `{runs}` stands for the folder of its runs. */
export type KillWords = Readonly<Record<string, readonly string[]>>;

const task = { family: "addition", difficulty: 1, template: "{question}:" };
const optimizer = { lr: 1e-3, weight_decay: 0 };

function preferences(): string {
  const row = (i: number) => ({
    prompt: `${i % 10}+1:`,
    chosen: ` ${(i % 10) + 1}.`,
    rejected: ` ${(i % 10) + 2}!`,
  });
  return Array.from({ length: 60 }, (_, i) => `${JSON.stringify(row(i))}\n`).join("");
}

/** Labelled outputs as `nsa sample` writes them, half of them right. */
function labelled(): string {
  const row = (i: number) => ({
    step: 1,
    id: `q${i >> 1}`,
    prompt: `${i % 7}+2:`,
    question: `${i % 7}+2`,
    completion: ` ${(i % 7) + 2 + (i & 1)}`,
    verdict: i & 1 ? "wrong" : "right",
    reward: i & 1 ? 0 : 1,
    sample: i & 1,
  });
  return Array.from({ length: 80 }, (_, i) => `${JSON.stringify(row(i))}\n`).join("");
}

/** Recipes of the stages that take a checkpoint and are in no pipeline of seconds. */
function afterTraining(checkpoint: string, outputs: string, pairs: string): Record<string, object> {
  return {
    sample: {
      ...{ init: { checkpoint }, task, prompts: { questions: 60 }, threads: 1 },
      ...{ sampling: { n: 3, max_tokens: 6 }, engine: { questions: 6 } },
    },
    reward: {
      ...{ init: { checkpoint }, data: { files: [outputs] }, held_out: 0.1, threads: 1 },
      train: { steps: 12, micro_batch_tokens: 128, save_every: 3, eval_every: 4, optimizer },
    },
    dpo: {
      ...{ init: { checkpoint }, threads: 1, data: { files: [pairs], held_out: 0.2 } },
      train: {
        steps: 10,
        optimizer,
        micro_batch_tokens: 64,
        pairs_per_step: 6,
        eval_every: 4,
        save_every: 2,
      },
    },
  };
}

/** Makes the inputs of all stages under `root`, where they are not there yet. Throws where the unbroken pipeline fails. */
export async function makeKillWords(root: string): Promise<KillWords> {
  const kept = join(root, "words.json");
  if (existsSync(kept)) return JSON.parse(readFileSync(kept, "utf8")) as KillWords;
  mkdirSync(root, { recursive: true });
  for (const [name, text] of Object.entries(tinyPipeline)) writeFileSync(join(root, name), text);
  const pipeline = ["pipeline", "run", join(root, "pipeline.yaml")];
  const made = await live(pipeline, join(root, "base"));
  if (made.code !== 0)
    throw new Error(`the pipeline that makes the recipes ended with ${made.code}: ${made.errors}`);
  const run = listRuns(join(root, "base"))[0]!.path;
  const result = (stage: string) =>
    JSON.parse(readFileSync(join(run, "stages", stage, "result.json"), "utf8")) as {
      outputs: Record<string, string>;
    };
  const write = (name: string, text: string) => {
    writeFileSync(join(root, name), text);
    return join(root, name);
  };
  const words: Record<string, string[]> = { pipeline };
  const stages = (parse(tinyPipeline["pipeline.yaml"]!) as { stages: { name: string; stage: string }[] })
    .stages;
  for (const { name, stage } of stages) {
    const recipe = parse(readFileSync(join(run, "stages", name, "config.yaml"), "utf8")) as object;
    words[stage] = ["run", stage, write(`${stage}-alone.yaml`, stringify(recipe))];
  }
  words.data = [...words.data!, "--set", "out_dir={runs}/corpus"];
  const outputs = write("outputs.jsonl", labelled());
  const more = afterTraining(result("sft").outputs.checkpoint!, outputs, write("pairs.jsonl", preferences()));
  for (const [stage, recipe] of Object.entries(more))
    words[stage] = ["run", stage, write(`${stage}-alone.yaml`, stringify(recipe))];
  const absent = Object.keys(STAGE_TABLE).filter((stage) => !(stage in words));
  if (absent.length > 0) throw new Error(`no recipe to kill for ${absent.join(", ")}`);
  writeFileSync(kept, JSON.stringify(words));
  return words;
}
