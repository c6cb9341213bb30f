// A DPO run in a process of its own, to be killed. Lines on stdout say where it is: `step`, `scoring`, `saved`, `done`.
import { latestCheckpoint, openStageContext } from "@nsa/core";
import { runDpo } from "../src/index.ts";
import { offlineRecipe, onlineRecipe } from "./dpo-fixture.ts";

const [runDir, base, pairs, file] = process.argv.slice(2) as [string, string, string, string];
const train = {
  steps: 24,
  optimizer: { lr: 1e-3 },
  micro_batch_tokens: 64,
  eval_every: 5,
  save_every: 2,
  pairs_per_step: 24,
};
const config =
  pairs === "offline"
    ? offlineRecipe(base, file, { train })
    : onlineRecipe(base, {
        train: { ...train, steps: 12 },
        rewards: [{ kind: "accuracy" }, { kind: "format" }, { kind: "custom", file }],
      });
const print = (line: string) => process.stdout.write(`${line}\n`);
const resumeFrom = latestCheckpoint(runDir) ?? undefined;
const context = openStageContext({
  runDir,
  device: "cpu",
  resumeFrom,
  onEvent: (e) => {
    if (e.type === "step") print(`step ${e.step}`);
    if (e.type === "checkpoint") print(`saved ${e.step}`);
  },
});
if (!resumeFrom) context.rewind(-1);
await runDpo(config, context);
await context.close();
print("done");
