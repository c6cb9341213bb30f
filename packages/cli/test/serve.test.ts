// `nsa serve` under the official client: answers, log-probabilities, streams, crowds, aborts, bad input, drain.

import { rmSync } from "node:fs";
import { request as httpRequest } from "node:http";
import { join } from "node:path";
import OpenAI from "openai";
import { afterAll, beforeAll, expect, test } from "vitest";
import { nsa } from "./built.ts";
import { type StartedServer, startServer, tinyRun } from "./serving.ts";

let run: { dir: string; checkpoint: string };
let server: StartedServer;
let client: OpenAI;

beforeAll(async () => {
  run = tinyRun();
  server = await startServer(run.checkpoint);
  client = new OpenAI({ baseURL: server.url, apiKey: "none", maxRetries: 0 });
}, 120_000);
afterAll(() => {
  server?.child.kill("SIGKILL");
  rmSync(run.dir, { recursive: true, force: true });
});

const base = { model: "tiny", prompt: "The cat ", max_tokens: 12, seed: 7 };
const origin = () => server.url.replace(/\/v1$/, "");
const post = (path: string, body: string) =>
  fetch(origin() + path, { method: "POST", body, headers: { "content-type": "application/json" } });
interface Health {
  status: string;
  running: number;
  waiting: number;
}
const json = async <T>(res: Response) => (await res.json()) as T;
const health = async () => json<Health>(await fetch(`${origin()}/health`));

/** Until nothing runs any more. */
async function quiet(): Promise<void> {
  for (let i = 0; i < 200; i++) {
    const { running, waiting } = await health();
    if (running + waiting === 0) return;
    await new Promise((r) => setTimeout(r, 25));
  }
  throw new Error("outputs are still running");
}

test("models_and_health_are_told", async () => {
  const { data } = await client.models.list();
  expect(data.map((m) => m.id)).toEqual(["tiny"]);
  expect((await client.models.retrieve("tiny")).object).toBe("model");
  expect(await health()).toEqual({ status: "ok", model: "tiny", running: 0, waiting: 0 });
});

test("a_seed_gives_the_same_completion_again_streamed_or_not", async () => {
  const whole = await client.completions.create({ ...base, n: 2, logprobs: 2 });
  const again = await client.completions.create({ ...base, n: 2, logprobs: 2 });
  expect(again.choices).toEqual(whole.choices);
  expect(whole.choices[0]!.text).not.toBe(whole.choices[1]!.text);
  expect(whole.usage!.completion_tokens).toBeGreaterThan(2);
  const texts = ["", ""];
  const tokens: string[][] = [[], []];
  const finish: (string | null)[] = [null, null];
  let usage: OpenAI.CompletionUsage | undefined;
  const stream = await client.completions.create({
    ...base,
    n: 2,
    logprobs: 2,
    stream: true,
    stream_options: { include_usage: true },
  });
  for await (const chunk of stream) {
    usage = chunk.usage ?? usage;
    for (const choice of chunk.choices) {
      texts[choice.index] += choice.text;
      tokens[choice.index]!.push(...(choice.logprobs?.tokens ?? []));
      finish[choice.index] = choice.finish_reason ?? finish[choice.index]!;
    }
  }
  whole.choices.forEach((choice, i) => {
    expect([texts[i], finish[i]]).toEqual([choice.text, choice.finish_reason]);
    expect(tokens[i]).toEqual(choice.logprobs!.tokens);
  });
  expect(usage).toEqual(whole.usage);
});

test("echo_scores_prompts_of_ids_in_a_batch_as_harnesses_ask_for_it", async () => {
  const ask = {
    model: "tiny",
    prompt: [
      [5, 9, 13, 70],
      [44, 45],
    ],
    logprobs: 1,
    echo: true,
    temperature: 0,
  };
  const scored = await client.completions.create({ ...ask, max_tokens: 0 });
  const longer = await client.completions.create({ ...ask, max_tokens: 1 });
  expect(scored.choices.map((c) => c.index)).toEqual([0, 1]);
  const [first, second] = scored.choices.map((c) => c.logprobs!);
  expect(first!.tokens).toHaveLength(4);
  expect(second!.tokens).toHaveLength(2);
  expect(first!.token_logprobs![0]).toBeNull();
  for (const t of [1, 2, 3]) {
    const top = Math.max(...Object.values(first!.top_logprobs![t]!));
    expect(first!.token_logprobs![t]!).toBeLessThanOrEqual(top);
    expect(longer.choices[0]!.logprobs!.token_logprobs![t]).toBeCloseTo(first!.token_logprobs![t]!, 4);
  }
  // What greedy decoding adds is the likeliest token of its place.
  const last = longer.choices[0]!.logprobs!;
  expect(last.tokens).toHaveLength(5);
  expect(last.token_logprobs![4]).toBeCloseTo(Math.max(...Object.values(last.top_logprobs![4]!)), 6);
  expect(scored.usage).toEqual({ prompt_tokens: 6, completion_tokens: 0, total_tokens: 6 });
});

