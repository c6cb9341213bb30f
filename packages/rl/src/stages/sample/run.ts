// `nsa sample`: outputs of a checkpoint for the questions of a task, or roll-outs from the steps of earlier outputs.
//
// The work is done in batches: each is sampled by one call of the engine, scored, and written to samples.jsonl (and pool.jsonl, one
// row a question). Then the number of questions done is written as a checkpoint. A resumed run cuts both files back to it, so that
// no row is lost or doubled. An output's random numbers are keyed by seed, question and output: batches of any size give the same rows.
import { existsSync } from "node:fs";
import { join } from "node:path";
import {
  atomicWriteFile,
  ExitCode,
  JsonlFile,
  markProgress,
  NsaError,
  progressFields,
  readProgress,
  type StageContext,
  type StageResult,
  turn,
  unlessInterrupted,
} from "@nsa/core";
import { Tokenizer } from "@nsa/data";
import { type Device, openPlans, savePlans } from "@nsa/kernels";
import { Engine, INFERENCE_ONLY, loadModel } from "@nsa/model";
import { checkVocabulary } from "@nsa/tasks";
import { anyRank, collectivesOf, openStageDevice } from "@nsa/train";
import { z } from "zod";
import { makeScorer } from "../../rewards/score.ts";
import { chatOf, withChatStops } from "../../task/chat.ts";
import { makeProblems } from "../../task/problems.ts";
import { openToolsOf } from "../../task/tools.ts";
import { writeCollected } from "./collected.ts";
import { checkSample, type SampleConfig } from "./config.ts";
import { measuredParts, PARTS_FILE } from "./held-out.ts";
import { taskWork } from "./outputs.ts";
import { stepWork } from "./rollouts.ts";
import { addTally, type Tally } from "./tally.ts";
import type { Batch, Sampler, Work } from "./work.ts";

export async function runSample(config: SampleConfig, ctx: StageContext): Promise<StageResult> {
  checkSample(config);
  const device = openStageDevice(ctx, config);
  try {
    openPlans(device, ctx);
    const sampling = withChatStops(config.task, config.sampling, chatOf(config.init.checkpoint));
    const run = await SampleRun.open(device, { ...config, sampling }, ctx);
    try {
      return await run.finish(await run.sampleAll());
    } finally {
      await run.close();
    }
  } finally {
    device.close();
  }
}

async function openSampler(device: Device, config: SampleConfig, ctx: StageContext): Promise<Sampler> {
  const { checkpoint } = config.init;
  const model = await loadModel(device, checkpoint, {}, INFERENCE_ONLY);
  const tokenizer = Tokenizer.load(join(checkpoint, "tokenizer.json"));
  checkVocabulary(tokenizer, model, checkpoint);
  const collectives = collectivesOf(ctx);
  const engine = new Engine(model, {
    ...config.engine,
    decode: (ids) => tokenizer.decode(ids),
    cancelled: () => ctx.interrupted(),
  });
  const log = (text: string, level?: "info" | "warn") => ctx.log(text, level);
  const stopped = () => ctx.interrupted();
  const environment = { device, tokenizer, log, interrupted: stopped };
  const scorer = await makeScorer(config.rewards, environment, collectives);
  const tools = await openToolsOf(config, tokenizer);
  const interrupted = () => anyRank(collectives, ctx.interrupted());
  return { config, engine, tokenizer, scorer, tools, collectives, log, interrupted };
}

function openWork(sampler: Sampler): Work {
  const { config, tokenizer, engine } = sampler;
  if (config.prompts.from === "steps") return stepWork(sampler);
  const asking = {
    encode: (text: string) => tokenizer.encode(text),
    chat: sampler.tools?.chat ?? chatOf(config.init.checkpoint),
    maxSeqLen: engine.model.config.maxSeqLen,
    log: sampler.log,
  };
  return taskWork(sampler, makeProblems(config, asking));
}

/** What a checkpoint of the run holds. */
interface SampleState {
  /** Questions done, of how many. */
  step: number;
  total: number;
  tally: Tally;
}

const stateSchema = z.strictObject({
  ...progressFields,
  total: z.number().int().min(0),
  tally: z.record(z.string(), z.number()),
});

class SampleRun {
  private readonly pool: JsonlFile;

  private constructor(
    private readonly device: Device,
    private readonly sampler: Sampler,
    private readonly work: Work,
    private readonly ctx: StageContext,
    private readonly state: SampleState,
  ) {
    this.pool = new JsonlFile(join(ctx.runDir, "pool.jsonl"));
    this.pool.truncateToStep(state.step);
  }

  static async open(device: Device, config: SampleConfig, ctx: StageContext): Promise<SampleRun> {
    const sampler = await openSampler(device, config, ctx);
    const work = openWork(sampler);
    let state: SampleState = { step: 0, total: work.total, tally: {} };
    if (ctx.resumeFrom) {
      const { seal: _, ...saved } = readProgress(ctx.resumeFrom, stateSchema);
      state = saved;
      refuseOtherInputs(ctx.resumeFrom, state, work);
      ctx.rewind(state.step);
    }
    return new SampleRun(device, sampler, work, ctx, state);
  }

  /** Ends what the rewards and the environment have opened. */
  close(): Promise<void> {
    this.sampler.tools?.close();
    return this.sampler.scorer.close();
  }

