// `nsa grpo`: explore, score, update, look at held-out problems; resumable bit for bit.
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { JsonlFile, type StageContext, type StageResult, type Stateful, turn } from "@nsa/core";
import { modelFiles, Tokenizer } from "@nsa/data";
import type { Device } from "@nsa/kernels";
import { openDevice, openPlans, savePlans } from "@nsa/kernels";
import { CheckpointStore, INFERENCE_ONLY, loadModel, resumeCheckpoint } from "@nsa/model";
import { checkVocabulary } from "@nsa/tasks";
import { StepProfiler, Trainer } from "@nsa/train";
import { makeScorer } from "../../rewards/score.ts";
import { checkGrpo, type GrpoConfig } from "./config.ts";
import { type EvaluationResult, evaluatePolicy } from "./evaluate.ts";
import { prepare } from "./learn.ts";
import { rolloutMetrics } from "./metrics.ts";
import { makeProblems } from "./problems.ts";
import { ReferenceStore } from "./reference-store.ts";
import { explore } from "./rollout.ts";
import { update } from "./update.ts";
import { evaluationMetrics, partingAlarm, preflight, recordFaults, showSample, warnOfStep } from "./watch.ts";

export async function runGrpo(config: GrpoConfig, ctx: StageContext): Promise<StageResult> {
  checkGrpo(config);
  const device = openDevice(ctx.device, {
    memoryLimitMb: config.memoryLimitMb,
    log: (text) => ctx.log(text),
  });
  try {
    openPlans(device, ctx);
    return await train(device, config, ctx);
  } finally {
    device.close();
  }
}

/** How many questions were asked: with dynamic sampling the steps alone do not tell. */
class QuestionCursor implements Stateful {
  readonly name = "questions";
  asked = 0;

  save(): { asked: number } {
    return { asked: this.asked };
  }

  load({ asked }: { asked: number }): void {
    this.asked = asked;
  }
}

async function train(device: Device, config: GrpoConfig, ctx: StageContext): Promise<StageResult> {
  const { algorithm, checkpoint: keep, evaluation } = config;
  const init = config.init.checkpoint;
  const model = await loadModel(device, init, {}, config.train.groups);
  const tokenizer = Tokenizer.load(join(init, "tokenizer.json"));
  const files = modelFiles(init);
  checkVocabulary(tokenizer, model, init);
  const updates = config.steps * algorithm.innerEpochs * algorithm.miniBatches;
  const trainer = new Trainer(model, updates, config.train);
  const problems = makeProblems(config, {
    encode: (text) => tokenizer.encode(text),
    maxSeqLen: model.config.maxSeqLen,
    log: (text, level) => ctx.log(text, level),
  });
  const score = await makeScorer(config.rewards);
  const checkpoints = join(ctx.runDir, "checkpoints");
  const store = new CheckpointStore(checkpoints, keep.keepLast);
  const quarantine = new JsonlFile(join(ctx.runDir, "quarantine.jsonl"));
  const references = new ReferenceStore(join(ctx.runDir, "reference"));
  const cursor = new QuestionCursor();
  const parts = { model, optimizer: trainer.optimizer, stateful: [trainer, cursor] };
  let step = 0;
  if (ctx.resumeFrom) {
    step = (await resumeCheckpoint(ctx.resumeFrom, parts, ctx)).step;
  }
  quarantine.truncateToStep(step);
  // Without a KL there is no reference to hold.
  const reference =
    algorithm.klCoef > 0
      ? await loadModel(device, references.at(step, algorithm.referenceEvery) ?? init, {}, INFERENCE_ONLY)
      : undefined;
  const save = async () => {
    savePlans(device, ctx);
    const path = await store.save({ ...parts, step, files });
    const kept = readdirSync(checkpoints).flatMap((name) => /^step-(\d+)$/.exec(name)?.[1] ?? []);
    references.prune(Math.min(...kept.map(Number)));
    ctx.emit({ type: "checkpoint", step, path });
  };
  ctx.emit({
    type: "start",
    totalSteps: config.steps,
    step,
    info: { parameters: model.parameters.layout.parameterCount, device: device.name },
  });
  const count = Math.min(evaluation.questions, problems.heldOutCount);
  const heldOut = Array.from({ length: count }, (_, i) => problems.heldOut(i));
  let latest: EvaluationResult | undefined;
  const look = () => {
    const started = performance.now();
    latest = evaluatePolicy(model, tokenizer, heldOut, config);
    const seconds = (performance.now() - started) / 1000;
    ctx.emit({
      type: "eval",
      step,
      metrics: { ...evaluationMetrics(latest), "perf/evaluation_seconds": seconds },
    });
    return latest;
  };
  // A checkpoint of step 0 was saved after this: its figures are recorded.
  if (!ctx.resumeFrom) preflight(ctx, look());
  ctx.log(
    "an on-policy loss tells nothing (0 by construction where all outputs weigh alike): watch reward/mean and eval/pass_at_1",
  );

  const profiler = new StepProfiler(model, ctx, Math.min(step + 2, config.steps));
  while (step < config.steps) {
    await turn();
    if (ctx.interrupted()) break;
    step++;
    profiler.begin(step);
    const rollout = await explore({ model, tokenizer, problems, score, config, step }, cursor.asked);
    cursor.asked = rollout.cursor;
    recordFaults(ctx, rollout, quarantine, step);
    const started = performance.now();
    const lesson = prepare(model, rollout, config, reference);
    const learned = update(trainer, lesson, config, step);
    const updating = performance.now() - started;
    profiler.end();
    const figures = rolloutMetrics(rollout);
    const tokens = rollout.outputs.reduce((n, o) => n + o.row.tokens, 0);
    const all = rollout.sampling + rollout.scoring + updating;
    ctx.emit({
      type: "step",
      step,
      totalSteps: config.steps,
      metrics: {
        ...learned,
        ...figures,
        "perf/rollout_tokens_per_sec": tokens / (rollout.sampling / 1000),
        "perf/update_tokens_per_sec": tokens / (updating / 1000),
        "perf/step_seconds": all / 1000,
        "perf/rollout_share": rollout.sampling / all,
        "perf/scoring_share": rollout.scoring / all,
        "perf/update_share": updating / all,
      },
    });
    for (const { row, discarded } of rollout.outputs) {
      const { reward, ...rest } = row;
      const used = discarded ? { discarded } : {};
      ctx.samples.append({ step, ...rest, reward: reward.total, parts: reward.parts, ...used });
    }
    showSample(ctx, rollout, step);
    warnOfStep(ctx, rollout, lesson, step);
    if (reference && algorithm.referenceEvery > 0 && step % algorithm.referenceEvery === 0) {
      // The outer loop of iterative GRPO: what was learned so far becomes what the KL holds on to.
      await references.save(model, step);
      reference.parameters.copyFrom(model.parameters);
    }
    const last = step === config.steps;
    if (last || (evaluation.every > 0 && step % evaluation.every === 0))
      partingAlarm(ctx, figures["rollout/pass_rate"], look());
    if (last || step % keep.every === 0) await save();
  }
  const path = store.path(step);
  if (!existsSync(join(path, "state.json"))) await save();
  const final = latest ? evaluationMetrics(latest) : {};
  const status = step < config.steps ? "interrupted" : "completed";
  if (status === "completed") ctx.emit({ type: "done", step, metrics: final });
  quarantine.close();
  return {
    status,
    step,
    metrics: final,
    outputs: { checkpoint: path },
  };
}