test("stop_strings_are_cut_off_whole_even_across_tokens_and_chunks", async () => {
  const free = await client.completions.create({ ...base, max_tokens: 30 });
  const { text } = free.choices[0]!;
  const stop = text.slice(4, 7);
  const before = text.slice(0, text.indexOf(stop));
  const cut = await client.completions.create({ ...base, max_tokens: 30, stop: [stop] });
  expect([cut.choices[0]!.text, cut.choices[0]!.finish_reason]).toEqual([before, "stop"]);
  let streamed = "";
  const stream = await client.completions.create({ ...base, max_tokens: 30, stop, stream: true });
  for await (const chunk of stream) streamed += chunk.choices[0]?.text ?? "";
  expect(streamed).toBe(before);
});

test("chat_goes_through_the_template_streamed_or_not", async () => {
  const ask = {
    model: "tiny",
    messages: [{ role: "user" as const, content: "Hi" }],
    max_tokens: 8,
    seed: 3,
    logprobs: true,
    top_logprobs: 3,
  };
  const whole = await client.chat.completions.create(ask);
  const [choice] = whole.choices;
  expect(choice!.message.role).toBe("assistant");
  expect(choice!.logprobs!.content![0]!.top_logprobs).toHaveLength(3);
  let text = "";
  const tokens: string[] = [];
  for await (const chunk of await client.chat.completions.create({ ...ask, stream: true })) {
    text += chunk.choices[0]?.delta.content ?? "";
    tokens.push(...(chunk.choices[0]?.logprobs?.content ?? []).map((t) => t.token));
  }
  expect(text).toBe(choice!.message.content);
  expect(tokens).toEqual(choice!.logprobs!.content!.map((t) => t.token));
  // The same text as a plain prompt draws the same tokens.
  const prompt = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n";
  const plain = await client.completions.create({
    model: "tiny",
    prompt,
    max_tokens: 8,
    seed: 3,
    stop: "<|im_end|>",
  });
  expect(plain.choices[0]!.text).toBe(text);
});

test("two_hundred_requests_at_once_get_what_they_get_alone", async () => {
  const ask = (i: number) =>
    client.completions.create({
      ...base,
      prompt: `Cat ${i % 10} sat`,
      seed: i % 20,
      max_tokens: 4 + (i % 9),
    });
  const alone = [await ask(3), await ask(17)];
  const all = await Promise.all(Array.from({ length: 200 }, (_, i) => ask(i)));
  expect(all[3]!.choices).toEqual(alone[0]!.choices);
  expect(all[17]!.choices).toEqual(alone[1]!.choices);
  expect(new Set(all.map((c) => c.id)).size).toBe(200);
  await quiet();
}, 60_000);

test("aborted_requests_free_their_places", async () => {
  const controllers = Array.from({ length: 40 }, () => new AbortController());
  const asked = controllers.map(({ signal }, i) => {
    const body = { ...base, n: 4, max_tokens: 100 };
    return i % 2 === 0
      ? client.completions.create(body, { signal })
      : client.completions.create({ ...body, stream: true }, { signal }).then(async (stream) => {
          for await (const _ of stream);
        });
  });
  const settled = Promise.allSettled(asked);
  await new Promise((r) => setTimeout(r, 60));
  for (const c of controllers) c.abort();
  await settled;
  await quiet();
  const after = await client.completions.create(base);
  expect(after.choices[0]!.text).toBe((await client.completions.create(base)).choices[0]!.text);
}, 60_000);

