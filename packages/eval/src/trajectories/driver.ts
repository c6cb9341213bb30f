// Outputs with tools: an output that ends in a call waits for its result while the others are decoded, then goes on behind it.
//
// Token in, token out: what was sampled is never tokenized again; the ids of a result are appended, and a further request continues
// with all of them as its prompt. Token t of an output draws with the random number of (seed, request, t), whichever turn it is in and
// however long tools take: on the CPU an output depends on nothing else.
import { turn as yieldToEventLoop } from "@nsa/core";
import type { Tokenizer } from "@nsa/data";
import type { Engine, GeneratedSample, GenerateRequest, LiveGeneration } from "@nsa/model";
import type { Environment, Problem, ReplyPart, ToolCall, ToolProtocol } from "@nsa/tasks";
import { type CallRecord, type Insert, type Trajectory, wholeIds } from "./trajectory.ts";

/** A request for outputs of a problem; `maxTokens` counts sampled ids alone. */
export interface TrajectoryRequest extends GenerateRequest {
  problem: Problem;
}

export interface ToolUse {
  environment: Environment;
  protocol: ToolProtocol;
  tokenizer: Tokenizer;
  /** Calls of one output, and tokens of one result that are read. */
  maxTurns: number;
  maxOutputTokens: number;
}

/** Characters of a token, at most, in what is cut before it is tokenized. */
const LONGEST_TOKEN = 32;
/** Tokens around a result: heads and ends of turns. */
const FRAME_TOKENS = 64;

type State = Awaited<ReturnType<Environment["reset"]>>;

/** One output under way. */
class Output {
  readonly ids: number[] = [];
  readonly logp: number[] = [];
  readonly keptLogmass: number[] = [];
  readonly inserts: Insert[] = [];
  readonly calls: CallRecord[] = [];
  finish: GeneratedSample["finish"] = "length";
  state: State | undefined;

  constructor(
    readonly request: TrajectoryRequest,
    readonly sample: number,
  ) {}

  append({ ids, logp, keptLogmass, finish }: GeneratedSample): void {
    for (const id of ids) this.ids.push(id);
    for (const x of logp) this.logp.push(x);
    for (const x of keptLogmass) this.keptLogmass.push(x);
    this.finish = finish;
  }

  /** The request that continues it behind its last insert. */
  continuation(maxSeqLen: number): GenerateRequest | undefined {
    const { problem: _, ...request } = this.request;
    const prompt = [...Array.from(request.prompt), ...wholeIds(this)];
    const maxTokens = request.maxTokens - this.ids.length;
    if (maxTokens < 1 || prompt.length + 1 > maxSeqLen) return undefined;
    const firstPosition = (request.firstPosition ?? 0) + this.ids.length;
    return { ...request, prompt, n: 1, maxTokens, id: request.id + this.sample, firstPosition };
  }

  get trajectory(): Trajectory {
    const { ids, logp, keptLogmass, finish, inserts, calls } = this;
    return {
      ids,
      logp,
      keptLogmass,
      finish,
      ...(inserts.length > 0 ? { inserts } : {}),
      ...(calls.length > 0 ? { calls } : {}),
    };
  }
}

/** Seed of the environment of an output. */
const seedOf = ({ request, sample }: Output) => (request.seed * 1_000_003 + request.id + sample) % 2 ** 31;

class Driver {
  private readonly byKey = new Map<number, readonly Output[]>();
  private readonly ready: Output[] = [];
  private pending = 0;
  private wake: () => void = () => {};
  private failure: unknown;

  constructor(
    private readonly engine: Engine,
    private readonly live: LiveGeneration,
    private readonly tools: ToolUse,
  ) {}

  /** Adds a request; the outputs that come of it. */
  add(request: TrajectoryRequest): Output[] {
    const outputs = Array.from({ length: request.n }, (_, sample) => new Output(request, sample));
    this.byKey.set(this.live.add(request), outputs);
    return outputs;
  }

  private get cancelled(): boolean {
    return this.engine.options.cancelled?.() ?? false;
  }

  async run(): Promise<void> {
    const { live } = this;
    while (!live.idle || this.pending > 0 || this.ready.length > 0) {
      for (const output of this.ready.splice(0)) this.resume(output);
      if (!live.idle) {
        for (const { request, sample, output } of live.step())
          this.ended(this.byKey.get(request)![sample]!, output);
        if (this.pending > 0) await yieldToEventLoop();
      } else if (this.pending > 0)
        await new Promise<void>((resolve) => {
          this.wake = resolve;
        });
      if (this.failure) throw this.failure;
    }
  }

