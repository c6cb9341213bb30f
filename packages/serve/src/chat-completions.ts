// POST /v1/chat/completions: messages through the chat template; n answers, log-probabilities, streaming.
import { randomUUID } from "node:crypto";
import type { ServerResponse } from "node:http";
import type { GenerateRequest } from "@nsa/model";
import { ApiError, sendJson } from "./http.ts";
import { chatLogprobs } from "./logprobs.ts";
import { OutputText } from "./output-text.ts";
import { type ChatBody, chatSchema, checkBody } from "./schema.ts";
import {
  checkModel,
  checkPrompt,
  checkText,
  countUsage,
  type Service,
  samplingOf,
  seedOf,
  stopsOf,
  toldTokens,
} from "./service.ts";
import { type StreamForm, streamOutputs } from "./stream.ts";

interface Job {
  body: ChatBody;
  request: GenerateRequest;
  stopStrings: string[];
  head: { id: string; created: number; model: string };
}

function jobOf(service: Service, raw: unknown): Job {
  const body = checkBody(chatSchema, raw);
  checkModel(service, body.model);
  const { template, tokenizer, model, name } = service.session;
  const messages = body.messages.map(({ role, content, ...more }) => ({
    // A client sends back what it was given; a template without calls of tools reads the rest of the conversation.
    ...(template.source.includes("tool_calls") ? more : {}),
    role: role === "developer" ? "system" : role,
    content,
  }));
  for (const { content } of messages) checkText(service, content, "messages");
  const prompt = tokenizer.encode(rendered(service, messages));
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
  return { body, request, stopStrings, head };
}

/** The conversation by the template, which may refuse it (roles in the wrong order): ApiError 400. */
function rendered(
  service: Service,
  messages: Parameters<Service["session"]["template"]["render"]>[0],
): string {
  let text: string;
  try {
    text = service.session.template.render(messages, true);
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
  const job = jobOf(service, raw);
  if (job.body.stream) return streamChat(service, job, res, signal);
  const { body, request, stopStrings, head } = job;
  const { tokenizer } = service.session;
  const outputs = await service.scheduler.complete(request, signal);
  const choices = outputs.map((output, index) => {
    const text = new OutputText(tokenizer, stopStrings);
    for (const id of output.ids) text.push(id);
    text.end();
    return {
      index,
      message: { role: "assistant", content: text.text, refusal: null },
      logprobs: body.logprobs
        ? chatLogprobs(tokenizer, toldTokens(output, request.stopIds), body.top_logprobs ?? 0)
        : null,
      finish_reason: output.finish,
    };
  });
  const written = outputs.reduce((a, o) => a + o.ids.length, 0);
  const usage = countUsage(service, request.prompt.length, written);
  sendJson(res, 200, { ...head, object: "chat.completion", choices, usage });
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
