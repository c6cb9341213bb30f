// What a run of `nsa grpo` is made of, loaded before its first step or where it is resumed.
import { join } from "node:path";
import {
  ExitCode,
  JsonlFile,
  NsaError,
  parseState,
  runFolderOf,
  type StageContext,
  type Stateful,
} from "@nsa/core";
import { modelFiles, Tokenizer } from "@nsa/data";
import type { OpenTools } from "@nsa/eval";
import type { Collectives, Device } from "@nsa/kernels";
import {
  adapterReference,
  INFERENCE_ONLY,
  loadModel,
  loadWithAdapters,
  type ReferencePolicy,
  resumeCheckpoint,
  type Transformer,
  wholeReference,
} from "@nsa/model";
import { checkVocabulary } from "@nsa/tasks";
import { collectivesOf, Trainer } from "@nsa/train";
import { z } from "zod";
import { makeScorer, type Scorer } from "../../rewards/score.ts";
import type { RolloutStore } from "../../rollouts/store.ts";
import { chatOf } from "../../task/chat.ts";
import { makeProblems, type ProblemSource } from "../../task/problems.ts";
import { openToolsOf } from "../../task/tools.ts";
import type { GrpoConfig } from "./config.ts";
import { curriculumAt } from "./curriculum.ts";
import { factsOf } from "./diagnosis/facts.ts";
import { DiagnosisMonitor } from "./diagnosis/monitor.ts";
import { HackingMonitor } from "./hacking/monitor.ts";
import { RewardRetraining } from "./iterations/retraining.ts";
import { openRollouts } from "./recorder.ts";
import { ReferenceStore } from "./reference-store.ts";
import { ValueModel } from "./value/value-model.ts";

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

/** What a run is made of before its first step. */
export interface GrpoParts {
  model: Transformer;
  tokenizer: Tokenizer;
  trainer: Trainer;
  /** Ranks that share the questions and the updates of each step. */
  collectives: Collectives;
  problems: ProblemSource;
  scorer: Scorer;
  /** What outputs may call; none where the recipe has no environment. */
  tools: OpenTools | undefined;
  /** Retrains the reward model after each iteration; none where the recipe does not. */
  retraining: RewardRetraining | undefined;
  /** PPO's; none for advantages that compare outputs. */
  value: ValueModel | undefined;
  /** The model that the KL term compares the policy with; none without that term. */
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

/** Throws NsaError `ranks_unsupported` (exit 4). */
function refuseRetraining({ iterations }: GrpoConfig, { ranks }: StageContext): void {
  if (!ranks || !iterations?.rewardModel) return;
  throw new NsaError({
    code: "ranks_unsupported",
    what: "nsa grpo --ranks with iterations.reward_model",
    why: "retraining the reward model between iterations is not shared out over ranks",
    fix: "leave out --ranks, or remove iterations.reward_model",
    exitCode: ExitCode.unavailable,
  });
}

/** Loads the models, the problems and, where the context names one, the checkpoint to resume. */
export async function openParts(device: Device, config: GrpoConfig, ctx: StageContext): Promise<GrpoParts> {
  refuseRetraining(config, ctx);
  const { algorithm } = config;
  const init = config.init.checkpoint;
  const { adapter, seed, train } = config;
  const head = config.value?.shared ? { head: "lm_scalar" } : {};
  const model = await loadWithAdapters(device, init, adapter, { ...head, groups: train.groups, seed });
  const tokenizer = Tokenizer.load(join(init, "tokenizer.json"));
  const files = modelFiles(init);
  checkVocabulary(tokenizer, model, init);
  const collectives = collectivesOf(ctx, device);
  const trainer = new Trainer(model, config.steps, config.train, collectives);
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
  const references = new ReferenceStore(join(runFolderOf(ctx), "reference"));
  const cursor = new QuestionCursor();
  // Before the checkpoint is loaded: the reference of the start is the policy as the stage found it.
  const reference = await openReference(device, config, model);
  let step = 0;
  if (ctx.resumeFrom) {
    const saved = { model, optimizer: trainer.optimizer, stateful: [trainer, cursor] };
    step = (await resumeCheckpoint(ctx.resumeFrom, saved, ctx)).step;
  }
  quarantine.truncateToStep(step);
  const value = await ValueModel.open({ config, ctx, device, policy: model, collectives }, step);
  const retraining = RewardRetraining.open({ config, ctx, device, tokenizer }, step);
  const rewards = retraining?.rewards(step) ?? config.rewards;
  const scorer = await openScorer(rewards, { model, tokenizer, collectives }, ctx);
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
  return { model, tokenizer, trainer, collectives, reference, ...data, ...kept };
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

export const openScorer = (
  rewards: GrpoConfig["rewards"],
  { model: { device }, tokenizer, collectives }: Pick<GrpoParts, "model" | "tokenizer" | "collectives">,
  ctx: StageContext,
) =>
  makeScorer(
    rewards,
    { device, tokenizer, log: (text, level) => ctx.log(text, level), interrupted: () => ctx.interrupted() },
    collectives,
  );
