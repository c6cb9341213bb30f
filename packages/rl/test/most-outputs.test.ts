// Recipes that ask for more outputs at once than can be held, by a slip in a number.
import { estimateEval, evalSchema } from "@nsa/eval";
import { expect, test } from "vitest";
import { checkDpo, dpoSchema } from "../src/stages/dpo/config.ts";
import { checkGrpo, grpoSchema } from "../src/stages/grpo/config.ts";
import { checkSample, sampleSchema } from "../src/stages/sample/config.ts";

const init = { checkpoint: "none" };
const stages = {
  grpo: (set: object) => checkGrpo(grpoSchema.parse({ init, ...set })),
  dpo: (set: object) => checkDpo(dpoSchema.parse({ init, pairs: "online", ...set })),
  sample: (set: object) => checkSample(sampleSchema.parse({ init, ...set })),
  eval: (set: object) => void estimateEval(evalSchema.parse({ checkpoint: "none", ...set })),
};
const family = { kind: "family", family: "addition" };

test.each([
  ["grpo", { rollout: { groupSize: 1e10 } }, "rollout.questions_per_step × rollout.group_size"],
  ["grpo", { evaluation: { questions: 1e12 } }, "evaluation.questions × evaluation.samples"],
  ["dpo", { rollout: { questionsPerStep: 1e9 } }, "rollout.questions_per_step × rollout.group_size"],
  ["dpo", { evaluation: { samples: 1e10 } }, "evaluation.questions × evaluation.samples"],
  ["sample", { sampling: { n: 1e9 } }, "engine.questions × sampling.n"],
  [
    "sample",
    { prompts: { from: "steps", rollouts: 1e9 }, data: { files: ["a.jsonl"] } },
    "engine.questions × prompts.rollouts",
  ],
  ["eval", { tasks: [{ ...family, samples: 1e9 }] }, "engine.problems × tasks.0.samples"],
  ["eval", { tasks: [family, { ...family, questions: 1e12 }] }, "tasks.1.questions × tasks.1.samples"],
  [
    "eval",
    { tasks: [{ kind: "problems", task: "gsm8k", samples: 2 ** 20 + 1 }] },
    "engine.problems × tasks.0.samples",
  ],
] as const)("%s_refuses_%o", (stage, set, what) => {
  expect(() => stages[stage](set)).toThrowError(
    expect.objectContaining({
      exitCode: 2,
      what,
      why: expect.stringMatching(/outputs at once; at most 16777216/),
    }),
  );
});

test("numbers_at_the_bound_are_served", () => {
  expect(() => stages.sample({ engine: { questions: 16 }, sampling: { n: 2 ** 20 } })).not.toThrow();
});
