// Thoughts of a chosen length (budget forcing, arXiv 2501.19393): one that is too long is ended and the answer asked for; one that ends
// early may be continued by a word such as "Wait".
//
// A thought is what stands before a mark (</think>). Each output is sampled in parts: a thought up to the budget, then an answer. Texts that
// are put in are ids between the sampled ones, as results of tools are; tokens count what was sampled, the end of a thought that was taken
// back among it. Token t draws with the random number of (seed, request, t), whatever was put in.
import type { Tokenizer } from "@nsa/data";
import type { Engine, GeneratedSample, GenerateRequest } from "@nsa/model";
import { splitStops } from "@nsa/tasks";
import { z } from "zod";
import { type Insert, type Trajectory, wholeIds } from "./trajectory.ts";

export const thoughtSchema = z
  .strictObject({
    tokens: z.number().int().min(1).describe("Longest thought, tokens; one that is longer is ended"),
    answerTokens: z.number().int().min(1).default(32).describe("Longest answer after the thought, tokens"),
    mark: z.string().min(1).default("</think>").describe("Text at which a thought ends"),
    end: z
      .string()
      .min(1)
      .default(" </think> <answer>")
      .describe("Text that ends a thought and asks for the answer"),
    waits: z
      .number()
      .int()
      .min(0)
      .default(0)
      .describe("Times that a thought which ends before the budget is continued instead"),
    wait: z.string().min(1).default(" Wait,").describe("Text that continues a thought in place of its mark"),
  })
  .describe("Budget forcing: thoughts of at most so many tokens, continued where they end early");

export type ThoughtBudget = z.output<typeof thoughtSchema>;

/** How an output came to its length. */
export interface Forcing {
  /** Tokens that its thought could have. */
  tokens: number;
  /** Whether its thought was ended. */
  ended: boolean;
  /** Times that it was continued. */
  waits: number;
}

/** An output with texts put in. */
export interface ForcedSample extends Trajectory {
  /** Tokens sampled, those taken back among them. */
  sampled: number;
  budget: Forcing;
}

/** A budget with what ends a thought: the mark, or the id of the special token that it is. */
interface Plan extends ThoughtBudget {
  tokenizer: Tokenizer;
  markIds: readonly number[];
  markStrings: readonly string[];
}

function planOf(budget: ThoughtBudget, tokenizer: Tokenizer): Plan {
  const { stopIds, stopStrings } = splitStops(tokenizer, [budget.mark]);
  const markIds = stopIds.filter((id) => !tokenizer.eosIds.includes(id));
  return { ...budget, tokenizer, markIds, markStrings: stopStrings };
}

/** How many ids stand before the mark; −1 where it is not among them. */
function idsBeforeMark(ids: readonly number[], { tokenizer, markIds, mark }: Plan): number {
  const special = ids.findIndex((id) => markIds.includes(id));
  if (special >= 0) return special;
  const at = tokenizer.decode(ids).indexOf(mark);
  if (at < 0) return -1;
  let count = ids.length;
  while (count > 0 && tokenizer.decode(ids.slice(0, count)).length > at) count--;
  return count;
}

class Output {
  readonly ids: number[] = [];
  readonly logp: number[] = [];
  readonly keptLogmass: number[] = [];
  readonly inserts: Insert[] = [];
  finish: GeneratedSample["finish"] = "length";
  sampled = 0;
  /** Tokens of the thought so far. */
  private thought = 0;
  private phase: "thought" | "answer" | "over" = "thought";
  private ended = false;
  private waits = 0;

  constructor(
    private readonly request: GenerateRequest,
    private readonly sample: number,
    private readonly budget: Plan,
  ) {}

