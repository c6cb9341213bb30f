// A GRPO run in a process of its own, to be killed. Lines on stdout tell where it is: `step`, `scoring`, `saved`, `done`.
import { latestCheckpoint, openStageContext } from "@nsa/core";
import { runGrpo } from "../src/index.ts";
import { grpoRecipe } from "./grpo-fixture.ts";

const [runDir, base, reward] = process.argv.slice(2) as [string, string, string];
const config = grpoRecipe(base, {
  steps: 12,
  rollout: { questions_per_step: 6, group_size: 8, max_tokens: 24, dynamic_sampling_rounds: 1 },
  algorithm: { kl_coef: 0.02, reference_every: 3, inner_epochs: 2, mini_batches: 2 },
  rewards: [{ kind: "accuracy" }, { kind: "format" }, { kind: "custom", file: reward }],
  evaluation: { every: 4, questions: 4, samples: 4 },
  checkpoint: { every: 2 },
});
const say = (line: string) => process.stdout.write(`${line}\n`);
const resumeFrom = latestCheckpoint(runDir) ?? undefined;
const context = openStageContext({
  runDir,
  device: "cpu",
  resumeFrom,
  onEvent: (e) => {
    if (e.type === "step") say(`step ${e.step}`);
    if (e.type === "checkpoint") say(`saved ${e.step}`);
  },
});
if (!resumeFrom) context.rewind(-1);
await runGrpo(config, context);
await context.close();
say("done");
