// `nsa grpo`: sample outputs, score them, update the policy, evaluate held-out problems; resumable bit for bit.
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import {
  JsonlFile,
  type Metrics,
  parseState,
  type StageContext,
  type StageResult,
  type Stateful,
  turn,
} from "@nsa/core";
import { modelFiles, Tokenizer } from "@nsa/data";
import type { OpenTools } from "@nsa/eval";
import type { Device } from "@nsa/kernels";
import { openDevice, openPlans, savePlans } from "@nsa/kernels";
import {
  adapterReference,
  CheckpointStore,
  INFERENCE_ONLY,
  loadModel,
  loadWithAdapters,
  type ReferencePolicy,
  resumeCheckpoint,
  type Transformer,
  wholeReference,
} from "@nsa/model";
import { checkVocabulary } from "@nsa/tasks";
import { StepProfiler, Trainer } from "@nsa/train";
import { z } from "zod";
import { makeScorer, type Scorer } from "../../rewards/score.ts";
import type { RolloutStore } from "../../rollouts/store.ts";
import { chatOf, withChatStops } from "../../task/chat.ts";
import { type AskedProblem, heldOutProblems, makeProblems, type ProblemSource } from "../../task/problems.ts";
import { openToolsOf } from "../../task/tools.ts";
import { checkGrpo, type GrpoConfig } from "./config.ts";
import { curriculumAt, curriculumMetrics, recipeAt } from "./curriculum.ts";
import { factsOf } from "./diagnosis/facts.ts";
import { diagnosisFigures, specialTokensOf } from "./diagnosis/figures.ts";
import { DiagnosisMonitor } from "./diagnosis/monitor.ts";
import type { Evidence } from "./diagnosis/rule.ts";
import { type EvaluationResult, evaluatePolicy, evaluateWithTools } from "./evaluate.ts";
import { judgedOutputs } from "./hacking/figures.ts";
import { HackingMonitor } from "./hacking/monitor.ts";
import { withIterations } from "./iterations/plan.ts";
import { RewardRetraining } from "./iterations/retraining.ts";
import { buildUpdateBatch } from "./learn.ts";
import { rolloutMetrics, timeMetrics } from "./metrics.ts";
import { openRollouts, StepRecorder } from "./recorder.ts";
import { ReferenceStore } from "./reference-store.ts";
import { RefreshProbe } from "./refresh-probe.ts";
import { type Rollout, rollout } from "./rollout.ts";
import { type UpdateNotes, update } from "./update.ts";
import { ValueModel } from "./value/value-model.ts";
import { evaluationMetrics, preflight, recordFaults, showSample } from "./watch.ts";

