// `nsa dpo`: the policy learns from preferences, of files or of its own outputs; resumable bit for bit.
//
// 1. Open policy and reference, read or prepare the pairs. 2. Each step: pairs, the reference's log-probabilities, one update; online
// pairs are sampled and scored first. 3. Held-out pairs (offline) or questions (online) are measured on the way.
import { join } from "node:path";
import { counted, JsonlFile, type Metrics, type StageContext, type StageResult } from "@nsa/core";
import { modelFiles, Tokenizer } from "@nsa/data";
import { type Device, openPlans } from "@nsa/kernels";
import { loadWithAdapters, type ReferencePolicy, type Transformer } from "@nsa/model";
import { type ChatTemplate, chatTemplateOf, checkVocabulary } from "@nsa/tasks";
import {
  chatFiles,
  collectivesOf,
  openStageDevice,
  runTraining,
  Trainer,
  type TrainingRun,
} from "@nsa/train";
import { makeScorer } from "../../rewards/score.ts";
import { chatOf, withChatStops } from "../../task/chat.ts";
import { heldOutProblems, makeProblems } from "../../task/problems.ts";
import { evaluatePolicy } from "../grpo/evaluate.ts";
import { evaluationMetrics } from "../grpo/watch.ts";
import { checkDpo, type DpoConfig } from "./config.ts";
import { heldOutMetrics } from "./held-out.ts";
import { dpoLoss } from "./loss.ts";
import { OfflinePairs } from "./offline.ts";
import { OnlinePairs } from "./online.ts";
import { pairBatch, positionsOf, splitPairs } from "./pair.ts";
import { readPairs, splitHeldOut } from "./read-pairs.ts";
import { fillReference, loadReference } from "./reference.ts";

/** What both kinds of run begin with. */
interface Opened {
  config: DpoConfig;
  ctx: StageContext;
  policy: Transformer;
  reference: ReferencePolicy;
  tokenizer: Tokenizer;
  trainer: Trainer;
}

/** What differs between pairs of files and pairs of the policy's own outputs. */
type PairRun = Pick<TrainingRun, "source" | "evaluate" | "stepMetrics" | "files" | "sequenceLength"> & {
  /** Ends what the rewards have opened. */
  close?: () => Promise<void>;
};

/** Runs the stage; resumes exactly when the context names a checkpoint. */
export async function runDpo(config: DpoConfig, ctx: StageContext): Promise<StageResult> {
  checkDpo(config);
  const device = openStageDevice(ctx, config);
  try {
    openPlans(device, ctx);
    return await train(device, config, ctx);
  } finally {
    device.close();
  }
}

async function train(device: Device, config: DpoConfig, ctx: StageContext): Promise<StageResult> {
  const { init, adapter, train: settings, seed } = config;
  const tokenizer = Tokenizer.load(join(init.checkpoint, "tokenizer.json"));
  const policy = await loadWithAdapters(device, init.checkpoint, adapter, {
    groups: settings.groups,
    seed,
  });
  checkVocabulary(tokenizer, policy, init.checkpoint);
  const reference = await loadReference(device, config, policy);
  const { optimizer, schedule, recompute, logitsBudgetMb, skipZScore, shareState } = settings;
  const trained = { optimizer, schedule, recompute, logitsBudgetMb, skipZScore, shareState };
  const trainer = new Trainer(policy, settings.steps, trained, collectivesOf(ctx, device));
  const opened = { config, ctx, policy, reference, tokenizer, trainer };
  const run = config.pairs === "offline" ? offlineRun(opened) : await onlineRun(opened);
  const loss = dpoLoss(config);
  const { close, ...pairs } = run;
  try {
    return await runTraining(
      { trainer, loss, config: settings, validation: [], evaluateFirst: true, ...pairs },
      ctx,
    );
  } finally {
    await close?.();
  }
}

function offlineRun({ config, ctx, policy, reference, tokenizer }: Opened): PairRun {
  const { data, init, train: settings, seed } = config;
  const { microBatchTokens, pairsPerStep } = settings;
  let template: ChatTemplate | undefined;
  const chat = () => {
    template ??= chatTemplateOf(init.checkpoint, data.chatTemplate);
    return template;
  };
  const warn = (text: string) => ctx.log(text, "warn");
  const read = readPairs(config, { tokenizer, chat, maxSeqLen: policy.config.maxSeqLen, warn });
  const { train: pairs, heldOut } = splitHeldOut(read.pairs, config);
  ctx.log(`${counted(pairs.length, "pair")}, ${heldOut.length} held out`);
  if (read.sampledQuestions > 0)
    ctx.log(
      `${read.withoutPair} of ${read.sampledQuestions} sampled questions have no right or no wrong output and give no pair`,
    );
  const batches = splitPairs(heldOut, microBatchTokens).map((group) =>
    fillReference(reference, pairBatch(group)),
  );
  return {
    source: new OfflinePairs(pairs, reference, { pairsPerStep, microBatchTokens, seed }),
    files: template ? chatFiles(init.checkpoint, tokenizer, template) : modelFiles(init.checkpoint),
    sequenceLength: pairs.reduce((sum, pair) => sum + positionsOf(pair), 0) / (2 * pairs.length),
    ...(batches.length > 0 ? { evaluate: () => heldOutMetrics(policy, batches, config) } : {}),
  };
}

async function onlineRun(opened: Opened): Promise<PairRun> {
  const { ctx, policy, reference, tokenizer, trainer } = opened;
  const chat = chatOf(opened.config.init.checkpoint);
  const config = {
    ...opened.config,
    rollout: withChatStops(opened.config.task, opened.config.rollout, chat),
  };
  const { init, evaluation, rollout } = config;
  const problems = makeProblems(config, {
    encode: (text) => tokenizer.encode(text),
    chat,
    maxSeqLen: policy.config.maxSeqLen,
    log: (text, level) => ctx.log(text, level),
  });
  const { collectives } = trainer;
  const log = (text: string, level?: "info" | "warn") => ctx.log(text, level);
  const interrupted = () => ctx.interrupted();
  const environment = { device: policy.device, tokenizer, log, interrupted };
  const scorer = await makeScorer(config.rewards, environment, collectives);
  const quarantine = new JsonlFile(join(ctx.runDir, "quarantine.jsonl"));
  // A run that was killed before its first checkpoint begins again; a resumed one cuts the file when the source is loaded.
  if (!ctx.resumeFrom) quarantine.truncateToStep(0);
  const stepsDone = () => trainer.stepsDone;
  const source = new OnlinePairs(
    { policy, reference, tokenizer, problems, scorer, quarantine, stepsDone, collectives },
    config,
    ctx,
  );
  const heldOut = heldOutProblems(problems, evaluation.questions);
  return {
    source,
    files: modelFiles(init.checkpoint),
    sequenceLength: problems.train(0).prompt.length + rollout.maxTokens,
    evaluate: (): Metrics =>
      evaluationMetrics(evaluatePolicy(policy, tokenizer, heldOut, config, collectives)),
    stepMetrics: () => source.metrics,
    close: () => scorer.close(),
  };
}
