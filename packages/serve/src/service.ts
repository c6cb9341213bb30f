// What every endpoint shares: the loaded session, the scheduler, and how a body's fields become sampling settings.
import { createHash, randomInt } from "node:crypto";
import type { GeneratedSample, SamplingParams } from "@nsa/model";
import { splitStops } from "@nsa/tasks";
import { ApiError } from "./http.ts";
import type { TokenWithLogprob } from "./logprobs.ts";
import type { ServerMetrics } from "./metrics.ts";
import type { Scheduler } from "./scheduler.ts";
import type { ServingSession } from "./session.ts";

export interface Service {
  session: ServingSession;
  scheduler: Scheduler;
  /** Seconds since the epoch at which the model was loaded. */
  created: number;
  /** Tokens scored at once. */
  scoreTokens: number;
  metrics: Pick<ServerMetrics, "promptTokens" | "generatedTokens">;
}

interface SamplingFields {
  temperature?: number;
  top_p?: number;
  top_k?: number;
  min_p?: number;
  seed?: number;
}

export function samplingOf(body: SamplingFields): SamplingParams {
  return {
    temperature: body.temperature ?? 1,
    topP: body.top_p ?? 1,
    topK: Math.max(0, body.top_k ?? 0),
    minP: body.min_p ?? 0,
  };
}

/** The request's key of random numbers; another one each time where it names none. */
/** The key of a request's draws. Seeds from 0 to 2^53 are their own; others get a number of 52 bits each. */
export function seedOf({ seed }: SamplingFields): number {
  if (seed === undefined) return randomInt(2 ** 31);
  if (seed >= 0 && Number.isSafeInteger(seed)) return seed;
  const hash = createHash("sha256").update(BigInt(seed).toString()).digest();
  return Number(hash.readBigUInt64LE() >> 12n);
}

export function stopsOf(service: Service, stop: string | string[] | undefined, more: readonly string[] = []) {
  const wanted = typeof stop === "string" ? [stop] : (stop ?? []);
  return splitStops(service.session.tokenizer, [...wanted, ...more]);
}

/** Throws ApiError 404 unless the model is the one that is served, or none is named. */
export function checkModel(service: Service, model: string | undefined): void {
  const { name } = service.session;
  if (model === undefined || model === name) return;
  throw new ApiError(404, `there is no model ${model}; this server has ${name}`, {
    param: "model",
    code: "model_not_found",
  });
}

/** Text may be shorter as its tokenizer sees it, by so many times at most. */
const SHRINKS = 4;

/** Throws ApiError 400 for so many characters, where they cannot fit the context whatever their tokens. */
function checkCharacters({ session }: Service, characters: number, param: string): void {
  const { longestToken, model } = session;
  const { maxSeqLen } = model.config;
  const most = SHRINKS * longestToken * maxSeqLen;
  if (characters <= most) return;
  throw new ApiError(
    400,
    `the prompt has ${characters} characters, and the model's context of ${maxSeqLen} tokens holds at most ${most}`,
    { param, code: "context_length_exceeded" },
  );
}

/** Throws ApiError 400 for a text that cannot fit the context: before it is encoded, which takes its time. */
export function checkText(service: Service, text: string, param: string): void {
  checkCharacters(service, text.length, param);
}

/** The same for a conversation, before its template is rendered. */
export function checkMessages(service: Service, messages: readonly { content: string }[]): void {
  const { maxSeqLen } = service.session.model.config;
  if (messages.length > maxSeqLen)
    throw new ApiError(
      400,
      `there are ${messages.length} messages, and the model's context has ${maxSeqLen} tokens`,
      { param: "messages", code: "context_length_exceeded" },
    );
  const characters = messages.reduce((sum, { content }) => sum + content.length, 0);
  checkCharacters(service, characters, "messages");
}

/** Throws ApiError 400 for ids outside the vocabulary, nothing at all, and more tokens than the context. */
export function checkPrompt(service: Service, ids: readonly number[], room: number): void {
  const { vocabSize, maxSeqLen } = service.session.model.config;
  const wrong = ids.find((id) => id >= vocabSize);
  if (wrong !== undefined)
    throw new ApiError(400, `token id ${wrong} is outside the vocabulary of ${vocabSize}`, {
      param: "prompt",
    });
  if (ids.length === 0)
    throw new ApiError(400, "the prompt has no tokens", { param: "prompt", code: "prompt_empty" });
  if (ids.length + room > maxSeqLen) {
    throw new ApiError(400, `the prompt has ${ids.length} tokens, the model's context is ${maxSeqLen}`, {
      param: "prompt",
      code: "context_length_exceeded",
    });
  }
}

/** Tokens of an output, without the id that ended it. */
export function tokensWithLogprobs(output: GeneratedSample, stopIds: readonly number[]): TokenWithLogprob[] {
  const count = stopIds.includes(output.ids.at(-1)!) ? output.ids.length - 1 : output.ids.length;
  return output.ids
    .slice(0, count)
    .map((id, t) => ({ id, logp: output.logp[t]!, top: output.top?.[t] ?? null }));
}

/** The usage of an answer; counted in the server's figures. */
export function countUsage(service: Service, promptTokens: number, completionTokens: number) {
  service.metrics.promptTokens += promptTokens;
  service.metrics.generatedTokens += completionTokens;
  return usageOf(promptTokens, completionTokens);
}

const usageOf = (promptTokens: number, completionTokens: number) => ({
  prompt_tokens: promptTokens,
  completion_tokens: completionTokens,
  total_tokens: promptTokens + completionTokens,
});
