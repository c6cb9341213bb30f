// POST /v1/completions: prompts as text or ids, one or many; n outputs, echo, log-probabilities, streaming.
import { randomUUID } from "node:crypto";
import type { ServerResponse } from "node:http";
import { turn } from "@nsa/core";
import { type GeneratedSample, type GenerateRequest, type ScoredPrompt, scorePrompts } from "@nsa/model";
import { ApiError, sendJson } from "./http.ts";
import { completionLogprobs, type TokenWithLogprob } from "./logprobs.ts";
import { OutputText } from "./output-text.ts";
import { type CompletionBody, checkBody, completionSchema } from "./schema.ts";
import {
  checkModel,
  checkPrompt,
  checkText,
  countUsage,
  type Service,
  samplingOf,
  seedOf,
  stopsOf,
  tokensWithLogprobs,
} from "./service.ts";
import { type StreamForm, streamOutputs } from "./stream.ts";

const MOST_OUTPUTS = 4096;
const DEFAULT_TOKENS = 16;

interface Prompt {
  ids: number[];
  text: string;
}

/** Characters or ids that are encoded before others have their turn. */
const ENCODED_AT_ONCE = 1 << 14;

async function promptsOf(
  service: Service,
  { prompt }: CompletionBody,
  room: number,
  signal: AbortSignal,
): Promise<Prompt[]> {
  const { tokenizer } = service.session;
  const given = typeof prompt === "string" || typeof prompt[0] === "number" ? [prompt] : prompt;
  const prompts = given as (string | number[])[];
  for (const p of prompts)
    if (typeof p === "string") checkText(service, p, "prompt");
    else checkPrompt(service, p, room);
  const out: Prompt[] = [];
  let encoded = 0;
  for (const p of prompts) {
    encoded += p.length;
    if (encoded > ENCODED_AT_ONCE) {
      await turn();
      signal.throwIfAborted();
      encoded = p.length;
    }
    if (typeof p === "string") {
      const ids = await service.session.encode(p);
      signal.throwIfAborted();
      out.push({ ids, text: p });
      checkPrompt(service, ids, room);
    } else out.push({ ids: p, text: tokenizer.decode(p, { special: true }) });
  }
  return out;
}

/** Scores prompts a few at a time, so that running outputs go on in between. */
async function scoreAll(service: Service, prompts: readonly Prompt[], top: number, signal: AbortSignal) {
  const out: ScoredPrompt[] = [];
  for (let at = 0; at < prompts.length; ) {
    let tokens = 0;
    const pack: number[][] = [];
    while (
      at < prompts.length &&
      (pack.length === 0 || tokens + prompts[at]!.ids.length <= service.scoreTokens)
    ) {
      tokens += prompts[at]!.ids.length;
      pack.push(prompts[at++]!.ids);
    }
    await turn();
    signal.throwIfAborted();
    out.push(...scorePrompts(service.session.model, pack, top));
  }
  return out;
}

interface Job {
  body: CompletionBody;
  prompts: Prompt[];
  requests: GenerateRequest[];
  stopIds: number[];
  stopStrings: string[];
  n: number;
  head: { id: string; object: "text_completion"; created: number; model: string };
}

