// Turns as chat templates write them when they are last: history that is rewritten, thoughts that are opened, calls of tools, records
// that no template can write.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Tokenizer, trainBpe } from "@nsa/data";
import { chainsOf, encodeSegments, findTemplate, jinjaTemplate } from "@nsa/tasks";
import { afterAll, expect, test } from "vitest";
import { readExamples } from "../src/index.ts";

const dir = mkdtempSync(join(tmpdir(), "nsa-chat-turns-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const json = trainBpe(["user assistant 1+1? 2 and 2+2? 4 think answer"], {
  vocabSize: 300,
  preTokenizer: "digits",
  specialTokens: ["<|endoftext|>"],
});
const tokenizer = new Tokenizer(json);
const user = (content: string) => ({ role: "user", content });
const says = (content: string) => ({ role: "assistant", content });
const talk = [user("1+1?"), says("2"), user("2+2?"), says("4"), user("and?"), says("6")];
const at = (source: string) => jinjaTemplate(source, { place: "t" });

const turn = "{{ '<' + m.role + '>' + m.content + '\\n' }}";
const last = "(loop.index0 > ns.at)";
const lastQuestion =
  "{%- set ns = namespace(at=-1) %}{%- for m in messages %}{%- if m.role == 'user' %}{%- set ns.at = loop.index0 %}{%- endif %}{%- endfor %}";

/** Each template with what it teaches of `talk`: chain by chain, learned texts in brackets. */
const templates: Record<string, [string, string[]]> = {
  "one that only appends": [
    `{% for m in messages %}${turn}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}`,
    ["<user>1+1?\n<assistant>[2\n]<user>2+2?\n<assistant>[4\n]<user>and?\n<assistant>[6\n]"],
  ],
  "Qwen3's thoughts, written in the last turn alone": [
    `${lastQuestion}{%- for m in messages %}{%- if m.role == 'assistant' %}{{- '<assistant>' + ('<think></think>' if ${last} else '') + m.content + '\\n' }}{%- else %}{{- '<' + m.role + '>' + m.content + '\\n' }}{%- endif %}{%- endfor %}{%- if add_generation_prompt %}{{- '<assistant>' }}{%- endif %}`,
    [
      "<user>1+1?\n<assistant>[<think></think>2\n]",
      "<user>1+1?\n<assistant>2\n<user>2+2?\n<assistant>[<think></think>4\n]",
      "<user>1+1?\n<assistant>2\n<user>2+2?\n<assistant>4\n<user>and?\n<assistant>[<think></think>6\n]",
    ],
  ],
  "R1's, which opens a thought for generation and writes none": [
    `{% for m in messages %}${turn}{% endfor %}{% if add_generation_prompt %}<assistant><think>\n{% endif %}`,
    ["<user>1+1?\n<assistant>[2\n]<user>2+2?\n<assistant>[4\n]<user>and?\n<assistant>[6\n]"],
  ],
  "one that counts the turns in front": [
    `{{ messages | length }}{% for m in messages %}${turn}{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}`,
    [
      "2<user>1+1?\n<assistant>[2\n]",
      "4<user>1+1?\n<assistant>2\n<user>2+2?\n<assistant>[4\n]",
      "6<user>1+1?\n<assistant>2\n<user>2+2?\n<assistant>4\n<user>and?\n<assistant>[6\n]",
    ],
  ],
  "one that keeps the last question alone": [
    `${lastQuestion}{%- for m in messages %}{%- if loop.index0 >= ns.at %}{{- '<' + m.role + '>' + m.content + '|' }}{%- endif %}{%- endfor %}{%- if add_generation_prompt %}{{- '<assistant>' }}{%- endif %}`,
    ["<user>1+1?|<assistant>[2|]", "<user>2+2?|<assistant>[4|]", "<user>and?|<assistant>[6|]"],
  ],
  "one that marks only finished conversations": [
    `{% for m in messages %}{{ m.content }}{% if not loop.last %},{% endif %}{% endfor %}{% if add_generation_prompt %},{% else %}!{% endif %}`,
    ["1+1?,[2!]", "1+1?,2,2+2?,[4!]", "1+1?,2,2+2?,4,and?,[6!]"],
  ],
};

