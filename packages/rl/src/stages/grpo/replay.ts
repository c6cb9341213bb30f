// `nsa replay`: makes a recorded step's update again from disk, and computes what another reward would have changed.
//
// It begins at the newest kept checkpoint before the step (or at the run's first policy), applies the recorded steps in between without
// sampling anything, and checks the weights and each gradient against the fingerprints of the run. All of it goes through the same code
// as the run's own updates, so on the same machine every bit is equal.
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ExitCode, holdsWeights, NsaError } from "@nsa/core";
import { Tokenizer } from "@nsa/data";
import { wholeIds } from "@nsa/eval";
import { type Device, fingerprint, openDevice, openPlans } from "@nsa/kernels";
import { loadCheckpoint, loadModel, loadWithAdapters, saveCheckpoint, type Transformer } from "@nsa/model";
import { Trainer } from "@nsa/train";
import { type RecordedStep, rewardOf } from "../../rollouts/record.ts";
import { corrupt, type RolloutStore } from "../../rollouts/store.ts";
import { type PolicySample, policyStep } from "./batch.ts";
import type { GrpoConfig } from "./config.ts";
import { withIterations } from "./iterations/plan.ts";
import { isOnPolicy, klRewards, type UpdateBatch } from "./learn.ts";
import { grpoLoss } from "./loss.ts";
import { openRollouts, weightsFingerprint } from "./recorder.ts";
import { changedReward, checkChanges, type RewardChange } from "./reward-change.ts";
import { rewardsByToken } from "./rollout.ts";
import { lossOf, supportLossOf, update } from "./update.ts";
import { setAdvantages } from "./value/apply.ts";
import type { ValueModel } from "./value/value-model.ts";

export interface ReplayOptions {
  runDir: string;
  step: number;
  device: string;
  /** Other rewards to compare with; none: the update alone. */
  changes: readonly RewardChange[];
  log: (text: string, level?: "info" | "warn") => void;
  /** The recipe that was in force at a step, the same object for steps of one recipe; by default one for all. */
  recipeAt?: (step: number) => GrpoConfig | Promise<GrpoConfig>;
}

/** Options with the recipe of each step, which is asked for at the steps on the way alone. */
type Resolved = Omit<ReplayOptions, "recipeAt"> & { recipeAt: (step: number) => Promise<GrpoConfig> };

/** An output under the run's reward and under the other one. */
export interface ChangedOutput {
  output: number;
  group: number;
  reward: number | null;
  newReward: number | null;
  /** Means over the output's tokens. */
  advantage: number;
  newAdvantage: number;
  completion: string;
}

export interface ReplayResult {
  step: number;
  /** Step of the checkpoint that the replay began at; 0 is the run's first policy. */
  from: number;
  /** Fingerprints of the step's gradients: equal to the run's own. */
  gradients: string[];
  /** Fingerprint of the weights after the step: equal to the run's own. */
  weights: string;
  /** Norm of the gradient of the whole step at the weights before it. */
  norm: number;
  changed?: { norm: number; cosine: number; outputs: ChangedOutput[] };
}

/** Steps with a checkpoint that can be loaded, ascending. */
function checkpointSteps(runDir: string): number[] {
  const dir = join(runDir, "checkpoints");
  const names = existsSync(dir) ? readdirSync(dir) : [];
  const steps = names
    .filter((name) => /^step-\d+$/.test(name) && existsSync(join(dir, name, "state.json")))
    .map((name) => Number(name.slice(5)));
  return steps.sort((a, b) => a - b);
}

/**
 * Newest checkpoint from which the step can be replayed, or the first policy (0) where it is still there. Throws NsaError
 * `replay_too_early` (exit 3).
 */