export async function runGrpo(recipe: GrpoConfig, ctx: StageContext): Promise<StageResult> {
  const config = withIterations(recipe);
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

/** How many questions were asked: with dynamic sampling the number of steps does not determine it. */
class QuestionCursor implements Stateful {
  readonly name = "questions";
  asked = 0;

  save(): { asked: number } {
    return { asked: this.asked };
  }

  load(state: unknown): void {
    this.asked = parseState("questions", z.strictObject({ asked: z.number().int().min(0) }), state).asked;
  }
}

async function train(device: Device, config: GrpoConfig, ctx: StageContext): Promise<StageResult> {
  const run = await GrpoRun.open(device, askedInChat(config), ctx);
  try {
    await run.begin();
    // By its second step a run is warm.
    const profiler = new StepProfiler(run.model, ctx, Math.min(run.step + 2, config.steps));
    while (run.step < config.steps) {
      await turn();
      if (ctx.interrupted()) break;
      if (!(await run.enterIteration())) break;
      await run.update(profiler);
    }
    return await run.finish();
  } finally {
    await run.close();
  }
}

/** What a run is made of before its first step. */
interface GrpoParts {
  model: Transformer;
  tokenizer: Tokenizer;
  trainer: Trainer;
  problems: ProblemSource;
  scorer: Scorer;
  /** What outputs may call; none where the recipe has no environment. */
  tools: OpenTools | undefined;
  /** Retrains the reward model after each iteration; none where the recipe does not. */
  retraining: RewardRetraining | undefined;
  /** PPO's; none for advantages that compare outputs. */
  value: ValueModel | undefined;
  /** The model that the KL holds on to; none without a KL. */
  reference: ReferencePolicy | undefined;
  references: ReferenceStore;
  cursor: QuestionCursor;
  quarantine: JsonlFile;
  rollouts: RolloutStore;
  hacking: HackingMonitor;
  diagnosis: DiagnosisMonitor;
  checkpoints: string;
  /** Files kept with each checkpoint. */
  files: Record<string, string>;
  /** The last step that is done. */
  step: number;
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

  private constructor(
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

  /** Loads the models, the problems and, where the context names one, the checkpoint to resume. */
  static async open(device: Device, config: GrpoConfig, ctx: StageContext): Promise<GrpoRun> {
    const { algorithm } = config;
    const init = config.init.checkpoint;
    const { adapter, seed, train } = config;
    const head = config.value?.shared ? { head: "lm_scalar" } : {};
    const model = await loadWithAdapters(device, init, adapter, { ...head, groups: train.groups, seed });
    const tokenizer = Tokenizer.load(join(init, "tokenizer.json"));
    const files = modelFiles(init);
    checkVocabulary(tokenizer, model, init);
    const trainer = new Trainer(model, config.steps, config.train);
    const tools = await openToolsOf(config, tokenizer);
    const asking = {
      encode: (text: string) => tokenizer.encode(text),
      chat: tools?.chat ?? chatOf(init),
      maxSeqLen: model.config.maxSeqLen,
      log: (text: string, level: "warn") => ctx.log(text, level),
    };
    const schedule = { steps: config.steps, at: (asked: number) => curriculumAt(config, asked) };
    const problems = makeProblems(config, asking, schedule);
    const checkpoints = join(ctx.runDir, "checkpoints");
    const quarantine = new JsonlFile(join(ctx.runDir, "quarantine.jsonl"));
    const references = new ReferenceStore(join(ctx.runDir, "reference"));
    const cursor = new QuestionCursor();
    // Before the checkpoint is loaded: the reference of the start is the policy as the stage found it.
    const reference = await openReference(device, config, model);
    let step = 0;
    if (ctx.resumeFrom) {
      const saved = { model, optimizer: trainer.optimizer, stateful: [trainer, cursor] };
      step = (await resumeCheckpoint(ctx.resumeFrom, saved, ctx)).step;
    }
    quarantine.truncateToStep(step);
    const value = await ValueModel.open({ config, ctx, device, policy: model }, step);
    const retraining = RewardRetraining.open({ config, ctx, device, tokenizer }, step);
    const scorer = await openScorer(retraining?.rewards(step) ?? config.rewards, model, tokenizer, ctx);
    const hacking = HackingMonitor.open(config, ctx, step);
    const diagnosis = DiagnosisMonitor.open(config, factsOf(tokenizer, config, model.config), ctx, step);
    const rollouts = openRollouts(ctx.runDir, config);
    rollouts.truncate(step);
    const renewed = reference && references.at(step, algorithm.referenceEvery);
    if (renewed) await reference.load(renewed);
    const data = {
      problems,
      scorer,
      tools,
      retraining,
      value,
      cursor,
      quarantine,
      rollouts,
      hacking,
      diagnosis,
    };
    const kept = { references, checkpoints, files, step };
    return new GrpoRun(config, ctx, { model, tokenizer, trainer, reference, ...data, ...kept });
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
    const warming = this.config.value?.warmupSteps ?? 0;
    if (this.step < warming)
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
    const { retraining, tokenizer } = parts;
    if (!retraining || step === 0 || step % config.iterations!.steps !== 0) return true;
    if (!(await retraining.settle(step, model))) return false;
    await parts.scorer.close();
    parts.scorer = await openScorer(retraining.rewards(step), model, tokenizer, ctx);
    return true;
  }

  /** One step: samples outputs, scores them, updates the policy; evaluates and saves where they are due. */
  async update(profiler: StepProfiler): Promise<void> {
    const { ctx, model } = this;
    const { tokenizer, trainer, problems, scorer, tools, cursor, quarantine, rollouts, reference, value } =
      this.parts;
    const step = ++this.step;
    const config = recipeAt(this.config, step);
    profiler.begin(step);
    const recorder = rollouts.keep > 0 ? new StepRecorder(rollouts, model, step) : undefined;
    const { probe } = this;
    const inputs = { model, tokenizer, problems, scorer, tools, config, step, probe: probe.request };
    const sampled = await rollout(inputs, cursor.asked);
    if (sampled.probed) probe.checkMoved(step, sampled.probed);
    cursor.asked = sampled.cursor;
    recordFaults(ctx, sampled, quarantine, step);
    this.parts.retraining?.record(sampled, step);
    const started = performance.now();
    const updateBatch = buildUpdateBatch(model, sampled, config, { reference, value });
    const notes: UpdateNotes = recorder?.notes ?? { oldLogp: new Map() };
    const learned = update(trainer, updateBatch, config, { step, value, notes });
    probe.checkUpdated(step, updateBatch, notes);
    const updating = performance.now() - started;
    profiler.end();
    const recording = performance.now();
    recorder?.write(sampled, updateBatch);
    const recorded = performance.now() - recording;
    const figures: Metrics = { ...rolloutMetrics(sampled), ...timeMetrics(sampled, updating, recorded) };
    figures["perf/memory_peak_bytes"] = model.device.stats().peakBytes;
    Object.assign(figures, curriculumMetrics(config, step), probe.changeMetrics(updateBatch, notes));
    const evidence = this.observe(sampled, figures, step);
    ctx.emit({ type: "step", step, totalSteps: config.steps, metrics: { ...learned, ...figures } });
    appendSamples(ctx, sampled, step);
    showSample(ctx, sampled, step);
    this.parts.diagnosis.observe({ ...learned, ...figures }, step, evidence);
    await this.renewReference();
    const last = step === config.steps;
    const { every } = config.evaluation;
    if (last || (every > 0 && step % every === 0)) await this.evaluate();
    if (last || step % config.checkpoint.every === 0) await this.save();
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
    const { tokenizer, tools } = this.parts;
    const started = performance.now();
    const { model, heldOut, config } = this;
    const result = tools
      ? await evaluateWithTools(model, heldOut, config, tools)
      : evaluatePolicy(model, tokenizer, heldOut, config);
    const seconds = (performance.now() - started) / 1000;
    const metrics = { ...evaluationMetrics(result), "perf/evaluation_seconds": seconds };
    this.ctx.emit({ type: "eval", step: this.step, metrics });
    this.parts.diagnosis.evaluated(metrics, this.step);
    this.latest = { result, step: this.step };
    return result;
  }

  private async save(): Promise<void> {
    const { model, step, ctx } = this;
    const { trainer, cursor, files, references, checkpoints, value } = this.parts;
    savePlans(model.device, ctx);
    ctx.sync();
    this.parts.quarantine.sync();
    const stateful = [trainer, cursor];
    // First, so that the policy's checkpoint is never without one.
    await value?.save(step);
    // The store keeps the checkpoint whose figure is least: here the share of held-out outputs that are wrong.
    const { latest } = this;
    const valLoss = latest?.step === step ? 1 - latest.result.passAtK[1]!.mean : undefined;
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

  /** The outer loop of iterative GRPO: what was learned so far becomes what the KL holds on to. */
  private async renewReference(): Promise<void> {
    const { model, step } = this;
    const { reference, references } = this.parts;
    const { referenceEvery } = this.config.algorithm;
    if (!reference || referenceEvery === 0 || step % referenceEvery !== 0) return;
    await references.save(model, step);
    reference.renew(model);
  }
}

/** The reference of a run's start; none without a KL. */
async function openReference(
  device: Device,
  { algorithm, init, adapter }: GrpoConfig,
  policy: Transformer,
): Promise<ReferencePolicy | undefined> {
  if (algorithm.klCoef === 0) return undefined;
  if (adapter) return adapterReference(policy, adapter.initFrom === "");
  return wholeReference(await loadModel(device, init.checkpoint, {}, INFERENCE_ONLY));
}

const openScorer = (
  rewards: GrpoConfig["rewards"],
  { device }: Transformer,
  tokenizer: Tokenizer,
  ctx: StageContext,
) => makeScorer(rewards, { device, tokenizer, log: (text, level) => ctx.log(text, level) });

/** One row per output in samples.jsonl. */
function appendSamples(ctx: StageContext, { outputs }: Rollout, step: number): void {
  const rows = outputs.map(({ row, discarded }) => {
    const { reward, ...rest } = row;
    const used = discarded ? { discarded } : {};
    return { step, ...rest, reward: reward.total, parts: reward.parts, ...used };
  });
  ctx.samples.appendAll(rows);
}