test.each(Object.entries(templates))("%s", (_, [source, expected]) => {
  const template = at(source);
  const chains = chainsOf(template, talk, "x:1");
  expect(
    chains.map((chain) => chain.map(({ text, learned }) => (learned ? `[${text}]` : text)).join("")),
  ).toEqual(expected);
  // Every turn is learned once, in the rendering whose last it is.
  expect(chains.flat().flatMap((s) => s.turn ?? [])).toEqual([1, 3, 5]);
  for (const chain of chains) {
    const end = chain.at(-1)!.turn!;
    expect(chain.map((s) => s.text).join("")).toBe(template.render(talk.slice(0, end + 1), false));
  }
});

test("a_thought_in_the_content_is_learned_behind_the_prompt_that_opens_it", () => {
  const template = at(
    `{% for m in messages %}${turn}{% endfor %}{% if add_generation_prompt %}<assistant><think>\n{% endif %}`,
  );
  const [chain] = chainsOf(template, [user("1+1?"), says("<think>\none and one</think>2")], "x");
  expect(chain!.map((s) => s.text)).toEqual(["<user>1+1?\n<assistant><think>\n", "one and one</think>2\n"]);
});

test("a_turn_that_the_template_leaves_out_is_not_guessed", () => {
  const template = at("{{ messages | length }}{% for m in messages %}{{ m.role }}{% endfor %}");
  const error = { code: "chat_refused", exitCode: 2, what: expect.stringContaining("turn 2") };
  expect(() => chainsOf(template, talk, "x:1")).toThrowError(expect.objectContaining(error));
});

const begins = new Tokenizer({
  ...json,
  post_processor: {
    type: "TemplateProcessing",
    single: [{ SpecialToken: { id: "b", type_id: 0 } }, { Sequence: { id: "A", type_id: 0 } }],
    pair: [],
    special_tokens: { b: { id: "b", ids: [0], tokens: ["<|endoftext|>"] } },
  },
});

test("a_token_in_front_of_texts_stands_once_before_a_conversation_and_is_not_learned", () => {
  const [chain] = chainsOf(findTemplate("plain"), talk, "x");
  const [plain, framed] = [tokenizer, begins].map((t) => encodeSegments(t, chain!));
  expect([...framed!.ids]).toEqual([0, ...plain!.ids]);
  expect([...framed!.learned]).toEqual([0, ...plain!.learned]);
  const alone = encodeSegments(begins, [{ text: "2", learned: true }]);
  expect([...alone.learned]).toEqual([0, 1, 1]);
  const inner = encodeSegments(begins, [{ text: "2", learned: true }], { inner: true });
  expect([...inner.learned]).toEqual([1, 1]);
});

const call = (args: unknown) => ({
  role: "assistant",
  content: "",
  tool_calls: [{ type: "function", function: { name: "sum", arguments: args } }],
});
const knowing =
  "{% if tools %}{{ tools | tojson }}{% endif %}{% for m in messages %}{{ '<' + m.role + '>' + m.content }}" +
  "{% for c in m.tool_calls or [] %}{{ c.function.name + (c.function.arguments | tojson) }}{% endfor %}{{ '\\n' }}{% endfor %}" +
  "{% if add_generation_prompt %}<assistant>{% endif %}";

