// `nsa grpo`: sample outputs, score them, update the policy, evaluate held-out problems; resumable bit for bit.
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { type Metrics, type StageContext, type StageResult, turn, unlessInterrupted } from "@nsa/core";
import type { Device } from "@nsa/kernels";
import { openPlans, savePlans } from "@nsa/kernels";
import { CheckpointStore, type Transformer } from "@nsa/model";
import { anyRank, openStageDevice, rateWarning, StepProfiler } from "@nsa/train";
import { rewardsLeftOut } from "../../rewards/check.ts";
import { chatOf, withChatStops } from "../../task/chat.ts";
import { type AskedProblem, heldOutProblems } from "../../task/problems.ts";
import { checkGrpo, type GrpoConfig, stepsAddedUp } from "./config.ts";
import { curriculumMetrics, recipeAt } from "./curriculum.ts";
import { diagnosisFigures, specialTokensOf } from "./diagnosis/figures.ts";
import type { Evidence } from "./diagnosis/rule.ts";
import { type EvaluationResult, evaluatePolicy, evaluateWithTools } from "./evaluate.ts";
import { judgedOutputs } from "./hacking/figures.ts";
import { withIterations } from "./iterations/plan.ts";
import { buildUpdateBatch } from "./learn.ts";
import { rolloutMetrics, timeMetrics } from "./metrics.ts";
import { type GrpoParts, openParts, openScorer } from "./open.ts";
import { StepRecorder } from "./recorder.ts";
import { RefreshProbe } from "./refresh-probe.ts";
import { type Rollout, rollout } from "./rollout.ts";
import { shareNotes, type UpdateNotes, update } from "./update.ts";
import { evaluationMetrics, preflight, recordFaults, showSample } from "./watch.ts";

export async function runGrpo(recipe: GrpoConfig, ctx: StageContext): Promise<StageResult> {
  const config = withIterations(recipe);
  checkGrpo(config);
  const device = openStageDevice(ctx, { threads: 0, memoryLimitMb: config.memoryLimitMb });
  try {
    openPlans(device, ctx);
    return await train(device, config, ctx);
  } finally {
    device.close();
  }
}

async function train(device: Device, config: GrpoConfig, ctx: StageContext): Promise<StageResult> {
  const own = askedInChat(config);
  const run = new GrpoRun(own, ctx, await openParts(device, own, ctx));
  try {
    await run.begin();
    // By its second step a run is warm.
    const profiler = new StepProfiler(run.model, ctx, Math.min(run.step + 2, config.steps));
    while (run.step < config.steps) {
      await turn();
      if (run.interrupted()) break;
      if (!(await run.enterIteration())) break;
      if (!(await run.update(profiler))) break;
    }
    return await run.finish();
  } finally {
    await run.close();
  }
}

/** The recipe with the stops of the chat template, where questions are asked in it. */
const askedInChat = (config: GrpoConfig): GrpoConfig => ({
  ...config,
  rollout: withChatStops(config.task, config.rollout, chatOf(config.init.checkpoint)),
});

class GrpoRun {
  step: number;
  readonly model: Transformer;
  private readonly store: CheckpointStore;
  private readonly heldOut: AskedProblem[];
  private readonly probe: RefreshProbe;
  private latest: { result: EvaluationResult; step: number } | undefined;

  constructor(
    private readonly config: GrpoConfig,
    private readonly ctx: StageContext,
    private readonly parts: GrpoParts,
  ) {
    const { problems, checkpoints } = parts;
    this.step = parts.step;
    this.model = parts.model;
    this.store = new CheckpointStore(checkpoints, config.checkpoint.keepLast);
    this.probe = new RefreshProbe(parts.model, problems.train(0).prompt, config);
    this.heldOut = heldOutProblems(problems, config.evaluation.questions);
  }

  /** Ranks stop after the same step. */
  interrupted(): boolean {
    return anyRank(this.parts.collectives, this.ctx.interrupted());
  }

  /** Rank 0 alone writes what belongs to the run. */
  private get writes(): boolean {
    return this.parts.collectives.rank === 0;
  }

