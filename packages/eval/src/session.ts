// The model under evaluation: checkpoint, tokenizer, engine, and scoring by log-likelihood.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { ExitCode, NsaError, packBatch, type StageContext } from "@nsa/core";
import { Tokenizer } from "@nsa/data";
import { type Collectives, type Device, shareLengths } from "@nsa/kernels";
import {
  Engine,
  type EngineOptions,
  INFERENCE_ONLY,
  loadModel,
  logprobs,
  RewardModel,
  type Transformer,
} from "@nsa/model";
import {
  asksInChat,
  type ChatTemplate,
  chatTemplateOf,
  checkVocabulary,
  environmentSchema,
} from "@nsa/tasks";
import { gatherValues, openStageDevice } from "@nsa/train";
import type { EvalConfig } from "./config.ts";
import { type OpenTools, openTools } from "./trajectories/tools.ts";

export interface Session {
  model: Transformer;
  tokenizer: Tokenizer;
  engine: Engine;
  /** The checkpoint's chat template. */
  chat: () => ChatTemplate;
  /** Scores answers where the recipe names one. */
  rewardModel?: RewardModel;
  /** For entries with format tool. */
  tools?: OpenTools;
  config: EvalConfig;
  /** Ranks that share the questions of a step; each gets all rows. */
  collectives: Collectives;
  close(): void;
}

/** Rows of all questions, in their order, on every rank; each rank answers a stretch of them, of which the first has the number `first`. */
export async function shareQuestions<T, R>(
  { collectives }: Pick<Session, "collectives">,
  questions: readonly T[],
  first: number,
  rows: (own: readonly T[], first: number) => R[] | Promise<R[]>,
): Promise<R[]> {
  const { rank, world } = collectives;
  if (world === 1) return await rows(questions, first);
  const lengths = shareLengths(questions.length, world);
  const from = lengths.slice(0, rank).reduce((a, b) => a + b, 0);
  const own = questions.slice(from, from + lengths[rank]!);
  return gatherValues(collectives, own.length > 0 ? await rows(own, first + from) : []).flat();
}

/** The tokenizer of a checkpoint. Throws NsaError `tokenizer_missing`, `tokenizer_mismatch` (exit 3). */
function tokenizerOf(config: EvalConfig): Tokenizer {
  const own = join(config.checkpoint, "tokenizer.json");
  const tokenizer = Tokenizer.load(config.tokenizer ?? own);
  if (config.tokenizer && existsSync(own) && Tokenizer.load(own).hash !== tokenizer.hash) {
    throw new NsaError({
      code: "tokenizer_mismatch",
      what: `${config.tokenizer} is not the tokenizer of ${config.checkpoint}`,
      why: "the checkpoint folder holds another tokenizer.json; ids would mean other texts",
      fix: "leave out `tokenizer`",
      exitCode: ExitCode.data,
    });
  }
  return tokenizer;
}

/** Throws NsaError `reward_model_kind` (exit 4) for a process reward model, and as `RewardModel.open`. */
async function openRewardModel(
  device: Device,
  { rewardModel: checkpoint }: EvalConfig,
  tokenizer: Tokenizer,
): Promise<{ rewardModel?: RewardModel }> {
  if (checkpoint === undefined) return {};
  const rewardModel = await RewardModel.open(device, checkpoint, tokenizer.hash);
  if (rewardModel.file.kind === "outcome") return { rewardModel };
  throw new NsaError({
    code: "reward_model_kind",
    what: `the reward model ${checkpoint} scores steps`,
    why: "answers are ranked by one number each, and how numbers of steps become one is not built",
    fix: "name a reward model of kind outcome",
    exitCode: ExitCode.unavailable,
  });
}