test.each([
  ["{nonsense", 400, /not JSON/],
  ["[1]", 400, /object/],
  ["null", 400, /object/],
  [JSON.stringify({ model: "tiny" }), 400, /prompt/],
  [JSON.stringify({ ...base, n: "two" }), 400, /n: .*number/],
  [JSON.stringify({ ...base, n: 0 }), 400, /n: /],
  [JSON.stringify({ ...base, temperature: -1 }), 400, /temperature/],
  ['{"model":"tiny","prompt":"a","temperature":1e400}', 400, /temperature/],
  [JSON.stringify({ ...base, stop: [""] }), 400, /stop/],
  [JSON.stringify({ ...base, prompt: "" }), 400, /no tokens/],
  [JSON.stringify({ ...base, prompt: [] }), 400, /prompt/],
  [JSON.stringify({ ...base, prompt: [1, -3] }), 400, /prompt/],
  [JSON.stringify({ ...base, prompt: [99_999] }), 400, /outside the vocabulary/],
  [JSON.stringify({ ...base, prompt: "word ".repeat(500) }), 400, /context is 128/],
  [JSON.stringify({ ...base, max_tokens: 0 }), 400, /max_tokens 0/],
  [JSON.stringify({ ...base, max_tokens: 1.5 }), 400, /max_tokens/],
  [JSON.stringify({ ...base, logprobs: 99 }), 400, /logprobs/],
  [JSON.stringify({ ...base, best_of: 3 }), 400, /best_of/],
  [JSON.stringify({ ...base, presence_penalty: 1 }), 400, /presence_penalty is not supported/],
  [JSON.stringify({ ...base, model: "other" }), 404, /no model other/],
  [JSON.stringify({ ...base, prompt: "x".repeat(17 << 20) }), 413, /larger than/],
])("bad_completion_bodies_get_an_openai_error %#", async (body, status, message) => {
  const res = await post("/v1/completions", body);
  expect(res.status).toBe(status);
  const { error } = (await res.json()) as { error: { message: string; type: string } };
  expect(error.message).toMatch(message);
  expect(error.type).toMatch(/_error$/);
});

test.each([
  [{ model: "tiny", messages: [] }, /messages/],
  [{ model: "tiny", messages: [{ role: "alien", content: "x" }] }, /role/],
  [{ model: "tiny", messages: [{ role: "user", content: [{ type: "image_url" }] }] }, /messages/],
  [{ model: "tiny", messages: "hi" }, /messages/],
  [{ model: "tiny", messages: [{ role: "user", content: "word ".repeat(500) }] }, /context is 128/],
  [{ model: "tiny", messages: [{ role: "user", content: "x" }], tools: [{}] }, /tools.0.type/],
  [
    {
      ...{ model: "tiny", messages: [{ role: "user", content: "x" }] },
      tools: [{ type: "function", function: { name: "f" } }],
    },
    /tools is not supported by the chat template/,
  ],
])("bad_chat_bodies_get_an_openai_error %#", async (body, message) => {
  const refused = client.chat.completions.create(body as never);
  await expect(refused).rejects.toThrow(message);
  await expect(refused).rejects.toBeInstanceOf(OpenAI.BadRequestError);
});

test("wrong_paths_methods_and_half_sent_bodies_do_no_harm", async () => {
  expect((await fetch(`${server.url}/nothing`)).status).toBe(404);
  expect((await fetch(`${server.url}/completions`)).status).toBe(405);
  expect((await fetch(`${origin()}/%zz`)).status).toBe(400);
  const { hostname, port } = new URL(server.url);
  await new Promise<void>((resolve) => {
    const headers = { "content-length": 1000, "content-type": "application/json" };
    const half = httpRequest({ hostname, port, path: "/v1/completions", method: "POST", headers });
    half.on("error", () => resolve());
    half.write('{"model":');
    setTimeout(() => half.destroy(), 30);
  });
  expect((await health()).status).toBe("ok");
});

test("what_cannot_be_served_ends_with_its_exit_code", () => {
  const { port } = new URL(server.url);
  const end = (...args: string[]) => nsa(["serve", ...args, "--device", "cpu"]);
  expect(end(run.checkpoint, "--port", port)).toMatchObject({ status: 4 });
  expect(end(run.checkpoint, "--port", "99999").stderr).toMatch(/ports go up to 65535/);
  expect(end(join(run.dir, "nowhere")).status).toBe(3);
  expect(end(run.checkpoint, "--template", "nothing").status).toBe(2);
}, 30_000);