/** Reads and checks a body before anything runs. */
async function jobOf(service: Service, raw: unknown, signal: AbortSignal): Promise<Job> {
  const body = checkBody(completionSchema, raw);
  checkModel(service, body.model);
  const { n = 1, echo = false, logprobs } = body;
  const maxTokens = body.max_tokens ?? DEFAULT_TOKENS;
  if (body.best_of !== undefined && body.best_of !== n)
    throw new ApiError(400, "best_of other than n is not supported", { param: "best_of" });
  if (maxTokens === 0 && !echo)
    throw new ApiError(400, "max_tokens 0 asks for nothing unless echo is set", { param: "max_tokens" });
  if (body.stream && echo) throw new ApiError(400, "echo cannot be streamed", { param: "echo" });
  const { prompt } = body;
  const count = typeof prompt === "string" || typeof prompt[0] === "number" ? 1 : prompt.length;
  if (count * n > MOST_OUTPUTS)
    throw new ApiError(400, `more than ${MOST_OUTPUTS} outputs in one request`, { param: "n" });
  const prompts = await promptsOf(service, body, maxTokens > 0 ? 1 : 0, signal);
  const { stopIds, stopStrings } = stopsOf(service, body.stop);
  const [sampling, seed] = [samplingOf(body), seedOf(body)];
  const context = service.session.model.config.maxSeqLen;
  const requests =
    maxTokens === 0
      ? []
      : prompts.map(({ ids }, i) => ({
          prompt: ids,
          n,
          maxTokens: Math.min(maxTokens, context - ids.length),
          sampling,
          seed,
          id: i * n,
          stopIds,
          stopStrings,
          topLogprobs: logprobs,
        }));
  const created = Math.floor(Date.now() / 1000);
  const head = {
    id: `cmpl-${randomUUID()}`,
    object: "text_completion" as const,
    created,
    model: service.session.name,
  };
  return { body, prompts, requests, stopIds, stopStrings, n, head };
}

function textOf(service: Service, output: GeneratedSample, stopStrings: readonly string[]): string {
  const text = new OutputText(service.session.tokenizer, stopStrings);
  for (const id of output.ids) text.push(id);
  text.end();
  return text.text;
}

export async function completions(
  service: Service,
  raw: unknown,
  res: ServerResponse,
  signal: AbortSignal,
): Promise<void> {
  const job = await jobOf(service, raw, signal);
  if (job.body.stream) return streamCompletions(service, job, res, signal);
  const { body, prompts, requests, stopIds, stopStrings, n, head } = job;
  const { tokenizer } = service.session;
  const running = requests.map((r) => service.scheduler.complete(r, signal));
  // One that fails must not leave the others' rejections unhandled.
  for (const r of running) r.catch(() => {});
  const scoresPrompts = body.echo && body.logprobs !== undefined;
  const scored = scoresPrompts ? await scoreAll(service, prompts, Math.max(1, body.logprobs!), signal) : [];
  const outputs = await Promise.all(running);

  const choices = prompts.flatMap((prompt, p) => {
    const echoed = body.echo ? prompt.text : "";
    const promptTokens: TokenWithLogprob[] = scoresPrompts
      ? prompt.ids.map((id, t) => ({ id, logp: scored[p]!.logp[t]!, top: scored[p]!.top[t]! }))
      : [];
    const none: GeneratedSample = { ids: [], logp: [], keptLogmass: [], finish: "length" };
    return Array.from({ length: n }, (_, sample) => {
      const output = outputs[p]?.[sample] ?? none;
      const tokens = [...promptTokens, ...tokensWithLogprobs(output, stopIds)];
      const offset = scoresPrompts ? 0 : echoed.length;
      return {
        index: p * n + sample,
        text: echoed + textOf(service, output, stopStrings),
        logprobs:
          body.logprobs === undefined
            ? null
            : completionLogprobs(tokenizer, tokens, { top: body.logprobs, offset }),
        finish_reason: output.finish,
      };
    });
  });
  const written = outputs.flat().reduce((a, o) => a + o.ids.length, 0);
  const read = prompts.reduce((a, p) => a + p.ids.length, 0);
  sendJson(res, 200, { ...head, choices, usage: countUsage(service, read, written) });
}

function streamCompletions(
  service: Service,
  job: Job,
  res: ServerResponse,
  signal: AbortSignal,
): Promise<void> {
  const { body, requests, stopStrings, n, head } = job;
  const { tokenizer } = service.session;
  const offsets = new Array<number>(requests.length * n).fill(0);
  const form: StreamForm = {
    head,
    stopStrings,
    includeUsage: body.stream_options?.include_usage === true,
    everyToken: body.logprobs !== undefined,
    choice(index, text, tokens, finish) {
      const offset = offsets[index]!;
      offsets[index] = offset + text.length;
      const logprobs =
        body.logprobs === undefined
          ? null
          : completionLogprobs(tokenizer, tokens, { top: body.logprobs, offset });
      return { index, text, logprobs, finish_reason: finish };
    },
  };
  return streamOutputs(service, requests, form, res, signal);
}