  private resume(output: Output): void {
    const request = this.cancelled ? undefined : output.continuation(this.engine.model.config.maxSeqLen);
    if (request) this.byKey.set(this.live.add(request), [output]);
    else output.finish = "length";
  }

  private ended(output: Output, segment: GeneratedSample): void {
    const { protocol, tokenizer, maxTurns } = this.tools;
    output.append(segment);
    if (this.cancelled || segment.finish !== "stop") return;
    const text = tokenizer.decode(segment.ids);
    const calls = protocol.callsOf(text);
    if (calls === undefined) return;
    if (output.calls.length >= maxTurns || output.ids.length >= output.request.maxTokens) {
      output.finish = "length";
      return;
    }
    this.pending++;
    void this.answer(output, text, calls)
      .catch((error: unknown) => {
        this.failure ??= error;
      })
      .finally(() => {
        this.pending--;
        this.wake();
      });
  }

  /** Makes the calls of a turn one after another and inserts what they give. */
  private async answer(
    output: Output,
    text: string,
    calls: readonly ToolCall[] | { fault: string },
  ): Promise<void> {
    const { environment, protocol } = this.tools;
    const made = "fault" in calls ? [] : calls;
    const results: string[] = [];
    let over = false;
    if ("fault" in calls) {
      output.calls.push({ name: "", output: calls.fault, failed: true });
      results.push(calls.fault);
    }
    for (const call of made) {
      const { result, done } = await this.step(output, environment, call);
      results.push(result);
      over ||= done;
    }
    this.insert(
      output,
      protocol.reply(
        text,
        made,
        results.map((result) => this.cut(result)),
      ),
    );
    if (!over) this.ready.push(output);
  }

  private async step(
    output: Output,
    environment: Environment,
    call: ToolCall,
  ): Promise<{ result: string; done: boolean }> {
    try {
      output.state ??= await environment.reset(output.request.problem, seedOf(output));
      const { state, output: result, done = false, failed } = await environment.step(output.state, call);
      output.state = state;
      output.calls.push({ name: call.name, output: result, ...(failed ? { failed } : {}) });
      return { result, done };
    } catch (error) {
      const result = (error as Error).message.split("\n")[0]!;
      output.calls.push({ name: call.name, output: result, failed: true });
      return { result, done: false };
    }
  }

  /** The first tokens of a result. */
  private cut(result: string): string {
    const { tokenizer, maxOutputTokens } = this.tools;
    const text = result.slice(0, LONGEST_TOKEN * maxOutputTokens);
    const ids = tokenizer.encode(text, { plain: true, inner: true });
    return ids.length <= maxOutputTokens ? text : tokenizer.decode(ids.slice(0, maxOutputTokens));
  }

  private insert(output: Output, parts: readonly ReplyPart[]): void {
    const { tokenizer } = this.tools;
    const ids = parts.flatMap(({ text, plain }) => tokenizer.encode(text, { plain, inner: true }));
    output.inserts.push({ at: output.ids.length, ids });
  }
}

/** Pages of the cache for these requests, the longest sequence of the model included. */
function pagesFor(
  engine: Engine,
  requests: readonly TrajectoryRequest[],
  { maxTurns, maxOutputTokens }: ToolUse,
): number {
  const { pageSize, model, options } = engine;
  const pages = (tokens: number) => Math.ceil(Math.min(tokens, model.config.maxSeqLen) / pageSize);
  const inserted = maxTurns * (maxOutputTokens + FRAME_TOKENS);
  const wanted = requests.reduce((n, r) => n + r.n * pages(r.prompt.length + r.maxTokens + inserted), 0);
  const budget = Math.ceil(options.cacheTokens / pageSize);
  return Math.min(budget, Math.max(wanted, pages(model.config.maxSeqLen)));
}

/**
 * Outputs of every request, in order, with the tools of an environment. An error of a tool is what the model reads; throws as
 * `Engine.generate`, and what a protocol throws. Where the engine is cancelled, outputs end as they are.
 */
export async function generateTrajectories(
  engine: Engine,
  requests: readonly TrajectoryRequest[],
  tools: ToolUse,
): Promise<Trajectory[][]> {
  const live = engine.open(pagesFor(engine, requests, tools));
  try {
    const driver = new Driver(engine, live, tools);
    const outputs = requests.map((request) => driver.add(request));
    await driver.run();
    return outputs.map((group) => group.map(({ trajectory }) => trajectory));
  } finally {
    live.close();
  }
}