async function startOf(store: RolloutStore, { runDir, step, recipeAt }: Resolved): Promise<number> {
  const recorded = new Set(store.steps());
  const checkpoints = checkpointSteps(runDir);
  const start = checkpoints.filter((c) => c < step).at(-1);
  const whole = (from: number, to: number) => {
    for (let s = from + 1; s <= to; s++) if (!recorded.has(s)) return false;
    return true;
  };
  if (start !== undefined && whole(start, step)) return start;
  if (holdsWeights((await recipeAt(1)).init.checkpoint)) checkpoints.unshift(0);
  if (start === undefined && checkpoints[0] === 0 && whole(0, step)) return 0;
  const earliest = checkpoints.map((c) => c + 1).find((s) => recorded.has(s));
  const list = checkpoints.join(", ") || "none";
  const steps = [...recorded];
  throw new NsaError({
    code: "replay_too_early",
    what: `step ${step} cannot be replayed`,
    why:
      `a replay begins at a checkpoint before the step and needs the outputs of all steps from there on; checkpoints of steps: ${list}; ` +
      `recorded outputs: ${steps.length > 0 ? `steps ${steps[0]} to ${steps.at(-1)}` : "none"}`,
    fix:
      earliest === undefined
        ? "no step of this run can be replayed: run it with rollout.keep_rollouts and checkpoint.keep_last large enough"
        : `the earliest step that can be replayed is ${earliest}`,
    exitCode: ExitCode.data,
  });
}

/** The recorded outputs as what the update learns from. */
interface ReplayedBatch extends UpdateBatch {
  /** Also those without a weight: all that were not discarded. */
  all: PolicySample[];
  /** Their numbers in the step. */
  outputs: number[];
}

function batchOf(record: RecordedStep, config: GrpoConfig): ReplayedBatch {
  const outputs = record.outputs.flatMap(({ discarded }, i) => (discarded ? [] : [i]));
  const onPolicy = isOnPolicy(config.algorithm);
  const all = outputs.map((i, id): PolicySample => {
    const t = record.tokens[i]!;
    return {
      prompt: record.outputs[i]!.prompt_ids,
      ids: Array.from(t.ids),
      ...(t.inserts ? { inserts: t.inserts } : {}),
      weight: t.weight,
      advantage: Float32Array.from(t.advantage),
      ...(onPolicy ? {} : { oldLogp: t.oldLogp }),
      ...(t.refLogp ? { refLogp: t.refLogp } : {}),
      ...(t.returns ? { oldValue: t.oldValue!, returns: t.returns } : {}),
      samplerLogp: Array.from(t.samplerLogp),
      ...(t.kept ? { kept: t.kept } : {}),
      id,
    };
  });
  const samples = all.filter((s) => s.weight > 0);
  return { samples, weightSum: record.weightSum, metrics: {}, all, outputs };
}

interface Gradient {
  values: Float64Array;
  fingerprint: string;
}

/** The gradient of the whole step at the current weights, which stay as they are. Zeros where a value model warms up alone. */
function gradientOf(
  trainer: Trainer,
  { samples, weightSum }: UpdateBatch,
  config: GrpoConfig,
  step: number,
): Gradient {
  const { parameters, device } = trainer.model;
  using _ = device.scope();
  parameters.zeroGradients();
  const totalTokens = samples.reduce((n, s) => n + s.ids.length, 0);
  const support = supportLossOf(trainer.model, samples, config);
  const policy = grpoLoss(config.algorithm, {
    onPolicy: isOnPolicy(config.algorithm),
    totalTokens,
    support,
  });
  const loss = lossOf(config, policy, step <= (config.value?.warmupSteps ?? 0));
  const { temperature } = config.rollout;
  const batch = policyStep(samples, config.microBatchTokens, weightSum);
  if (loss)
    for (const micro of batch.microBatches)
      trainer.microSteps.run(micro, { weightSum: batch.weightSum, loss, temperature }, () => {});
  const gradients = parameters.gradients!;
  return { values: gradients.read() as Float64Array, fingerprint: fingerprint(gradients) };
}

const dot = (a: Float64Array, b: Float64Array) => {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
};

