// Conversations: templates, mistakes with line and column, loss on the assistant's tokens alone, and training on them.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openStageContext, parseConfig } from "@nsa/core";
import { Tokenizer, trainBpe } from "@nsa/data";
import { Device } from "@nsa/kernels";
import {
  exportHuggingFace,
  importHuggingFace,
  resolveModelConfig,
  saveCheckpoint,
  Transformer,
} from "@nsa/model";
import {
  chainsOf,
  encodeSegments,
  findTemplate,
  folderTemplate,
  jinjaTemplate,
  type Segment,
} from "@nsa/tasks";
import { afterAll, expect, test } from "vitest";
import { packExamples, readExamples, runSft, sftSchema } from "../src/index.ts";
import { Trainer } from "../src/trainer.ts";

const dir = mkdtempSync(join(tmpdir(), "nsa-chat-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));
const talk = [
  { role: "system", content: "Be kind." },
  { role: "user", content: "1+1?" },
  { role: "assistant", content: "2" },
  { role: "user", content: "And 2+2?" },
  { role: "assistant", content: "4" },
];
const tokenizer = new Tokenizer(
  trainBpe(["user assistant 1+1? 2 And 2+2? 4 Be kind."], {
    vocabSize: 300,
    preTokenizer: "digits",
    specialTokens: ["<|endoftext|>"],
  }),
);

test("chatml_plain_and_r1_zero_read_as_their_papers_write_them", () => {
  expect(findTemplate("chatml").render(talk.slice(0, 2), true)).toBe(
    "<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\n1+1?<|im_end|>\n<|im_start|>assistant\n",
  );
  expect(findTemplate("plain").render(talk, false)).toBe(
    "Be kind.\n\nQuestion: 1+1?\nAnswer: 2\n\nQuestion: And 2+2?\nAnswer: 4\n\n",
  );
  const r1 = findTemplate("r1_zero").render([{ role: "user", content: "1+1?" }], true);
  expect(r1).toMatch(/^A conversation between User and Assistant\. .* User: 1\+1\?\. Assistant:$/);
});

test("a_tokenizer_config_gives_its_own_template_with_its_tokens", () => {
  const folder = join(dir, "hf");
  mkdirSync(folder);
  expect(folderTemplate(folder)).toBeUndefined();
  const chat_template =
    "{{ bos_token }}{% for m in messages %}[{{ m['role'] }}]{{ m.content | trim }}{{ eos_token }}{% endfor %}";
  writeFileSync(
    join(folder, "tokenizer_config.json"),
    JSON.stringify({ chat_template, bos_token: "<s>", eos_token: { content: "</s>" } }),
  );
  const template = folderTemplate(folder)!;
  expect(template.render([{ role: "user", content: " hi " }], true)).toBe("<s>[user]hi</s>");
  expect(template.stop).toEqual(["</s>"]);
});

test.each([
  ["{{ a b }}", "1:1"],
  ["ok\n  {% if x %}\nend", "2:3"],
  ["{% for m in messages %}\n{{ m.role }}\n\n   {{ m.content", "4:4"],
  ["{% if x %}\n{% endfor %}", "2:1"],
  ["a\n{% foo %}", "2:1"],
  ["{% set x = %}", "1:1"],
  ["\n\n{% endif %}", "3:1"],
  ["{% for m in x %}{% else %}{% elif y %}{% endfor %}", "1:27"],
  ["{{ '%}' }}\n{{ ) }}", "2:1"],
])("a_mistake_is_told_with_line_and_column %j", (source, place) => {
  expect(() => jinjaTemplate(source, { place: "t.jinja" })).toThrowError(
    expect.objectContaining({ code: "chat_template_invalid", what: `t.jinja:${place}`, exitCode: 2 }),
  );
});

test("a_template_that_refuses_says_why", () => {
  const template = jinjaTemplate("{{ raise_exception('roles must alternate') }}", { place: "t" });
  expect(() => template.render(talk, true)).toThrowError(/roles must alternate/);
});

for (const name of ["chatml", "plain", "r1_zero"]) {
  test(`only_the_assistants_tokens_are_learned_${name}`, () => {
    const template = findTemplate(name);
    const [segments, ...others] = chainsOf(template, talk, "here") as [Segment[]];
    expect(others).toEqual([]);
    expect(segments.map((s) => s.text).join("")).toBe(template.render(talk, false));
    expect(segments.map((s) => s.learned)).toEqual([false, true, false, true]);
    const { ids, learned } = encodeSegments(tokenizer, segments);
    const kept = (flag: number) => tokenizer.decode(Array.from(ids).filter((_, i) => learned[i] === flag));
    const ending = { chatml: "<|im_end|>\n", plain: "\n\n", r1_zero: "" }[name]!;
    const space = name === "chatml" ? "" : " ";
    expect(kept(1)).toBe(`${space}2${ending}${space}4${ending}`);
    expect(kept(0)).toContain("And 2+2?");
    expect([ids.at(-1), learned.at(-1)]).toEqual([tokenizer.eosId, 1]);
    // The tokens before the first answer are those that a server would send.
    const prompt = tokenizer.encode(template.render(talk.slice(0, 2), true));
    expect([...ids.subarray(0, learned.indexOf(1))]).toEqual(prompt);
    const { targets, lossWeight } = packExamples(
      [{ ids, learned, promptLength: 0, format: "chat", prompt: "" }],
      [0],
    );
    for (let t = 0; t + 1 < ids.length; t++) {
      expect([targets[t], lossWeight[t]]).toEqual(learned[t + 1] ? [ids[t + 1], 1] : [-1, 0]);
    }
  });
}

const config = resolveModelConfig({
  vocabSize: tokenizer.vocabSize,
  dModel: 16,
  numLayers: 1,
  numHeads: 2,
  numKvHeads: 1,
  dFf: 24,
  attention: "full",
  maxSeqLen: 128,
});

test("the_packed_loss_of_a_batch_equals_the_unpacked_loss", () => {
  const device = Device.open("cpu", { threads: 1 });
  const model = new Transformer(device, config);
  model.parameters.init(3);
  const trainer = new Trainer(model, 10);
  const examples = [2, 4, 5].map((n) => {
    const turns = n === 4 ? talk.slice(1, 3) : talk.slice(0, n === 2 ? 3 : 5);
    const { ids, learned } = encodeSegments(tokenizer, chainsOf(findTemplate("chatml"), turns, "")[0]!);
    return { ids, learned, promptLength: 0, format: "chat", prompt: "" };
  });
  const packed = trainer.evaluate([packExamples(examples, [0, 1, 2])]).loss;
  const weights = examples.map((e) => e.learned.reduce((a, b) => a + b, 0));
  const apart = examples.map((_, i) => trainer.evaluate([packExamples(examples, [i])]).loss);
  const sum = weights.reduce((a, b) => a + b, 0);
  const mean = apart.reduce((a, loss, i) => a + loss * weights[i]!, 0) / sum;
  expect(Math.abs(packed - mean)).toBeLessThan(1e-6);
  expect(new Set(apart).size).toBe(3);
  model.free();
  device.close();
});

test("an_imported_hugging_face_checkpoint_is_tuned_on_conversations_and_keeps_its_template", async () => {
  const device = Device.open("cpu", { threads: 1 });
  const model = new Transformer(device, config);
  model.parameters.init(4);
  const [hub, base] = [join(dir, "hub"), join(dir, "base")];
  const generation = { temperature: 0.7, eos_token_id: [0, 5] };
  const files = {
    "tokenizer.json": JSON.stringify(tokenizer.json),
    "generation_config.json": JSON.stringify(generation),
    "chat_template.jinja": "of another model",
  };
  await exportHuggingFace(model, hub, files);
  await saveCheckpoint(base, { model: importHuggingFace(device, hub), step: 0, files });
  device.close();
  const lines = Array.from({ length: 30 }, () => JSON.stringify({ messages: talk }));
  writeFileSync(join(dir, "talk.jsonl"), `${lines.join("\n")}\n`);
  const recipe = {
    init_from: base,
    threads: 1,
    data: {
      sources: [{ files: [join(dir, "talk.jsonl")], messages: "messages", format: "chat" }],
      chat_template: "plain",
    },
    train: { steps: 80, micro_batch_tokens: 256, seq_len: 128, optimizer: { lr: 0.02 }, eval_every: 0 },
    sample: { prompts: 1, max_tokens: 4 },
  };
  const runDir = join(dir, "run");
  mkdirSync(join(runDir, "checkpoints"), { recursive: true });
  const context = openStageContext({ runDir, device: "cpu" });
  const { outputs, metrics } = await runSft(parseConfig(sftSchema, recipe, "test"), context);
  await context.close();
  expect(metrics["val/loss"]).toBeLessThan(0.5);
  expect(readFileSync(join(runDir, "metrics.jsonl"), "utf8")).toContain('"val/loss_chat"');
  expect(readFileSync(join(runDir, "samples.jsonl"), "utf8")).toContain("Question: 1+1?");
  expect(folderTemplate(outputs.checkpoint!)!.source).toBe(findTemplate("plain").source);
  const kept = readFileSync(join(outputs.checkpoint!, "generation_config.json"), "utf8");
  expect(JSON.parse(kept)).toEqual(generation);
});

test("examples_without_a_token_to_learn_are_left_out_and_counted", () => {
  const file = join(dir, "empty.jsonl");
  const turns = (answer: string) => [
    { role: "user", content: "x" },
    { role: "assistant", content: answer },
  ];
  const rows = ["yes", "", "no"].map((answer) => ({ q: answer && "x", a: answer, messages: turns(answer) }));
  writeFileSync(file, rows.map((row) => JSON.stringify(row)).join("\n"));
  const bare = `{% for m in messages %}{{ m.content }}{% endfor %}`;
  const said: string[] = [];
  const read = (source: object, chat?: ReturnType<typeof findTemplate>) =>
    readExamples({ sources: [{ files: [file], ...source }] as never, seqLen: 99, chat }, tokenizer, (text) =>
      said.push(text),
    ).length;
  expect(read({ format: "cot", prompt: "{q}", completion: "{a}" })).toBe(2);
  const template = join(dir, "bare.jinja");
  writeFileSync(template, bare);
  expect(read({ format: "chat", messages: "messages" }, findTemplate(template))).toBe(2);
  expect(said).toEqual(Array(2).fill("1 examples without a token to learn were left out"));
});

test.each([
  [{ messages: "messages", prompt: "x" }, "sft_source_invalid", 2, {}],
  [{ prompt: "x" }, "sft_source_invalid", 2, {}],
  [{ messages: "messages" }, "data_not_a_conversation", 3, { messages: [{ role: "user", content: "x" }] }],
  [{ messages: "messages" }, "data_not_a_conversation", 3, { messages: [{ role: "user" }] }],
  [{ messages: "messages" }, "data_not_a_conversation", 3, { other: 1 }],
])("bad_conversations_are_refused %#", (fields, code, exitCode, record) => {
  const file = join(dir, "bad.jsonl");
  writeFileSync(file, `${JSON.stringify(record)}\n`);
  const sources = [{ files: [file], format: "chat", ...fields }];
  const read = () => readExamples({ sources, seqLen: 99, chat: findTemplate("plain") }, tokenizer, () => {});
  expect(read).toThrowError(expect.objectContaining({ code, exitCode }));
});
