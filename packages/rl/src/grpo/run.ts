// `nsa grpo`: explore, score, update, look at held-out problems; resumable bit for bit.
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { ExitCode, JsonlFile, NsaError, type StageContext, type StageResult } from "@nsa/core";
import { Tokenizer } from "@nsa/data";
import { renderPrompt } from "@nsa/eval";
import type { Device } from "@nsa/kernels";
import {
  CheckpointStore,
  loadCheckpoint,
  loadModel,
  openDevice,
  saveCheckpoint,
  Trainer,
  type Transformer,
} from "@nsa/model";
import { makeScorer } from "../reward/score.ts";
import type { GrpoConfig } from "./config.ts";
import { type EvaluationResult, evaluatePolicy } from "./evaluate.ts";
import { makeProblems, type ProblemSource } from "./problems.ts";
import { explore, type Rollout } from "./rollout.ts";

import { update } from "./update.ts";

const QUARANTINE_LIMIT = 0.05;

export async function runGrpo(config: GrpoConfig, ctx: StageContext): Promise<StageResult> {
  const device = openDevice(ctx.device, {
    memoryLimitMb: config.memoryLimitMb,
    log: (text) => ctx.log(text),
  });
  try {
    return await train(device, config, ctx);
  } finally {
    device.close();
  }
}

async function train(device: Device, config: GrpoConfig, ctx: StageContext): Promise<StageResult> {
  const { algorithm, checkpoint: keep, evaluation } = config;
  const init = config.init.checkpoint;
  const policy = loadModel(device, init);
  const tokenizerFile = join(init, "tokenizer.json");
  const tokenizer = Tokenizer.load(tokenizerFile);
  const updates = config.steps * algorithm.innerEpochs * algorithm.miniBatches;
  const trainer = new Trainer(policy, updates, config.train);
  const problems = makeProblems(config);
  const score = await makeScorer(config.rewards);
  const store = new CheckpointStore(join(ctx.runDir, "checkpoints"), keep.keepLast);
  const quarantine = new JsonlFile(join(ctx.runDir, "quarantine.jsonl"));
  const references = new ReferenceStore(join(ctx.runDir, "reference"));
  let step = 0;
  if (ctx.resumeFrom) {
    const parts = { model: policy, optimizer: trainer.optimizer, stateful: [trainer] };
    step = (await loadCheckpoint(ctx.resumeFrom, parts)).step;
    ctx.rewind(step);
  }
  quarantine.truncateToStep(step);
  let reference = algorithm.klCoef > 0 ? loadModel(device, references.at(step) ?? init) : undefined;
  const save = async () => {
    const path = await store.save({
      model: policy,
      optimizer: trainer.optimizer,
      stateful: [trainer],
      step,
      files: { "tokenizer.json": readFileSync(tokenizerFile) },
    });
    ctx.emit({ type: "checkpoint", step, path });
    return path;
  };
  ctx.emit({
    type: "start",
    totalSteps: config.steps,
    step,
    info: { parameters: policy.parameters.layout.parameterCount, device: device.name },
  });
  const look = () => evaluate(policy, tokenizer, problems, config);
  let latest: EvaluationResult | undefined;
  if (step === 0) {
    latest = look();
    report(ctx, 0, latest);
    preflight(ctx, latest);
  }
  ctx.log(
    "an on-policy loss is near 0 by construction: watch reward/mean and eval/pass_at_1, not train/loss",
  );

  while (step < config.steps && !ctx.interrupted()) {
    step++;
    const started = performance.now();
    const rollout = await explore(policy, tokenizer, problems, score, config, step);
    const sampled = performance.now();
    recordFaults(rollout, quarantine, step);
    const metrics = update(trainer, rollout, config, step, reference);
    const ended = performance.now();
    const tokens = rollout.rows.reduce((n, row) => n + row.tokens, 0);
    ctx.emit({
      type: "step",
      step,
      totalSteps: config.steps,
      metrics: {
        ...metrics,
        ...rollout.metrics,
        "perf/rollout_tokens_per_sec": tokens / ((sampled - started) / 1000),
        "perf/update_tokens_per_sec": tokens / ((ended - sampled) / 1000),
        "perf/rollout_share": (sampled - started) / (ended - started),
      },
    });
    for (const row of rollout.rows) {
      const { reward, ...rest } = row;
      ctx.samples.append({ step, ...rest, reward: reward.total, parts: reward.parts });
    }
    show(ctx, rollout, step);
    warn(ctx, rollout, step);
    if (algorithm.klCoef > 0 && algorithm.referenceEvery > 0 && step % algorithm.referenceEvery === 0) {
      await references.save(policy, step);
      reference?.parameters.copyFrom(policy.parameters);
      reference ??= loadModel(device, init);
    }
    const last = step === config.steps;
    if (last || (evaluation.every > 0 && step % evaluation.every === 0)) {
      latest = look();
      report(ctx, step, latest);
      partingAlarm(ctx, rollout, latest);
    }
    if (last || step % keep.every === 0) await save();
  }
  const path = store.path(step);
  if (!existsSync(join(path, "state.json"))) await save();
  const final = latest ? flatten(latest) : {};
  ctx.emit({ type: "done", step, metrics: final });
  quarantine.close();
  return {
    status: step < config.steps ? "interrupted" : "completed",
    step,
    metrics: final,
    outputs: { checkpoint: path },
  };
}