test("calls_of_tools_are_written_by_templates_that_know_them_with_arguments_as_objects", () => {
  const used = [user("1+1?"), call('{"a":1}'), { role: "tool", content: "2" }, says("2")];
  const [chain] = chainsOf(at(knowing), used, "x", [{ name: "sum" }]);
  expect(chain!.map((s) => s.text)).toEqual([
    '[{"name": "sum"}]<user>1+1?\n<assistant>',
    'sum{"a": 1}\n',
    "<tool>2\n<assistant>",
    "2\n",
  ]);
  // A template that joins them as text gets the text.
  const joining = at(knowing.replace("(c.function.arguments | tojson)", "'=' + c.function.arguments"));
  expect(joining.render([user("x"), call('{"a":1}')], false)).toBe('<user>x\n<assistant>sum={"a":1}\n');
  const error = { code: "chat_refused", exitCode: 2 };
  for (const [messages, tools] of [
    [used, []],
    [talk, [{ name: "sum" }]],
  ] as const)
    expect(() => findTemplate("chatml").render([...messages], false, tools)).toThrowError(
      expect.objectContaining(error),
    );
});

function read(rows: object[], template: string, log: (text: string) => void = () => {}) {
  const file = join(dir, "rows.jsonl");
  writeFileSync(file, rows.map((row) => JSON.stringify(row)).join("\n"));
  const chat = template.includes("{") ? at(template) : findTemplate(template);
  const sources = [{ files: [file], format: "chat", messages: "messages" }];
  return readExamples({ sources, seqLen: 400, chat }, tokenizer, log);
}

test("records_that_cannot_be_rendered_are_left_out_and_counted", () => {
  const said: string[] = [];
  const alternating =
    "{% for m in messages %}{% if m.role not in ['user', 'assistant'] %}{{ raise_exception('no such role') }}{% endif %}{{ m.content }};{% endfor %}";
  const rows = [
    { messages: [user("1+1?"), says("2")] },
    { messages: [user("1+1?"), call("{}"), says("2")] },
    { messages: [{ role: "oracle", content: "hm" }, says("2")] },
    { messages: [user("x")] },
    { messages: "x" },
    { other: 1 },
    { messages: [user("x"), { role: "assistant", content: { a: 1 } }] },
    { messages: [user("2+2?"), says("4")] },
  ];
  const examples = read(rows, alternating, (text) => said.push(text));
  expect(examples.map((e) => tokenizer.decode(e.ids))).toEqual(["1+1?;2;", "2+2?;4;"]);
  expect(said).toEqual([
    expect.stringMatching(/^6 conversations that cannot be rendered were left out; the first: .*tool_calls/),
  ]);
});

test("a_file_of_which_nothing_can_be_rendered_is_refused_with_the_reason", () => {
  const refused = expect.objectContaining({ code: "chat_refused", exitCode: 2 });
  expect(() => read([{ messages: [user("x"), call("{}")] }], "chatml")).toThrowError(refused);
});

test("contents_of_null_and_in_parts_are_read", () => {
  const rows = [
    { messages: [user("1+1?"), { role: "assistant", content: null }, user("2+2?"), says("4")] },
    {
      messages: [
        {
          role: "user",
          content: [
            { type: "text", text: "a" },
            { type: "text", text: "b" },
          ],
        },
        says("2"),
      ],
    },
  ];
  const texts = read(rows, "chatml").map((e) => tokenizer.decode(e.ids));
  expect(texts[0]).toBe(
    "<|im_start|>user\n1+1?<|im_end|>\n<|im_start|>assistant\n<|im_end|>\n<|im_start|>user\n2+2?<|im_end|>\n<|im_start|>assistant\n4<|im_end|>\n",
  );
  expect(texts[1]).toContain("user\nab<|im_end|>");
});

test("a_conversation_whose_history_is_rewritten_becomes_an_example_for_each_turn", () => {
  const [source, expected] = templates["Qwen3's thoughts, written in the last turn alone"]!;
  const examples = read([{ messages: talk }], source);
  expect(examples).toHaveLength(3);
  for (const [i, { ids, learned, promptLength }] of examples.entries()) {
    const text = (flag: number) => tokenizer.decode(Array.from(ids).filter((_, n) => learned![n] === flag));
    const [, prompt, answer] = /^(.*)\[(.*)\]$/s.exec(expected[i]!)!;
    expect([text(0), text(1), promptLength]).toEqual([prompt, answer, tokenizer.encode(prompt!).length]);
  }
});
