// An interruption while a reward is awaited: the step is not done, nothing of it stays, and the resumed run ends as an unbroken one.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseConfig } from "@nsa/core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { dpoSchema, runDpo, runGrpo, runSample } from "../src/index.ts";
import { grpoRecipe, makeBase, runStage } from "./grpo-fixture.ts";
import { sampleRecipe } from "./sample-fixture.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-interrupted-"));
const hook = globalThis as { stopScoring?: (() => void) | undefined };
afterAll(() => rmSync(root, { recursive: true, force: true }));
let base = "";
const file = join(root, "reward.mjs");
beforeAll(async () => {
  base = await makeBase(root);
  // Length differs between outputs of a question, so that all steps teach something.
  writeFileSync(
    file,
    `export default { scoreBatch(outputs, { step }) {
  if (step >= 2 && globalThis.stopScoring) { globalThis.stopScoring(); return new Promise(() => {}); }
  return outputs.map(({ tokens, completion }) => tokens + completion.length / 100);
} };`,
  );
}, 120_000);

const rewards = () => [{ kind: "custom", file }];
const rollout = { questions_per_step: 2, group_size: 3, max_tokens: 8 };
const sample = () => sampleRecipe(base, { rewards: rewards(), engine: { questions: 5 } });
const grpo = () => grpoRecipe(base, { steps: 3, rollout, rewards: rewards(), checkpoint: { every: 9 } });
const dpo = () =>
  parseConfig(
    dpoSchema,
    {
      ...{ init: { checkpoint: base }, pairs: "online", rollout, rewards: rewards() },
      task: { family: "addition", difficulty: 1, template: "{question}=" },
      evaluation: { questions: 2, samples: 2 },
      train: { steps: 3, save_every: 0, eval_every: 0 },
    } as never,
    "test",
  );

test.each([
  ["sample", runSample, sample, 5, ["samples.jsonl", "pool.jsonl"]],
  ["grpo", runGrpo, grpo, 1, ["samples.jsonl", "checkpoints/step-000003/model.safetensors"]],
  ["dpo", runDpo, dpo, 1, ["samples.jsonl", "checkpoints/step-000003/model.safetensors"]],
] as const)(
  "%s_stops_while_a_reward_is_awaited_and_is_resumed_to_equal_bits",
  async (name, run, recipe, done, files) => {
    const start = (own: string, options: object = {}) =>
      runStage(root, own, run as never, recipe() as never, options);
    const whole = await start(`${name}-whole`);
    const abort = new AbortController();
    hook.stopScoring = () => abort.abort();
    const stopped = await start(`${name}-stopped`, { abort });
    hook.stopScoring = undefined;
    expect(stopped.result).toMatchObject({ status: "interrupted", step: done });
    const resumeFrom = join(stopped.dir, "checkpoints", `step-${String(done).padStart(6, "0")}`);
    await start(`${name}-stopped`, { resumeFrom });
    for (const path of files)
      expect(readFileSync(join(stopped.dir, path)).equals(readFileSync(join(whole.dir, path))), path).toBe(
        true,
      );
  },
  120_000,
);