  /** Works through what is left; true when nothing is. */
  async sampleAll(): Promise<boolean> {
    const { state, work, ctx, sampler } = this;
    const { total } = work;
    ctx.emit({ type: "start", totalSteps: total, step: state.step });
    while (state.step < total) {
      // Yields to the event loop, so that an interruption is noticed.
      await turn();
      if (sampler.interrupted()) return false;
      const count = Math.min(sampler.config.engine.questions, total - state.step);
      if (!(await this.step(count))) return false;
    }
    return true;
  }

  private async step(count: number): Promise<boolean> {
    const { state, work, ctx, sampler, pool } = this;
    const { stats } = sampler.engine;
    const before = stats.prefillTokens + stats.decodeTokens;
    const started = performance.now();
    const batch = await unlessInterrupted(work.batch(state.step, count));
    if (!batch) return false;
    refuseFaults(ctx, batch, state.step + 1);
    if (this.writes) {
      ctx.samples.appendAll(batch.rows);
      pool.appendAll(batch.pool);
    }
    state.step += count;
    addTally(state.tally, batch.tally);
    const seconds = (performance.now() - started) / 1000;
    const tokens = stats.prefillTokens + stats.decodeTokens - before;
    ctx.emit({
      type: "step",
      step: state.step,
      totalSteps: work.total,
      metrics: {
        ...work.metrics(batch.tally),
        "perf/tokens_per_sec": tokens / seconds,
        "perf/samples_per_sec": (batch.tally.rollouts ?? batch.tally.outputs!) / seconds,
      },
    });
    this.show(batch);
    if (this.writes) this.save();
    return true;
  }

  /** Rank 0 alone writes what belongs to the run. */
  private get writes(): boolean {
    return this.sampler.collectives.rank === 0;
  }

  /** One output of the batch for the screen. */
  private show({ rows }: Batch): void {
    const { step } = this.state;
    const row = rows[(step * 17) % Math.max(1, rows.length)];
    if (!row) return;
    const { prompt, completion, reward, parts } = row;
    const scored = typeof reward === "number" ? { reward, parts: parts ?? {} } : {};
    this.ctx.emit({ type: "sample", step, prompt, text: completion, ...scored, recorded: true });
  }

  /** Marks the batch as done: after all of its rows, since a resume cuts off those of batches without a mark. */
  private save(): void {
    const { ctx, state, device } = this;
    savePlans(device, ctx);
    this.pool.sync();
    markProgress(ctx, { ...state });
  }

  private collected(): Record<string, string> {
    const { ctx, sampler } = this;
    return writeCollected(ctx.runDir, sampler.config, (text) => ctx.log(text, "warn"));
  }

  async finish(completed: boolean): Promise<StageResult> {
    const { state, work, ctx } = this;
    this.pool.close();
    if (!completed) return { status: "interrupted", step: state.step, metrics: {}, outputs: {} };
    const metrics = work.metrics(state.tally);
    // One past the last step, so that a resume does not record these figures twice.
    ctx.emit({ type: "eval", step: work.total + 1, metrics });
    ctx.emit({ type: "done", step: state.step, metrics });
    if (!this.writes) return { status: "completed", step: state.step, metrics, outputs: {} };
    const samples = join(ctx.runDir, "samples.jsonl");
    const { keep, prompts } = this.sampler.config;
    const { from } = prompts;
    if (!existsSync(samples)) {
      // Later stages read the file, and report that it is empty.
      atomicWriteFile(samples, "");
      ctx.log("no output passes `keep`, so samples.jsonl is empty", "warn");
    }
    // Of kept outputs alone a share of right ones would flatter.
    if (from === "task" && keep === "all")
      atomicWriteFile(join(ctx.runDir, PARTS_FILE), JSON.stringify(measuredParts(ctx.runDir)));
    const outputs: Record<string, string> =
      from === "task" ? { samples, pool: this.pool.path, ...this.collected() } : { samples };
    return { status: "completed", step: state.step, metrics, outputs };
  }
}

/** Throws NsaError `sample_inputs_changed` (exit 3): rows of other questions would be mixed. */
function refuseOtherInputs(checkpoint: string, { step, total }: SampleState, work: Work): void {
  if (total === work.total) return;
  throw new NsaError({
    code: "sample_inputs_changed",
    what: `${checkpoint}: ${step} of ${total} questions or outputs were done, and now there are ${work.total}`,
    why: "the files or the settings that they come from are not those that the run began with",
    fix: "put them back and resume, or start a new run",
    exitCode: ExitCode.data,
  });
}

/** Names outputs that could not be scored. Throws `reward_failed` (exit 3) when it is all of a batch. */
function refuseFaults(ctx: StageContext, { faults, tally }: Batch, first: number): void {
  if (faults.length === 0) return;
  const count = `${faults.length} of ${tally.outputs} outputs from question ${first} on could not be scored`;
  const { id, fault } = faults[0]!;
  if (faults.length === tally.outputs)
    throw new NsaError({
      code: "reward_failed",
      what: count,
      why: fault!,
      fix: "correct the reward and resume the run",
      exitCode: ExitCode.data,
    });
  ctx.log(`${count}, the first of ${id}: ${fault}`, "warn");
}