test("sigterm_drains_and_loses_nothing", async () => {
  const own = await startServer(run.checkpoint, ["--max-sequences", "4"]);
  const there = new OpenAI({ baseURL: own.url, apiKey: "none", maxRetries: 0 });
  const ask = { ...base, max_tokens: 100, n: 4 };
  const plain = Array.from({ length: 12 }, (_, seed) => there.completions.create({ ...ask, seed }));
  const streamed = Array.from({ length: 4 }, async (_, seed) => {
    let finished = 0;
    for await (const c of await there.completions.create({ ...ask, seed, stream: true }))
      for (const { finish_reason } of c.choices) if (finish_reason) finished++;
    return finished;
  });
  const at = own.url.replace(/\/v1$/, "");
  for (;;) {
    const { running, waiting } = await json<Health>(await fetch(`${at}/health`));
    if (running + waiting >= 60) break;
  }
  own.child.kill("SIGTERM");
  let told: Response;
  do told = await fetch(`${at}/health`);
  while (told.status === 200);
  expect([told.status, (await json<Health>(told)).status]).toEqual([503, "draining"]);
  await expect(there.completions.create(base)).rejects.toThrow(/shutting down/);
  for (const answer of await Promise.all(plain)) {
    expect(answer.choices.map((c) => c.finish_reason)).toHaveLength(4);
    expect(answer.usage!.completion_tokens).toBeGreaterThan(0);
  }
  expect(await Promise.all(streamed)).toEqual([4, 4, 4, 4]);
  expect(await own.exited).toBe(0);
}, 60_000);

const chatted = { messages: [{ role: "user", content: "Hi" }], max_tokens: 3, temperature: 0 };

test.each<[string, unknown, unknown]>([
  ["repetition_penalty", 1.2, 1],
  ["length_penalty", 2, 1],
  ["stop_token_ids", [5], []],
  ["min_tokens", 8, 0],
  ["ignore_eos", true, false],
  ["continue_final_message", true, false],
  ["add_generation_prompt", false, true],
  ["skip_special_tokens", false, true],
  ["chat_template_kwargs", { enable_thinking: false }, {}],
  ["tool_choice", "required", "auto"],
  ["reasoning_effort", "high", null],
  ["field_of_tomorrow", 0, null],
  ["function_call", { name: "f" }, "auto"],
  ["functions", [{ name: "f" }], []],
  ["logit_bias", { 5: -100 }, {}],
  ["presence_penalty", 0.5, 0],
  ["response_format", { type: "json_object" }, { type: "text" }],
  ["modalities", ["text", "audio"], ["text"]],
  ["typical_p", 0.9, 1],
  ["mirostat", 2, 0],
  ["num_beams", 4, 1],
  ["echo", true, false],
  ["best_of", 2, 1],
  ["documents", [{ text: "a" }], []],
])("the_field_%s_is_refused_unless_it_says_nothing", async (field, value, neutral) => {
  const ask = (x: unknown) => post("/v1/chat/completions", JSON.stringify({ ...chatted, [field]: x }));
  const refused = await ask(value);
  expect(refused.status).toBe(400);
  expect((await json<{ error: object }>(refused)).error).toMatchObject({
    param: field,
    code: "unsupported_parameter",
  });
  expect((await ask(neutral)).status).toBe(200);
});

test.each<[string, object | object[], string | undefined]>([
  [
    "contents in parts",
    {
      role: "user",
      content: [
        { type: "text", text: "H", cache_control: {} },
        { type: "text", text: "i" },
      ],
    },
    undefined,
  ],
  [
    "a picture",
    {
      role: "user",
      content: [
        { type: "text", text: "a" },
        { type: "image_url", image_url: {} },
      ],
    },
    "messages.0.content.1: a part of the type image_url",
  ],
  [
    "a sound",
    { role: "user", content: [{ type: "input_audio", input_audio: {} }] },
    "messages.0.content.0: a part of the type input_audio",
  ],
  [
    "a part without text",
    { role: "user", content: [{ type: "text" }] },
    "messages.0.content.0: it is no part of text",
  ],
  ["a number", { role: "user", content: 5 }, "messages.0.content: it is neither text nor a list"],
  ["a refusal in parts", { role: "assistant", content: [{ type: "refusal", refusal: "Hi" }] }, undefined],
  ["a refusal beside no content", { role: "assistant", content: null, refusal: "Hi" }, undefined],
  ["a refusal beside a content", { role: "assistant", content: "a", refusal: "b" }, "messages.0.refusal"],
  [
    "an answer that is to be continued",
    { role: "assistant", content: "Hi", prefix: true },
    "messages.0.prefix",
  ],
  [
    "a call in the form of old",
    { role: "assistant", content: null, function_call: { name: "f", arguments: "{}" } },
    "messages.0.function_call",
  ],
  [
    "a field of tomorrow",
    { role: "user", content: "Hi", weight_of_tomorrow: 1 },
    "messages.0.weight_of_tomorrow",
  ],
  [
    "fields that say nothing",
    {
      role: "assistant",
      content: "Hi",
      refusal: null,
      audio: null,
      function_call: null,
      annotations: [],
      tool_calls: [],
      prefix: false,
      id: "m",
    },
    undefined,
  ],
])("a_message_with_%s_is_read_or_refused_by_name", async (_, message, why) => {
  const answer = await post("/v1/chat/completions", JSON.stringify({ ...chatted, messages: [message] }));
  if (why === undefined) {
    // Each says Hi.
    const { role } = message as { role: string };
    const plain = await post(
      "/v1/chat/completions",
      JSON.stringify({ ...chatted, messages: [{ role, content: "Hi" }] }),
    );
    const answerOf = async (response: Response) =>
      (await json<{ choices: object[]; usage: object }>(response)) as { choices: object[]; usage: object };
    const [got, wanted] = [await answerOf(answer), await answerOf(plain)];
    expect([got.choices, got.usage]).toEqual([wanted.choices, wanted.usage]);
    return;
  }
  expect(answer.status).toBe(400);
  expect((await json<{ error: { message: string } }>(answer)).error.message).toContain(why);
});

