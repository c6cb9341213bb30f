// A stage in a process of its own, to be killed: `kill-main.ts <stage> <run folder> <recipe.json> <device>`.
// It resumes from the newest checkpoint.
// Each event is a line on stdout (`begin`, `step 3`, `eval 3`, `checkpoint 3`), and the last line is `done`.
import { readFileSync } from "node:fs";
import { latestCheckpoint, openStageContext, parseConfig } from "@nsa/core";
import { dpoStage, grpoStage, rewardStage, sampleStage } from "../../src/index.ts";

const stages = { dpo: dpoStage, grpo: grpoStage, reward: rewardStage, sample: sampleStage };
const [name, runDir, recipe, device] = process.argv.slice(2) as [keyof typeof stages, string, string, string];
const stage = stages[name];
const config = parseConfig(stage.schema, JSON.parse(readFileSync(recipe, "utf8")), recipe);
const print = (line: string) => process.stdout.write(`${line}\n`);
const resumeFrom = latestCheckpoint(runDir) ?? undefined;
const context = openStageContext({
  runDir,
  device,
  resumeFrom,
  onEvent: (e) => {
    if (e.type === "step" || e.type === "eval" || e.type === "checkpoint") print(`${e.type} ${e.step}`);
  },
});
if (!resumeFrom) context.rewind(-1);
print("begin");
await stage.run(config as never, context);
await context.close();
print("done");