/** The environment of the recipe where an entry uses tools; its questions are asked as they all are. Throws NsaError `tools_asked_apart` (exit 2). */
async function toolsOf(
  config: EvalConfig,
  tokenizer: Tokenizer,
  chat: () => ChatTemplate,
): Promise<{ tools?: OpenTools }> {
  const entries = config.tasks.flatMap((task) => ("format" in task && task.format === "tool" ? [task] : []));
  if (entries.length === 0) return {};
  const inChat = entries.map(({ template }) => template !== undefined && asksInChat(template));
  if (new Set(inChat).size > 1)
    throw new NsaError({
      code: "tools_asked_apart",
      what: "entries with format tool, some of them in the chat template",
      why: "tools are called in one way in a recipe: by the chat template, or by fences",
      fix: "measure them in two recipes",
      exitCode: ExitCode.usage,
    });
  const { timeoutMs, memoryMb, parallel, backend, unsafeExec } = config.sandbox;
  const turns = Math.max(...entries.map((task) => (task.kind === "problems" ? task.maxTurns : 4)));
  const own = environmentSchema.parse({ timeoutMs, memoryMb, parallel, maxTurns: turns });
  const options = { tokenizer, sandbox: { backend, unsafeExec }, ...(inChat[0] ? { chat } : {}) };
  return { tools: await openTools(config.environment ?? own, options) };
}

export async function openSession(
  config: EvalConfig,
  context: Pick<StageContext, "ranks" | "parallel" | "device" | "log" | "interrupted">,
  collectives: Collectives,
): Promise<Session> {
  const tokenizer = tokenizerOf(config);
  const device = openStageDevice(context, { threads: config.threads });
  try {
    const overrides = config.maxSeqLen ? { maxSeqLen: config.maxSeqLen } : {};
    const model = await loadModel(device, config.checkpoint, overrides, INFERENCE_ONLY);
    checkVocabulary(tokenizer, model, config.checkpoint);
    const { maxSequences, cacheTokens, prefillTokens } = config.engine;
    const engineOptions: EngineOptions = {
      maxSequences,
      cacheTokens,
      prefillTokens,
      decode: (ids) => tokenizer.decode(ids),
      cancelled: () => context.interrupted(),
    };
    const engine = new Engine(model, engineOptions);
    const rewardModel = await openRewardModel(device, config, tokenizer);
    const { tools } = await toolsOf(config, tokenizer, () => chatTemplateOf(config.checkpoint));
    const chat = () => tools?.chat?.() ?? chatTemplateOf(config.checkpoint);
    const close = () => {
      tools?.close();
      device.close();
    };
    const opened = { model, tokenizer, engine, chat, config, collectives, close };
    return { ...opened, ...rewardModel, ...(tools ? { tools } : {}) };
  } catch (error) {
    device.close();
    throw error;
  }
}

interface ScoredItem {
  ids: ArrayLike<number>;
  /** Tokens of the prompt: the first id that is scored. */
  from: number;
}

/** A batch of whole documents whose targets start after each prompt; nothing is trained, so all weights are 0. */
const packScored = (items: readonly ScoredItem[]) =>
  packBatch(items.map(({ ids, from }) => ({ ids, weight: 0, isTarget: (index) => index >= from })));

/** log p of every token from `from` on, nats, per item; packed up to the engine's prefill budget. */
export function scoreTokens(session: Session, items: readonly ScoredItem[]): Float64Array[] {
  const out: Float64Array[] = [];
  let pack: ScoredItem[] = [];
  let size = 0;
  const flush = () => {
    if (pack.length === 0) return;
    const batch = packScored(pack);
    const { logp } = logprobs(session.model, batch);
    for (const [n, { ids, from }] of pack.entries()) {
      const start = batch.cuSeqlens[n]!;
      out.push(logp.slice(start + from - 1, start + ids.length - 1));
    }
    pack = [];
    size = 0;
  };
  for (const item of items) {
    if (size > 0 && size + item.ids.length > session.config.engine.prefillTokens) flush();
    pack.push(item);
    size += item.ids.length;
  }
  flush();
  return out;
}