  /** Reports the start and, unless the run is resumed, the first policy's held-out figures. */
  async begin(): Promise<void> {
    const { ctx, model } = this;
    ctx.emit({
      type: "start",
      totalSteps: this.config.steps,
      step: this.step,
      info: { parameters: model.parameters.layout.parameterCount, device: model.device.name },
    });
    // A checkpoint of step 0 was saved after this: its figures are recorded.
    if (!ctx.resumeFrom) preflight(ctx, await this.evaluate(), this.config.rollout.groupSize);
    const { schedule, optimizer } = this.config.train;
    // A rate of 0 is named by the diagnosis of a policy that does not change.
    const rate = optimizer.lr > 0 ? rateWarning(schedule, optimizer.lr, this.config.steps) : undefined;
    const summed = ctx.resumeFrom ? undefined : stepsAddedUp(this.config);
    const late = ctx.resumeFrom ? undefined : rewardsLeftOut(this.config.rewards, this.config.steps);
    for (const text of [rate, summed, late]) if (text !== undefined) ctx.log(text, "warn");
    const warming = this.config.value?.warmupSteps ?? 0;
    if (warming >= this.config.steps)
      ctx.log(
        `value.warmup_steps is ${warming} and the run has ${this.config.steps} steps: the value model alone learns, the policy is never updated`,
        "warn",
      );
    else if (this.step < warming)
      ctx.log(
        `${warming === 1 ? "step 1 trains" : `steps 1 to ${warming} train`} the value model alone (value.warmup_steps): the policy is not updated`,
      );
    ctx.log(
      "the loss of an on-policy step is no measure of progress (it is 0 by construction where all outputs have the same weight): see reward/mean and eval/pass_at_1",
    );
  }

  /** Where an iteration is over, retrains the reward model and scores by it from here on. False where that was interrupted. */
  async enterIteration(): Promise<boolean> {
    const { step, config, parts, ctx, model } = this;
    const { retraining } = parts;
    if (!retraining || step === 0 || step % config.iterations!.steps !== 0) return true;
    if (!(await retraining.settle(step, model))) return false;
    await parts.scorer.close();
    parts.scorer = await openScorer(retraining.rewards(step), parts, ctx);
    return true;
  }

  /**
   * One step: samples outputs, scores them, updates the policy; evaluates and saves where they are due. False where an interruption ended
   * the scoring: then the run is as it was before the step.
   */
  async update(profiler: StepProfiler): Promise<boolean> {
    const { ctx, model } = this;
    const { trainer, cursor, quarantine, rollouts, collectives } = this.parts;
    const step = ++this.step;
    const config = recipeAt(this.config, step);
    profiler.begin(step);
    const recorder = this.writes && rollouts.keep > 0 ? new StepRecorder(rollouts, model, step) : undefined;
    const { probe } = this;
    const inputs = { ...this.parts, config, step, probe: probe.request };
    const sampled = await unlessInterrupted(rollout(inputs, cursor.asked));
    if (!sampled) {
      profiler.end();
      this.step--;
      return false;
    }
    if (sampled.probed) probe.checkMoved(step, sampled.probed);
    cursor.asked = sampled.cursor;
    recordFaults(ctx, sampled, quarantine, step);
    this.parts.retraining?.record(sampled, step);
    const started = performance.now();
    const updateBatch = buildUpdateBatch(model, sampled, config, this.parts);
    const notes: UpdateNotes = recorder?.notes ?? { oldLogp: new Map() };
    const learned = update(trainer, updateBatch, config, { step, value: this.parts.value, notes });
    shareNotes(collectives, notes);
    probe.checkUpdated(step, updateBatch, notes);
    const updating = performance.now() - started;
    profiler.end();
    const recording = performance.now();
    recorder?.write(sampled, updateBatch);
    const recorded = performance.now() - recording;
    const figures: Metrics = { ...rolloutMetrics(sampled), ...timeMetrics(sampled, updating, recorded) };
    figures["perf/memory_peak_bytes"] = model.device.stats().peakBytes;
    Object.assign(figures, curriculumMetrics(config, step), probe.changeMetrics(updateBatch, notes));
    if (this.writes) this.report(sampled, { ...learned, ...figures }, step);
    await this.renewReference();
    const last = step === config.steps;
    const { every } = config.evaluation;
    if (last || (every > 0 && step % every === 0)) await this.evaluate();
    if (this.saveIsDue()) await this.save();
    return true;
  }

  /** Whether an unbroken run saves at this step. */
  private saveIsDue(): boolean {
    const { step, config } = this;
    return step === config.steps || (step > 0 && step % config.checkpoint.every === 0);
  }

