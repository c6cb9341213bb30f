// The model under evaluation: checkpoint, tokenizer, engine, and scoring by log-likelihood.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type Batch, ExitCode, NsaError } from "@nsa/core";
import { Tokenizer } from "@nsa/data";
import { openDevice } from "@nsa/kernels";
import {
  Engine,
  type EngineOptions,
  INFERENCE_ONLY,
  loadModel,
  logprobs,
  type Transformer,
} from "@nsa/model";
import { checkVocabulary } from "@nsa/tasks";
import type { EvalConfig } from "./config.ts";

export interface Session {
  model: Transformer;
  tokenizer: Tokenizer;
  engine: Engine;
  config: EvalConfig;
  close(): void;
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

export async function openSession(
  config: EvalConfig,
  options: { device: string; log: (text: string) => void; cancelled: () => boolean },
): Promise<Session> {
  const tokenizer = tokenizerOf(config);
  const device = openDevice(options.device, { threads: config.threads, log: options.log });
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
      cancelled: options.cancelled,
    };
    const engine = new Engine(model, engineOptions);
    return { model, tokenizer, engine, config, close: () => device.close() };
  } catch (error) {
    device.close();
    throw error;
  }
}

/** A batch of whole documents whose targets start after each prompt. */
function packScored(items: readonly { ids: ArrayLike<number>; from: number }[]): Batch {
  const T = items.reduce((n, i) => n + i.ids.length - 1, 0);
  const batch: Batch = {
    tokens: new Int32Array(T),
    targets: new Int32Array(T).fill(-1),
    lossWeight: new Float32Array(T),
    positions: new Int32Array(T),
    cuSeqlens: new Int32Array(items.length + 1),
    sampleIds: new Float64Array(items.length),
  };
  let t = 0;
  for (const [n, { ids, from }] of items.entries()) {
    for (let j = 0; j + 1 < ids.length; j++, t++) {
      batch.tokens[t] = ids[j]!;
      batch.positions[t] = j;
      if (j + 1 >= from) batch.targets[t] = ids[j + 1]!;
    }
    batch.cuSeqlens[n + 1] = t;
  }
  return batch;
}

/** log p of every token from `from` on, nats, per item; packed up to the engine's prefill budget. */
export function scoreTokens(
  session: Session,
  items: readonly { ids: ArrayLike<number>; from: number }[],
): Float64Array[] {
  const out: Float64Array[] = [];
  let pack: { ids: ArrayLike<number>; from: number }[] = [];
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