/** The outputs that were not discarded under the changed rewards: their sums, and what the update would learn from. */
function changedBatch(
  record: RecordedStep,
  { all, outputs }: ReplayedBatch,
  tokenizer: Tokenizer,
  config: GrpoConfig,
  changes: readonly RewardChange[],
): { totals: number[]; all: PolicySample[] } {
  const { algorithm: a } = config;
  const rewards = outputs.map((i) =>
    changedReward(record.outputs[i]!, rewardOf(record.outputs[i]!), config, changes),
  );
  let byToken = outputs.map((i, n) =>
    rewardsByToken(tokenizer, record.outputs[i]!.group, all[n]!, rewards[n]!),
  );
  if (a.klPlacement === "reward" && a.klCoef > 0) byToken = klRewards(all, byToken, a).rewards;
  const changed = all.map((s) => ({ ...s }));
  // The values of the step are on disk.
  const recorded = {
    valuesOf: (samples: readonly PolicySample[]) => samples.map((s) => Array.from(s.oldValue!)),
  };
  setAdvantages(changed, byToken, config, config.value ? (recorded as unknown as ValueModel) : undefined);
  return { totals: rewards.map(({ total }) => total), all: changed };
}

const mean = (values: ArrayLike<number>) =>
  Array.from(values).reduce((sum, x) => sum + x, 0) / Math.max(1, values.length);
const finite = (x: number) => (Number.isFinite(x) ? x : null);

/** Model and trainer as a run with this recipe has them behind a checkpoint, or at its first policy where there is none. */
async function openTrainer(device: Device, config: GrpoConfig, folder: string | undefined): Promise<Trainer> {
  const head = config.value?.shared ? ({ head: "lm_scalar" } as const) : {};
  const { adapter, init, seed, train } = config;
  const { groups } = train;
  // A checkpoint of the run has its adapters; the first policy gets new ones.
  const model = folder
    ? await loadModel(device, folder, head, groups, seed)
    : await loadWithAdapters(device, init.checkpoint, adapter, { ...head, groups, seed });
  const trainer = new Trainer(model, config.steps, train);
  if (folder) await loadCheckpoint(folder, { model, optimizer: trainer.optimizer, stateful: [trainer] });
  return trainer;
}

class Replay {
  private constructor(
    private readonly device: Device,
    private config: GrpoConfig,
    private readonly options: Resolved,
    private readonly store: RolloutStore,
    private trainer: Trainer,
    private readonly from: number,
  ) {}

  private get model(): Transformer {
    return this.trainer.model;
  }

  static async open(device: Device, options: Resolved): Promise<Replay> {
    const { runDir, step, changes, recipeAt } = options;
    const present = await recipeAt(step);
    const store = openRollouts(runDir, present);
    const from = await startOf(store, options);
    checkChanges(store.rows(step), present, changes, step);
    const folder =
      from > 0 ? join(runDir, "checkpoints", `step-${String(from).padStart(6, "0")}`) : undefined;
    const config = await recipeAt(from + 1);
    return new Replay(device, config, options, store, await openTrainer(device, config, folder), from);
  }

  /** Goes on with the recipe that the run was resumed with after step `done`, by way of a checkpoint as the run did. */
  private async changeRecipe(config: GrpoConfig, done: number): Promise<void> {
    const { trainer, device, model } = this;
    const root = mkdtempSync(join(tmpdir(), "nsa-replay-"));
    try {
      const folder = join(root, "checkpoint");
      const { optimizer } = trainer;
      await saveCheckpoint(folder, { model, optimizer, stateful: [trainer], step: done });
      trainer.free();
      model.free();
      this.trainer = await openTrainer(device, config, folder);
      this.config = config;
    } finally {
      rmSync(root, { recursive: true, force: true });
    }
  }

  /** The step's record; the weights are those that it was recorded with. Throws NsaError `replay_differs` (exit 3). */
  private recordOf(step: number): RecordedStep {
    const record = this.store.read(step);
    this.refuseForeignIds(record);
    this.compare(step, "weights before it", [weightsFingerprint(this.model)], [record.weightsBefore]);
    return record;
  }

  /** Throws NsaError `rollout_corrupt` (exit 3) where an id is none of the model's. */
  private refuseForeignIds({ step, outputs, tokens }: RecordedStep): void {
    const { vocabSize } = this.model.config;
    const foreign = (ids: ArrayLike<number>) => Array.from(ids).find((id) => id < 0 || id >= vocabSize);
    for (const [i, { prompt_ids, output }] of outputs.entries()) {
      const inPrompt = foreign(prompt_ids);
      const id = inPrompt ?? foreign(wholeIds(tokens[i]!));
      if (id === undefined) continue;
      const row = `${this.store.dir}, step ${step}: output ${output}`;
      const where = inPrompt === undefined ? "ids" : "prompt_ids";
      throw corrupt(row, `${where} holds ${id}, and the model has ${vocabSize} ids`);
    }
  }