  /** Saves where the last step has not, and returns the stage's result. */
  async finish(): Promise<StageResult> {
    const { step, ctx, latest } = this;
    const checkpoint = this.store.path(step);
    if (!existsSync(join(checkpoint, "state.json"))) await this.save();
    const metrics = latest ? evaluationMetrics(latest.result) : {};
    const status = step < this.config.steps ? "interrupted" : "completed";
    if (status === "completed") ctx.emit({ type: "done", step, metrics });
    this.parts.quarantine.close();
    this.parts.hacking.close();
    return { status, step, metrics, outputs: { checkpoint } };
  }

  /** Ends the programs of rewards and tools. */
  close(): Promise<void> {
    this.parts.tools?.close();
    return this.parts.scorer.close();
  }

  /** Reports and records a step, with what its outputs show besides its figures. */
  private report(sampled: Rollout, metrics: Metrics, step: number): void {
    const { ctx, config } = this;
    const evidence = this.observe(sampled, metrics, step);
    ctx.emit({ type: "step", step, totalSteps: config.steps, metrics });
    appendSamples(ctx, sampled, step);
    showSample(ctx, sampled, step);
    this.parts.diagnosis.observe(metrics, step, evidence);
  }

  /** Adds the figures of reward hacking and of diagnoses to a step's. */
  private observe(sampled: Rollout, figures: Metrics, step: number): Evidence {
    const judged = judgedOutputs(sampled.outputs);
    const { metrics, evidence } = diagnosisFigures(
      sampled.outputs,
      judged,
      specialTokensOf(this.parts.tokenizer),
    );
    Object.assign(figures, this.parts.hacking.observe(sampled, figures, step, judged), metrics);
    return evidence;
  }

  private async evaluate(): Promise<EvaluationResult> {
    const { tokenizer, tools, collectives } = this.parts;
    const started = performance.now();
    const { model, heldOut, config } = this;
    const result = tools
      ? await evaluateWithTools(model, heldOut, config, tools, collectives)
      : evaluatePolicy(model, tokenizer, heldOut, config, collectives);
    const seconds = (performance.now() - started) / 1000;
    const metrics = { ...evaluationMetrics(result), "perf/evaluation_seconds": seconds };
    this.ctx.emit({ type: "eval", step: this.step, metrics });
    if (this.writes) this.parts.diagnosis.evaluated(metrics, this.step);
    this.latest = { result, step: this.step };
    return result;
  }

  private async save(): Promise<void> {
    if (!this.writes) return;
    const { model, step, ctx } = this;
    const { trainer, cursor, files, references, checkpoints, value } = this.parts;
    savePlans(model.device, ctx);
    ctx.sync();
    this.parts.quarantine.sync();
    const stateful = [trainer, cursor];
    // First, so that the policy's checkpoint is never without one.
    await value?.save(step);
    // The store keeps the checkpoint whose figure is least: here the share of held-out outputs that are wrong. One that an
    // interruption saves between two that are due has no figure, so that an unbroken run has the same best one.
    const { latest } = this;
    const valLoss =
      latest?.step === step && this.saveIsDue() ? 1 - latest.result.passAtK[1]!.mean : undefined;
    const path = await this.store.save({
      model,
      optimizer: trainer.optimizer,
      stateful,
      step,
      files,
      valLoss,
    });
    const kept = readdirSync(checkpoints).flatMap((name) => /^step-(\d+)$/.exec(name)?.[1] ?? []);
    references.prune(kept.map(Number));
    value?.prune(kept.map(Number));
    ctx.emit({ type: "checkpoint", step, path });
  }

  /** The outer loop of iterative GRPO: the policy as it is becomes the reference of the KL term. */
  private async renewReference(): Promise<void> {
    const { model, step } = this;
    const { reference, references } = this.parts;
    const { referenceEvery } = this.config.algorithm;
    if (!reference || referenceEvery === 0 || step % referenceEvery !== 0) return;
    if (this.writes) await references.save(model, step);
    reference.renew(model);
  }
}

/** One row per output in samples.jsonl. */
function appendSamples(ctx: StageContext, { outputs }: Rollout, step: number): void {
  const rows = outputs.map(({ row, discarded }) => {
    const { reward, ...rest } = row;
    const used = discarded ? { discarded } : {};
    return { step, ...rest, reward: reward.total, parts: reward.parts, ...used };
  });
  ctx.samples.appendAll(rows);
}
