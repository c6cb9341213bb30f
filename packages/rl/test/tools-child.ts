// A run of `nsa grpo` or `nsa sample` with tools in a process of its own, to be killed inside their calls.
import { latestCheckpoint, openStageContext, parseConfig } from "@nsa/core";
import { grpoSchema, runGrpo, runSample, sampleSchema } from "../src/index.ts";
import { toolSettings } from "./tools-fixture.ts";

const [stage, runDir, base, file, reward] = process.argv.slice(2) as [string, string, string, string, string];
const resumeFrom = latestCheckpoint(runDir) ?? undefined;
const context = openStageContext({ runDir, device: "cpu", resumeFrom });
if (!resumeFrom) context.rewind(-1);
const common = { ...toolSettings(base), environment: { file, max_turns: 2, max_output_tokens: 8 }, seed: 3 };
if (stage === "grpo") {
  const config = {
    ...common,
    steps: 6,
    rollout: { questions_per_step: 4, group_size: 6, max_tokens: 40, keep_rollouts: "all" },
    rewards: [{ kind: "custom", file: reward }],
    train: { optimizer: { lr: 1e-3, weight_decay: 0 } },
    evaluation: { questions: 2, samples: 2, greedy: false },
    checkpoint: { every: 1, keep_last: 9 },
  };
  await runGrpo(parseConfig(grpoSchema, config as never, "test"), context);
} else {
  const config = {
    ...common,
    prompts: { questions: 24 },
    sampling: { n: 4, max_tokens: 40 },
    engine: { questions: 3 },
  };
  await runSample(parseConfig(sampleSchema, config as never, "test"), context);
}
await context.close();
process.stdout.write("done\n");
