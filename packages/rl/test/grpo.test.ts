// GRPO from end to end on a tiny base model: it learns, resumes bit for bit, and bad rewards are named.
import { cpSync, mkdirSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openStageContext, parseConfig, type StageEvent, type StageResult } from "@nsa/core";
import { pretrainSchema, runPretrain } from "@nsa/eval";
import { beforeAll, expect, test } from "vitest";
import { grpoSchema, runGrpo } from "../src/index.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-grpo-"));
let base = "";

async function stage<T>(
  name: string,
  run: (config: T, ctx: ReturnType<typeof openStageContext>) => Promise<StageResult>,
  config: T,
  options: { resumeFrom?: string; stopAt?: number } = {},
): Promise<{ result: StageResult; dir: string; events: StageEvent[] }> {
  const dir = join(root, name);
  mkdirSync(join(dir, "checkpoints"), { recursive: true });
  const events: StageEvent[] = [];
  const abort = new AbortController();
  const ctx = openStageContext({
    runDir: dir,
    device: "cpu",
    resumeFrom: options.resumeFrom,
    signal: abort.signal,
    onEvent: (e) => {
      events.push(e);
      if (e.type === "step" && e.step === options.stopAt) abort.abort();
    },
  });
  const result = await run(config, ctx);
  await ctx.close();
  return { result, dir, events };
}

const recipe = (set: Record<string, unknown> = {}) =>
  parseConfig(
    grpoSchema,
    {
      steps: 6,
      init: { checkpoint: base },
      task: { family: "addition", difficulty: 1, template: "{question}=" },
      rollout: { questions_per_step: 6, group_size: 8, max_tokens: 24 },
      algorithm: { aggregation: "token_mean" },
      train: { optimizer: { lr: 1e-3, weight_decay: 0 }, schedule: { kind: "constant" } },
      evaluation: { questions: 8, samples: 8 },
      checkpoint: { every: 3 },
      ...set,
    } as never,
    "test",
  );

beforeAll(async () => {
  const config = parseConfig(
    pretrainSchema,
    {
      data: {
        sources: [
          { family: "addition", difficulty: 1, documents: 1500, template: "{question}=", right_share: 0.5 },
        ],
        vocab_size: 300,
      },
      model: {
        attention: "full",
        d_model: 48,
        num_layers: 2,
        num_heads: 2,
        num_kv_heads: 2,
        d_ff: 96,
        max_seq_len: 64,
      },
      train: {
        steps: 150,
        micro_batch_tokens: 512,
        seq_len: 48,
        optimizer: { lr: 5e-3 },
        eval_every: 0,
        save_every: 0,
      },
    } as never,
    "test",
  );
  base = (await stage("base", runPretrain, config)).result.outputs.checkpoint!;
}, 120_000);

const weights = (r: StageResult) => readFileSync(join(r.outputs.checkpoint!, "model.safetensors"));

test("rewards_rise_and_the_log_probabilities_of_sampler_and_trainer_agree", async () => {
  const { events } = await stage("learn", runGrpo, recipe({ steps: 25, checkpoint: { every: 25 } }));
  const rewards = events.flatMap((e) => (e.type === "step" ? [e.metrics["reward/mean"]!] : []));
  const mean = (xs: number[]) => xs.reduce((a, b) => a + b, 0) / xs.length;
  expect(mean(rewards.slice(-5))).toBeGreaterThan(mean(rewards.slice(0, 5)) + 0.2);
  for (const e of events) {
    if (e.type !== "step") continue;
    expect(e.metrics["policy/sampler_difference_max"]).toBeLessThan(1e-4);
    expect(e.metrics["policy/ratio_mean"]).toBeCloseTo(1, 6);
    expect(Math.abs(e.metrics["train/loss"]!)).toBeLessThan(1);
  }
});

test("a_stopped_and_resumed_run_equals_the_uninterrupted_one_bit_for_bit", async () => {
  const algorithm = { kl_coef: 0.02, reference_every: 2, inner_epochs: 2, mini_batches: 2 };
  const whole = await stage("whole", runGrpo, recipe({ algorithm }));
  const first = await stage("parts", runGrpo, recipe({ algorithm }), { stopAt: 4 });
  expect(first.result.status).toBe("interrupted");
  // A killed process leaves rows past its last checkpoint: resume from step 3.
  const again = join(root, "parts", "checkpoints", "step-000003");
  const second = await stage("parts", runGrpo, recipe({ algorithm }), { resumeFrom: again });
  expect(weights(second.result).equals(weights(whole.result))).toBe(true);
  const samples = (dir: string) => readFileSync(join(dir, "samples.jsonl"), "utf8");
  expect(samples(second.dir)).toBe(samples(whole.dir));
});

test("micro_batches_of_any_size_give_the_same_update", async () => {
  const small = await stage("small", runGrpo, recipe({ steps: 1, micro_batch_tokens: 64 }));
  const large = await stage("large", runGrpo, recipe({ steps: 1, micro_batch_tokens: 65536 }));
  const norm = (events: StageEvent[]) =>
    events.flatMap((e) => (e.type === "step" ? [e.metrics["train/grad_norm"]!] : []))[0]!;
  expect(Math.abs(norm(small.events) / norm(large.events) - 1)).toBeLessThan(1e-5);
});

test("a_reward_file_that_throws_or_returns_nan_is_named_and_stops_only_when_common", async () => {
  const file = join(root, "reward.ts");
  writeFileSync(
    file,
    "export default (s: { completion: string }) => { throw new Error('no such thing'); };\n",
  );
  const config = recipe({ steps: 1, rewards: [{ kind: "custom", file }] });
  await expect(stage("throws", runGrpo, config)).rejects.toMatchObject({
    code: "reward_failed",
    exitCode: 3,
    why: "custom threw: no such thing",
  });
  expect(readFileSync(join(root, "throws", "quarantine.jsonl"), "utf8").split("\n")).toHaveLength(49);
  const good = join(root, "length-reward.ts");
  writeFileSync(good, "export default (s: { completion: string }): number => s.completion.length / 10;\n");
  const works = await stage(
    "custom",
    runGrpo,
    recipe({ steps: 1, rewards: [{ kind: "custom", file: good }] }),
  );
  expect(works.result.status).toBe("completed");
});

test("rewards_that_are_always_equal_are_said", async () => {
  const file = join(root, "constant.ts");
  writeFileSync(file, "export default () => 1;\n");
  const { events } = await stage("equal", runGrpo, recipe({ steps: 1, rewards: [{ kind: "custom", file }] }));
  const logs = events.flatMap((e) => (e.type === "log" ? [e.text] : []));
  expect(logs.some((text) => text.includes("nothing was learned"))).toBe(true);
});

test("a_checkpoint_without_a_tokenizer_is_refused", async () => {
  const copy = join(root, "bare");
  cpSync(base, copy, { recursive: true });
  writeFileSync(join(copy, "tokenizer.json"), "{");
  await expect(stage("refused", runGrpo, recipe({ init: { checkpoint: copy } }))).rejects.toMatchObject({
    exitCode: 3,
  });
});
