// Calls of functions through POST /v1/chat/completions: the template gets the tools, the answer's calls take the API's form.
import { jinjaTemplate } from "@nsa/tasks";
import { expect, test } from "vitest";
import { chatCompletions } from "../src/chat-completions.ts";

/** Writes tools and calls; nothing else of it matters here. */
const TEMPLATE =
  "{% if tools %}{{ 'T:' + (tools | tojson) }}{% endif %}{% for m in messages %}{{ m.role + ':' + m.content + ';' }}" +
  "{% for c in m.tool_calls or [] %}{{ c.function.name }}{% endfor %}{% endfor %}";
const plain = jinjaTemplate("{% for m in messages %}{{ m.content }}{% endfor %}", { place: "plain" });
const writes = jinjaTemplate(TEMPLATE, { place: "tools" });

const CALL = '<tool_call>\n{"name": "sum", "arguments": {"a": 1, "b": 2}}\n</tool_call>';

/** One request to a service whose model writes `text`. */
async function ask(body: object, text: string, template = writes) {
  let prompt = "";
  const tokenizer = {
    encode: (t: string) => [...t].map((c) => c.codePointAt(0)!),
    decode: (ids: number[]) => String.fromCodePoint(...ids),
    stream: () => ({ push: (id: number) => String.fromCodePoint(id), end: () => "" }),
    eosIds: [0],
    isSpecial: () => false,
  };
  const service = {
    session: {
      ...{ template, tokenizer, longestToken: 1, model: { config: { maxSeqLen: 4096 } }, name: "tiny" },
      encode: async (words: string) => tokenizer.encode(words),
    },
    scheduler: {
      complete: async (request: { prompt: number[] }) => {
        prompt = tokenizer.decode(request.prompt);
        return [{ ids: tokenizer.encode(text), logp: [], keptLogmass: [], finish: "stop" }];
      },
    },
    metrics: { promptTokens: 0, generatedTokens: 0 },
  };
  let [out, status] = ["", 200];
  const res = {
    writeHead: (code: number) => {
      status = code;
      return res;
    },
    setHeader: () => res,
    flushHeaders() {},
    write: (data: string) => {
      out += data;
      return true;
    },
    end: (data?: string) => {
      out += data ?? "";
    },
  };
  const whole = { model: "tiny", messages: [{ role: "user", content: "1+2" }], ...body };
  await chatCompletions(service as never, whole, res as never, new AbortController().signal);
  return { prompt, out, status };
}

const tools = [
  {
    type: "function",
    function: { name: "sum", parameters: { type: "object", properties: { a: {}, b: {} } } },
  },
];

test("calls_take_the_api_s_form_and_the_prompt_has_the_tools", async () => {
  const { prompt, out } = await ask({ tools }, `I add.\n${CALL}`);
  expect(prompt).toContain('"name": "sum"');
  expect(prompt).toContain("user:1+2;");
  const { choices } = JSON.parse(out);
  expect(choices[0]).toMatchObject({
    finish_reason: "tool_calls",
    message: { role: "assistant", content: "I add." },
  });
  const [call] = choices[0].message.tool_calls;
  expect(call).toMatchObject({ type: "function", function: { name: "sum" } });
  expect(call.id).toMatch(/^call_\w{24}$/);
  expect(JSON.parse(call.function.arguments)).toEqual({ a: 1, b: 2 });
});

test("a_text_and_calls_that_are_none_stay_text", async () => {
  for (const [body, text] of [
    [{ tools }, "The answer is 3."],
    [{ tools }, "<tool_call>{oops}</tool_call>"],
    [{ tools, tool_choice: "none" }, CALL],
    [{}, CALL],
  ] as const) {
    const { choices } = JSON.parse((await ask(body, text)).out);
    expect(choices[0]).toMatchObject({ finish_reason: "stop", message: { content: text } });
    expect(choices[0].message.tool_calls).toBeUndefined();
  }
  expect((await ask({ tools, tool_choice: "none" }, "x")).prompt).not.toContain("T:");
});

test("a_stream_sends_a_call_whole_and_its_end", async () => {
  const { out } = await ask({ tools, stream: true, stream_options: { include_usage: true } }, CALL);
  const events = out.split("\n\n").filter((line) => line !== "");
  expect(events.at(-1)).toBe("data: [DONE]");
  const chunks = events.slice(0, -1).map((line) => JSON.parse(line.slice(6)));
  expect(chunks[0].choices[0].delta.tool_calls[0]).toMatchObject({ index: 0, function: { name: "sum" } });
  expect(chunks[1].choices[0]).toMatchObject({ delta: {}, finish_reason: "tool_calls" });
  expect(chunks[2].usage.completion_tokens).toBe(CALL.length);
});

test("a_template_without_tools_refuses_them", async () => {
  await expect(ask({ tools }, "x", plain)).rejects.toThrow(
    "tools is not supported by the chat template of this model",
  );
  await expect(ask({ tools: [{ type: "search" }] }, "x")).rejects.toThrow(/tools/);
  await expect(ask({ tools, tool_choice: "required" }, "x")).rejects.toThrow(/tool_choice/);
});

test("one_call_at_most_is_refused_by_name", async () => {
  const refused = ask({ tools, parallel_tool_calls: false }, CALL);
  await expect(refused).rejects.toMatchObject({ fields: { param: "parallel_tool_calls" } });
  const { status } = await ask({ tools, tool_choice: "none", parallel_tool_calls: false }, "3");
  expect(status).toBe(200);
});

test("fields_of_a_message_that_the_template_names_reach_it", async () => {
  const channel = jinjaTemplate("{% for m in messages %}{{ m.channel }}{{ m.content }}{% endfor %}", {
    place: "channel",
  });
  const messages = [{ role: "user", content: "x", channel: "c" }];
  expect((await ask({ messages }, "3", channel)).prompt).toBe("cx");
  await expect(ask({ messages }, "3", plain)).rejects.toMatchObject({
    fields: { param: "messages.0.channel" },
  });
});