test.each<[object, string]>([
  [{ top_logprobs: 3 }, "top_logprobs"],
  [{ stream_options: { of_tomorrow: 1 } }, "stream_options"],
  [{ tools: [{ type: "function", function: { name: "f", strict: true } }] }, "tools.0.function.strict"],
  [{ tools: [{ type: "custom", custom: { name: "f" } }] }, "tools.0.type"],
])("what_a_field_asks_for_inside_is_refused_by_name %j", async (more, param) => {
  const answer = await post("/v1/chat/completions", JSON.stringify({ ...chatted, ...more }));
  expect(answer.status).toBe(400);
  expect((await json<{ error: object }>(answer)).error).toMatchObject({ param });
});

test("fields_about_the_client_pass", async () => {
  const body = { ...chatted, user: "u", metadata: { a: "b" }, store: false, service_tier: "auto" };
  expect((await post("/v1/chat/completions", JSON.stringify(body))).status).toBe(200);
});

test("turns_that_the_api_itself_makes_are_taken_back", async () => {
  const call = { id: "a", type: "function", function: { name: "f", arguments: "{}" } };
  const contents = [
    { content: null, tool_calls: [call] },
    { content: null },
    { content: [{ type: "text", text: "a" }] },
    {},
  ];
  for (const fields of contents) {
    const messages = [
      { role: "user", content: "x" },
      { role: "assistant", refusal: null, ...fields },
      { role: "user", content: "y" },
    ];
    const answer = await post("/v1/chat/completions", JSON.stringify({ ...chatted, messages }));
    expect(answer.status, JSON.stringify(fields)).toBe(200);
  }
});

test("seeds_of_64_bits_and_below_0_are_seeds_of_their_own", async () => {
  const text = async (seed: string) => {
    const body = `{"prompt":"The cat ","max_tokens":12,"temperature":2,"seed":${seed}}`;
    const answer = await post("/v1/completions", body);
    expect(answer.status, seed).toBe(200);
    return (await json<{ choices: { text: string }[] }>(answer)).choices[0]!.text;
  };
  const seeds = ["7", "-7", "1234567890123456789", "-1234567890123456789", "18446744073709551615"];
  const texts: string[] = [];
  for (const seed of seeds) texts.push(await text(seed));
  expect(new Set(texts).size).toBe(5);
  expect(await text("-7")).toBe(texts[1]);
  for (const seed of ["1.5", "1e40"])
    expect((await post("/v1/completions", `{"prompt":"a","seed":${seed}}`)).status).toBe(400);
});

test("paths_that_are_not_served_are_404_and_doubled_slashes_are_one", async () => {
  for (const path of ["/v1/embeddings", "/v1/responses", "/nothing", "//"])
    expect((await post(path, "{}")).status, path).toBe(404);
  expect((await post("/v1//chat/completions", JSON.stringify(chatted))).status).toBe(200);
  for (const path of ["//", "/x//y"]) expect((await fetch(origin() + path)).status, path).toBe(404);
  expect((await post("/health", "{}")).status).toBe(405);
  expect((await fetch(`${origin()}/v1/completions`)).status).toBe(405);
});