/** Reference policies by the step they were taken at, so that a resumed run finds the one in force. */
class ReferenceStore {
  constructor(private readonly dir: string) {}

  private path(step: number): string {
    return join(this.dir, `step-${String(step).padStart(6, "0")}`);
  }

  async save(policy: Transformer, step: number): Promise<void> {
    await saveCheckpoint(this.path(step), { model: policy, step });
    // The one before is still needed by a resume from a checkpoint before this step.
    for (let s = step - 1, kept = 0; s > 0; s--) {
      if (existsSync(this.path(s)) && ++kept > 1) rmSync(this.path(s), { recursive: true, force: true });
    }
  }

  at(step: number): string | undefined {
    for (let s = step; s > 0; s--) if (existsSync(join(this.path(s), "state.json"))) return this.path(s);
    return undefined;
  }
}

function evaluate(
  policy: Transformer,
  tokenizer: Tokenizer,
  problems: ProblemSource,
  config: GrpoConfig,
): EvaluationResult {
  const count = Math.min(config.evaluation.questions, problems.heldOutCount);
  const asked = Array.from({ length: count }, (_, i) => problems.heldOut(i));
  const { rollout, task } = config;
  return evaluatePolicy(policy, tokenizer, {
    problems: asked,
    prompts: asked.map((p) => renderPrompt(task.template, p.question)),
    samples: config.evaluation.samples,
    maxTokens: rollout.maxTokens,
    sampling: rollout,
    seed: config.seed,
    maxSequences: rollout.maxSequences,
    cacheTokens: rollout.cacheTokens,
  });
}

function flatten(r: EvaluationResult): Record<string, number> {
  const metrics: Record<string, number> = { "eval/unparsed": r.unparsed };
  for (const [name, curve] of [
    ["pass", r.passAtK],
    ["maj", r.majAtK],
  ] as const) {
    for (const [k, { mean, low, high }] of Object.entries(curve)) {
      // Maj@1 is Pass@1.
      if (name === "maj" && k === "1") continue;
      metrics[`eval/${name}_at_${k}`] = mean;
      metrics[`eval/${name}_at_${k}_low`] = low;
      metrics[`eval/${name}_at_${k}_high`] = high;
    }
  }
  const most = Math.max(...Object.keys(r.passAtK).map(Number));
  for (const [part, { passAt1, passAtMost }] of Object.entries(r.parts)) {
    metrics[`eval/${part}/pass_at_1`] = passAt1;
    metrics[`eval/${part}/pass_at_${most}`] = passAtMost;
  }
  return metrics;
}

function report(ctx: StageContext, step: number, result: EvaluationResult): void {
  ctx.emit({ type: "eval", step, metrics: flatten(result) });
}

function preflight(ctx: StageContext, result: EvaluationResult): void {
  const rate = result.passAtK[1]!.mean;
  if (rate >= 0.1 && rate <= 0.7) return;
  const why = rate < 0.1 ? "too few right answers to learn from" : "too few wrong ones to learn from";
  ctx.log(`the first policy solves ${(100 * rate).toFixed(1)} % of samples, outside 10–70 %: ${why}`, "warn");
}

/** One of the step's outputs for the screen, another question's each step. */
function show(ctx: StageContext, rollout: Rollout, step: number): void {
  const { question, completion, reward } = rollout.rows[(step * 17) % rollout.rows.length]!;
  const { total, parts } = reward;
  ctx.emit({
    type: "sample",
    step,
    prompt: question,
    text: completion,
    reward: total,
    parts,
    recorded: true,
  });
}

function warn(ctx: StageContext, rollout: Rollout, step: number): void {
  if (rollout.metrics["rollout/zero_variance_share"] === 1) {
    ctx.log(`step ${step}: all rewards are equal inside every group, so nothing was learned`, "warn");
  }
}

/** Training reward far above held-out accuracy: the policy may be gaming the reward or repeating its questions. */
function partingAlarm(ctx: StageContext, rollout: Rollout, result: EvaluationResult): void {
  const train = rollout.metrics["rollout/pass_rate"];
  if (train !== undefined && train - result.passAtK[1]!.mean > 0.2) {
    const [a, b] = [train, result.passAtK[1]!.mean].map((x) => (100 * x).toFixed(1));
    ctx.log(`training accuracy ${a} % and held-out accuracy ${b} % have parted`, "warn");
  }
}

function recordFaults(rollout: Rollout, quarantine: JsonlFile, step: number): void {
  const faulty = rollout.rows.filter((row) => row.reward.fault !== undefined);
  for (const { id, completion, reward } of faulty)
    quarantine.append({ step, id, completion, fault: reward.fault });
  if (faulty.length > QUARANTINE_LIMIT * rollout.rows.length) {
    throw new NsaError({
      code: "reward_failed",
      what: `step ${step}: ${faulty.length} of ${rollout.rows.length} outputs could not be scored`,
      why: faulty[0]!.reward.fault!,
      fix: "mend the reward; the outputs are in quarantine.jsonl",
      exitCode: ExitCode.data,
    });
  }
}