  /** The request of the next part; undefined where the output is whole, or the context full. */
  next(maxSeqLen: number): GenerateRequest | undefined {
    const { request, budget } = this;
    if (this.phase === "over") return undefined;
    const prompt = [...Array.from(request.prompt), ...wholeIds(this)];
    if (prompt.length + 1 > maxSeqLen) {
      this.finish = "length";
      return undefined;
    }
    const part = this.phase === "thought" ? thoughtPart(request, budget) : answerPart(request, budget);
    const firstPosition = (request.firstPosition ?? 0) + this.sampled;
    const maxTokens = part.maxTokens - (this.phase === "thought" ? this.thought : 0);
    return { ...part, maxTokens, prompt, n: 1, id: request.id + this.sample, firstPosition };
  }

  private append({ ids, logp, keptLogmass }: GeneratedSample, count: number): void {
    this.ids.push(...ids.slice(0, count));
    this.logp.push(...logp.slice(0, count));
    this.keptLogmass.push(...keptLogmass.slice(0, count));
  }

  private insert(text: string): void {
    this.inserts.push({ at: this.ids.length, ids: this.budget.tokenizer.encode(text, { inner: true }) });
  }

  /** Takes what a part has given, and puts in what follows it. */
  take(part: GeneratedSample): void {
    const { budget } = this;
    const { ids } = part;
    this.sampled += ids.length;
    this.finish = part.finish;
    if (this.phase === "answer") {
      this.append(part, ids.length);
      this.phase = "over";
      return;
    }
    this.thought += ids.length;
    const before = idsBeforeMark(ids, budget);
    if (part.finish === "stop" && before < 0) {
      // It ended without a mark: there is no thought to be forced.
      this.append(part, ids.length);
      this.phase = "over";
    } else if (before >= 0 && this.waits < budget.waits && this.thought < budget.tokens) {
      this.append(part, before);
      this.insert(budget.wait);
      this.waits++;
    } else {
      this.append(part, ids.length);
      this.phase = "answer";
      if (before >= 0) return;
      this.ended = true;
      this.insert(budget.end);
    }
  }

  get whole(): ForcedSample {
    const { ids, logp, keptLogmass, finish, inserts, sampled, ended, waits } = this;
    const budget = { tokens: this.budget.tokens, ended, waits };
    return { ids, logp, keptLogmass, finish, ...(inserts.length > 0 ? { inserts } : {}), sampled, budget };
  }
}

const thoughtPart = (request: GenerateRequest, { tokens, markIds, markStrings }: Plan): GenerateRequest => ({
  ...request,
  maxTokens: tokens,
  stopIds: [...request.stopIds, ...markIds],
  stopStrings: [...(request.stopStrings ?? []), ...markStrings],
});

const answerPart = (request: GenerateRequest, { answerTokens }: ThoughtBudget): GenerateRequest => ({
  ...request,
  maxTokens: answerTokens,
});

/** Outputs of every request, in order, with thoughts of the budget; `maxTokens` of the requests is not used. Throws as `Engine.generate`. */
export function generateForced(
  engine: Engine,
  requests: readonly GenerateRequest[],
  budget: ThoughtBudget,
  tokenizer: Tokenizer,
): ForcedSample[][] {
  const plan = planOf(budget, tokenizer);
  const groups = requests.map((request) =>
    Array.from({ length: request.n }, (_, sample) => new Output(request, sample, plan)),
  );
  const first = engine.generate(requests.map((request) => thoughtPart(request, plan)));
  for (const [r, group] of groups.entries())
    for (const [i, output] of group.entries()) output.take(first[r]![i]!);
  const cancelled = () => engine.options.cancelled?.() ?? false;
  const { maxSeqLen } = engine.model.config;
  while (!cancelled()) {
    const parts = groups.flat().flatMap((output) => {
      const request = output.next(maxSeqLen);
      return request ? [{ output, request }] : [];
    });
    if (parts.length === 0) break;
    const given = engine.generate(parts.map(({ request }) => request));
    for (const [i, { output }] of parts.entries()) output.take(given[i]![0]!);
  }
  return groups.map((group) => group.map(({ whole }) => whole));
}
