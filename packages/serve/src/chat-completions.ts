// POST /v1/chat/completions: messages through the chat template; n answers, log-probabilities, streaming.
import { randomUUID } from "node:crypto";
import type { ServerResponse } from "node:http";
import type { GeneratedSample, GenerateRequest } from "@nsa/model";
import type { Tool } from "@nsa/tasks";
import { ApiError, openEvents, sendError, sendJson } from "./http.ts";
import { chatLogprobs } from "./logprobs.ts";
import { readMessages } from "./messages.ts";
import { OutputText } from "./output-text.ts";
import { type ChatBody, chatSchema, checkBody } from "./schema.ts";
import {
  checkMessages,
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
import { answerOf, describedTools, toolsOf } from "./tool-calls.ts";

interface Job {
  body: ChatBody;
  request: GenerateRequest;
  stopStrings: string[];
  /** Functions that the answer may call. */
  tools: readonly Tool[];
  head: { id: string; created: number; model: string };
}

async function jobOf(service: Service, raw: unknown, signal: AbortSignal): Promise<Job> {
  const body = checkBody(chatSchema, raw);
  checkModel(service, body.model);
  if (body.top_logprobs && !body.logprobs)
    throw new ApiError(400, "top_logprobs needs logprobs: true", {
      param: "top_logprobs",
      code: "invalid_value",
    });
  const { template, model, name } = service.session;
  const messages = readMessages(body.messages, template.source);
  checkMessages(service, messages);
  const tools = toolsOf(service, body);
  const prompt = await service.session.encode(rendered(service, messages, tools));
  signal.throwIfAborted();
  checkPrompt(service, prompt, 1);
  const { stopIds, stopStrings } = stopsOf(service, body.stop, template.stop);
  const room = model.config.maxSeqLen - prompt.length;
  const request: GenerateRequest = {
    prompt,
    n: body.n ?? 1,
    maxTokens: Math.min(body.max_completion_tokens ?? body.max_tokens ?? room, room),
    sampling: samplingOf(body),
    seed: seedOf(body),
    id: 0,
    stopIds,
    stopStrings,
    topLogprobs: body.logprobs ? (body.top_logprobs ?? 0) : undefined,
  };
  const head = { id: `chatcmpl-${randomUUID()}`, created: Math.floor(Date.now() / 1000), model: name };
  return { body, request, stopStrings, tools, head };
}

/** The conversation by the template, which may refuse it (roles in the wrong order): ApiError 400. */
function rendered(
  service: Service,
  messages: Parameters<Service["session"]["template"]["render"]>[0],
  tools: readonly Tool[],
): string {
  let text: string;
  try {
    text = service.session.template.render(messages, true, describedTools(tools));
  } catch (cause) {
    throw new ApiError(400, `the chat template refuses these messages: ${(cause as Error).message}`, {
      param: "messages",
      code: "template_refused",
    });
  }
  checkText(service, text, "messages");
  return text;
}

export async function chatCompletions(
  service: Service,
  raw: unknown,
  res: ServerResponse,
  signal: AbortSignal,
): Promise<void> {
  const job = await jobOf(service, raw, signal);
  if (job.body.stream && job.tools.length > 0) return streamCalls(service, job, res, signal);
  if (job.body.stream) return streamChat(service, job, res, signal);
  const { body, request, head } = job;
  const { tokenizer } = service.session;
  const outputs = await service.scheduler.complete(request, signal);
  const choices = outputs.map((output, index) => {
    const { message, finish } = finished(service, job, output);
    return {
      index,
      message,
      logprobs: body.logprobs
        ? chatLogprobs(tokenizer, tokensWithLogprobs(output, request.stopIds), body.top_logprobs ?? 0)
        : null,
      finish_reason: finish,
    };
  });
  const written = outputs.reduce((a, o) => a + o.ids.length, 0);
  const usage = countUsage(service, request.prompt.length, written);
  sendJson(res, 200, { ...head, object: "chat.completion", choices, usage });
}

/** A finished output as the answer of a chat. */
function finished({ session }: Service, { stopStrings, tools }: Job, { ids, finish }: GeneratedSample) {
  const text = new OutputText(session.tokenizer, stopStrings);
  for (const id of ids) text.push(id);
  text.end();
  return answerOf(text.text, finish, tools);
}

/** A stream where functions may be called: whether an answer is a call shows at its end, so each is sent whole. */
async function streamCalls(
  service: Service,
  job: Job,
  res: ServerResponse,
  signal: AbortSignal,
): Promise<void> {
  const { body, request, head } = job;
  const events = openEvents(res);
  const includeUsage = body.stream_options?.include_usage === true;
  const send = (index: number, delta: object, finish: string | null) =>
    events.send({
      ...{ ...head, object: "chat.completion.chunk" },
      choices: [{ index, delta, logprobs: null, finish_reason: finish }],
      ...(includeUsage ? { usage: null } : {}),
    });
  try {
    const outputs = await service.scheduler.complete(request, signal);
    for (const [index, output] of outputs.entries()) {
      const { message, finish } = finished(service, job, output);
      const calls = message.tool_calls?.map((call, i) => ({ index: i, ...call }));
      send(index, { ...message, ...(calls ? { tool_calls: calls } : {}) }, null);
      send(index, {}, finish);
    }
    const written = outputs.reduce((a, o) => a + o.ids.length, 0);
    const usage = countUsage(service, request.prompt.length, written);
    if (includeUsage) events.send({ ...head, object: "chat.completion.chunk", choices: [], usage });
    events.done();
  } catch (error) {
    sendError(res, error);
  }
}

function streamChat(service: Service, job: Job, res: ServerResponse, signal: AbortSignal): Promise<void> {
  const { body, request, stopStrings, head } = job;
  const { tokenizer } = service.session;
  const choice = (index: number, delta: object, finish: string | null, logprobs: unknown = null) => ({
    index,
    delta,
    logprobs,
    finish_reason: finish,
  });
  const form: StreamForm = {
    head: { ...head, object: "chat.completion.chunk" },
    stopStrings,
    includeUsage: body.stream_options?.include_usage === true,
    everyToken: body.logprobs === true,
    opening: (index) => choice(index, { role: "assistant", content: "" }, null),
    choice(index, content, tokens, finish) {
      const ended = tokens.length === 0;
      const logprobs =
        body.logprobs && !ended ? chatLogprobs(tokenizer, tokens, body.top_logprobs ?? 0) : null;
      return choice(index, ended && content === "" ? {} : { content }, finish, logprobs);
    },
  };
  return streamOutputs(service, [request], form, res, signal);
}
