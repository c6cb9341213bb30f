// A pretraining run in a process of its own, to be killed: prints one line per checkpoint and one at the end.
import { latestCheckpoint, openStageContext, parseConfig } from "@nsa/core";
import { pretrainSchema, runPretrain } from "../src/index.ts";
import { tinyRecipe } from "./tiny-recipe.ts";

const [runDir, steps] = process.argv.slice(2) as [string, string];
const config = parseConfig(pretrainSchema, tinyRecipe(Number(steps)), "tiny");
const context = openStageContext({
  runDir,
  device: "cpu",
  resumeFrom: latestCheckpoint(runDir) ?? undefined,
  onEvent: (event) => {
    if (event.type === "checkpoint") process.stdout.write(`saved ${event.step}\n`);
  },
});
await runPretrain(config, context);
await context.close();
process.stdout.write("done\n");
