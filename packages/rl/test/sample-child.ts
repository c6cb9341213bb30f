// A run of `nsa sample` in a process of its own, to be killed. Lines on stdout: `step`, then `done`.
import { latestCheckpoint, openStageContext } from "@nsa/core";
import { runSample } from "../src/index.ts";
import { sampleRecipe } from "./sample-fixture.ts";

const [runDir, base, set] = process.argv.slice(2) as [string, string, string];
const resumeFrom = latestCheckpoint(runDir) ?? undefined;
const context = openStageContext({
  runDir,
  device: "cpu",
  resumeFrom,
  onEvent: (e) => {
    if (e.type === "step" || e.type === "start") process.stdout.write(`step ${e.step}\n`);
  },
});
if (!resumeFrom) context.rewind(-1);
await runSample(sampleRecipe(base, JSON.parse(set)), context);
await context.close();
process.stdout.write("done\n");
