// Recipes of `nsa sample` on the tiny base model.
import { parseConfig } from "@nsa/core";
import { sampleSchema } from "../src/index.ts";

/** One-digit sums, a dozen questions, batches of five. */
export const sampleRecipe = (checkpoint: string, set: Record<string, unknown> = {}) =>
  parseConfig(
    sampleSchema,
    {
      init: { checkpoint },
      task: { family: "addition", difficulty: 1, template: "{question}=" },
      prompts: { questions: 12 },
      sampling: { n: 6, max_tokens: 24 },
      rewards: [{ kind: "accuracy" }, { kind: "length", weight: 0.5 }],
      engine: { questions: 5 },
      ...set,
    } as never,
    "test",
  );