  private compare(step: number, what: string, got: readonly string[], recorded: readonly string[]): void {
    if (got.length === recorded.length && got.every((x, i) => x === recorded[i])) return;
    throw new NsaError({
      code: "replay_differs",
      what: `step ${step}: the ${what} are not those of the run`,
      why: `fingerprints ${got.join(", ")}, the run recorded ${recorded.join(", ")}`,
      fix: "replay on the machine, device and version that the run was made with; see its env.json",
      exitCode: ExitCode.data,
    });
  }

  /** Applies the recorded updates of a step. */
  private apply(record: RecordedStep, batch: UpdateBatch): string {
    const { trainer, config, model } = this;
    const gradients: string[] = [];
    update(trainer, batch, config, { step: record.step, notes: { oldLogp: new Map(), gradients } });
    this.compare(record.step, "gradients", gradients, record.gradients);
    const after = weightsFingerprint(model);
    this.compare(record.step, "weights after it", [after], [record.weightsAfter]);
    return after;
  }

  async run(): Promise<ReplayResult> {
    const { options, from } = this;
    const { step, changes, recipeAt } = options;
    for (let s = from + 1; s < step; s++) {
      const record = this.recordOf(s);
      this.apply(record, batchOf(record, this.config));
      options.log(`step ${s} applied`);
      const next = await recipeAt(s + 1);
      if (next !== this.config) await this.changeRecipe(next, s);
    }
    const { config, trainer } = this;
    const record = this.recordOf(step);
    const batch = batchOf(record, config);
    const own = gradientOf(trainer, batch, config, step);
    const norm = Math.sqrt(dot(own.values, own.values));
    const changed = changes.length > 0 ? this.changed(record, batch, own, norm) : undefined;
    const weights = this.apply(record, batch);
    return { step, from, gradients: record.gradients, weights, norm, ...(changed ? { changed } : {}) };
  }

  private changed(
    record: RecordedStep,
    batch: ReplayedBatch,
    own: Gradient,
    norm: number,
  ): NonNullable<ReplayResult["changed"]> {
    const { config, options, trainer } = this;
    const tokenizer = Tokenizer.load(join(config.init.checkpoint, "tokenizer.json"));
    const { totals, all } = changedBatch(record, batch, tokenizer, config, options.changes);
    const samples = all.filter((s) => s.weight > 0);
    const other = gradientOf(trainer, { ...batch, samples }, config, record.step);
    const otherNorm = Math.sqrt(dot(other.values, other.values));
    const outputs = batch.outputs.map((i, n): ChangedOutput => {
      const { output, group, reward, completion } = record.outputs[i]!;
      return {
        ...{ output, group, reward, newReward: finite(totals[n]!), completion },
        advantage: mean(batch.all[n]!.advantage),
        newAdvantage: mean(all[n]!.advantage),
      };
    });
    // A gradient of zeros has no direction.
    const cosine = norm > 0 && otherNorm > 0 ? dot(own.values, other.values) / (norm * otherNorm) : 0;
    return { norm: otherNorm, cosine, outputs };
  }
}

/**
 * Replays one step, each step on the way with the recipe that was in force at it. Throws NsaError `replay_too_early`, `replay_differs`, those of checkpoints and of the rollout store (exit 3), and
 * `reward_unknown` (exit 2).
 */
export async function replayStep(recipe: GrpoConfig, options: ReplayOptions): Promise<ReplayResult> {
  const config = withIterations(recipe);
  const resolved = new Map([[recipe, config]]);
  const recipeAt = async (step: number) => {
    const found = (await options.recipeAt?.(step)) ?? recipe;
    if (!resolved.has(found)) resolved.set(found, withIterations(found));
    return resolved.get(found)!;
  };
  const device = openDevice(options.device, {
    memoryLimitMb: config.memoryLimitMb,
    log: (text) => options.log(text),
  });
  try {
    openPlans(device, { runDir: options.runDir, log: options.log });
    return await (await Replay.open(device, { ...options, recipeAt })).run();
  } finally {
    device.close();
  }
}
