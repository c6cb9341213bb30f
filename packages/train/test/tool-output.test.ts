// What a tool wrote into an answer carries no loss: its place in the text, and the weight of every token by hand.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { loadConfig, parseConfig } from "@nsa/core";
import { Tokenizer, trainBpe } from "@nsa/data";
import { findTemplate } from "@nsa/tasks";
import { afterAll, expect, test } from "vitest";
import { encodeAnswer, toolOutputs } from "../../tasks/src/chat/tool-output.ts";
import { packExamples, readExamples, sftSchema } from "../src/index.ts";

const dir = mkdtempSync(join(tmpdir(), "nsa-tool-output-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const FENCE = "```";
/** The answer's text with outputs in ⟦ ⟧. */
function marked(text: string): string {
  const places = toolOutputs(text).reverse();
  return places.reduce(
    (t, { start, end }) => `${t.slice(0, start)}⟦${t.slice(start, end)}⟧${t.slice(end)}`,
    text,
  );
}

test("an_output_is_what_stands_behind_its_opening_fence_with_the_closing_line", () => {
  for (const text of [
    `${FENCE}python\nprint(2)\n${FENCE}\n${FENCE}output⟦\n2\n${FENCE}\n⟧So 2.`,
    `a ${FENCE}output⟦\n2\n${FENCE}⟧`,
    `${FENCE}output⟦\n${FENCE}\n⟧x`,
    // Two outputs, Windows line ends, longer and other fences, an output that holds a fence of another kind.
    `${FENCE}output⟦\n1\n${FENCE}\n⟧b\n${FENCE}output⟦\n2\n${FENCE}\n⟧c`,
    `${FENCE}output⟦\r\n2\r\n${FENCE}\r\n⟧x`,
    `~~~~output⟦\n~~~\n${FENCE}\n~~~~\n⟧x`,
    `${FENCE}\`Output⟦\n${FENCE}\n2\n${FENCE}\`\n⟧x`,
    `${FENCE} stdout⟦\n2\n${FENCE}\n⟧x`,
    // An output that never ends, and a program without its closing fence.
    `a\n${FENCE}output⟦\n2 and so on⟧`,
    `${FENCE}python\nprint(2)\n${FENCE}output⟦\n2\n${FENCE}\n⟧x`,
    "a ⟦<tool_response>2 </answer></tool_response>⟧ b",
    "⟦<interpreter>\n2\n```output\n</interpreter>⟧ b",
    "⟦<tool_output>never ended⟧",
    // Quoted and indented blocks end by fences with the same marks; what stands behind them is learned.
    `> ${FENCE}output⟦\n> 2\n> ${FENCE}\n⟧So 2.`,
    `1. Run:\n    ${FENCE}output⟦\n    2\n    ${FENCE}\n⟧So 2.`,
    `\t${FENCE}output⟦\n\t2\n\t${FENCE}\n⟧So 2.`,
    // A mention before an output does not open it.
    "Use <interpreter> here: ⟦<interpreter>5</interpreter>⟧ So 5.",
    `I write ${FENCE}output blocks.\n${FENCE}output⟦\n5\n${FENCE}\n⟧So 5.`,
    `${FENCE}python\nprint("${FENCE}output")\n${FENCE}\n${FENCE}output⟦\n${FENCE}\n⟧So.`,
  ])
    expect(marked(text.replace(/[⟦⟧]/g, ""))).toBe(text);
  for (const text of [
    "the output is 2",
    `${FENCE}python\nprint("output")\n${FENCE}`,
    `${FENCE}outputs_of_x\n2\n${FENCE}`,
    "<answer> 2 </answer>",
    // Only mentioned: in a sentence, in a program's text, in a block of another kind.
    `I write ${FENCE}output blocks after code. The answer is 5.`,
    `${FENCE}output blocks come after code. The answer is 5.`,
    `A block begins with ${FENCE}output\nand ends somewhere.`,
    "Use <interpreter> here. Answer 5.",
    `${FENCE}python\nprint("${FENCE}output")\nprint("<interpreter>")\n${FENCE}\nAnswer 5.`,
    `${FENCE}python\nprint("""\nx ${FENCE}output\n""")\n${FENCE}\nAnswer 5.`,
    `${FENCE}\`markdown\n${FENCE}output\n5\n${FENCE}\n${FENCE}\`\nAnswer 5.`,
    `~~~\n${FENCE}output\n5\n${FENCE}\n~~~\nAnswer 5.`,
    "",
  ])
    expect(marked(text)).toBe(text);
});

const text = `Let me run it.\n${FENCE}python\nprint(25*2)\n${FENCE}\n${FENCE}output\n50.0\n${FENCE}\nThe answer is 50.`;
const tokenizer = new Tokenizer(
  trainBpe([text, text, "Q: how many? A:", "user assistant tool"], {
    vocabSize: 320,
    preTokenizer: "digits",
    specialTokens: ["<|endoftext|>"],
  }),
);
/** The learned text of an example: its tokens with weight, joined. */
const learnedText = (ids: Int32Array, learned: ArrayLike<number>) =>
  tokenizer.decode([...ids].filter((_, i) => learned[i] === 1));

const source = (more: object) => ({
  files: [join(dir, "x.jsonl")],
  ...more,
});
function examples(rows: object[], more: object) {
  writeFileSync(join(dir, "x.jsonl"), rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  const { data } = parseConfig(
    sftSchema,
    { init_from: "none", data: { sources: [source(more)] } } as never,
    "test",
  );
  const chat = findTemplate("chatml");
  return readExamples({ sources: data.sources, seqLen: 4000, chat }, tokenizer, () => {});
}

test("every_token_of_an_output_has_weight_0_and_every_other_of_the_answer_1", () => {
  const record = { q: "how many?", a: text };
  const [example] = examples([record, record], { prompt: "Q: {q} A:", completion: "{a}" });
  const batch = packExamples([example!], [0]);
  const head = tokenizer.encode("Q: how many? A:").length;
  // By hand: the text up to and with ```output, then from the line behind the closing fence on, then the end of text.
  const before = tokenizer.encode(text.slice(0, text.indexOf("output\n") + 6)).length;
  const with_ = tokenizer.encode(text.slice(0, text.indexOf("The answer"))).length;
  const all = tokenizer.encode(text).length;
  expect(with_ - before).toBeGreaterThan(4);
  const weights = [
    ...Array(head - 1).fill(0),
    ...Array(before).fill(1),
    ...Array(with_ - before).fill(0),
    ...Array(all - with_).fill(1),
    1,
  ];
  expect([...batch.lossWeight]).toEqual(weights);
  expect([...batch.targets].map((t) => (t < 0 ? 0 : 1))).toEqual(weights);
  expect(learnedText(example!.ids, example!.learned!)).toBe(text.replace(`\n50.0\n${FENCE}\n`, ""));
  // The ids are those of the whole text: what the model sees when outputs are fed back.
  expect([...example!.ids].slice(head, -1)).toEqual(tokenizer.encode(text));
});

test("an_output_without_an_end_is_reported_where_outputs_are_masked", () => {
  const cut = "Let me run it.\n```output\n50.0";
  const remarks = (more: object) => {
    const rows = [
      { q: "how many?", a: text },
      { q: "how many?", a: cut },
      { q: "how many?", a: "5 ```output blocks" },
    ];
    writeFileSync(join(dir, "x.jsonl"), rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
    const files = [join(dir, "x.jsonl")];
    const sources = [{ files, prompt: "Q: {q} A:", completion: "{a}", ...more }] as never;
    const said: string[] = [];
    readExamples({ sources, seqLen: 4000 }, tokenizer, (line) => said.push(line));
    return said;
  };
  expect(remarks({})).toEqual([
    "1 examples have a tool's output without an end: nothing after its opening is learned",
  ]);
  expect(remarks({ maskOutputs: false })).toEqual([]);
});

test("an_answer_without_outputs_is_learned_whole_and_masking_can_be_turned_off", () => {
  const plain = examples(Array(2).fill({ q: "how many?", a: "The answer is 50." }), {
    prompt: "Q: {q} A:",
    completion: "{a}",
  });
  expect(plain[0]!.learned).toBeUndefined();
  const off = examples(Array(2).fill({ q: "how many?", a: text }), {
    prompt: "Q: {q} A:",
    completion: "{a}",
    mask_outputs: false,
  });
  expect(off[0]!.learned).toBeUndefined();
});

test("of_a_conversation_neither_tool_messages_nor_outputs_inside_a_turn_are_learned", () => {
  const messages = [
    { role: "user", content: "how many?" },
    { role: "assistant", content: text },
    { role: "tool", content: "it is sunny" },
    { role: "assistant", content: "So it is 50." },
  ];
  const [example] = examples([{ messages }, { messages }], { messages: "messages" });
  const written = learnedText(example!.ids, example!.learned!);
  expect(written).toContain("The answer is 50.");
  expect(written).toContain("So it is 50.");
  expect(written).not.toContain("50.0");
  expect(written).not.toContain("sunny");
  expect(written).not.toContain("how many?");
});

test("a_token_across_a_border_belongs_to_whoever_began_it", () => {
  const answer = "x ```output\n7\n```\n\n\nz";
  const glued = new Tokenizer(
    trainBpe(Array(20).fill(answer), {
      vocabSize: 400,
      preTokenizer: "gpt2",
      specialTokens: ["<|endoftext|>"],
    }),
  );
  const { ids, learned } = encodeAnswer(glued, answer);
  let at = 0;
  const { start, end } = toolOutputs(answer)[0]!;
  const pieces = [...ids].map((id) => glued.decode([id]));
  expect(pieces).toContain("\n\n");
  expect(answer.slice(0, end)).not.toMatch(/\n\n$/);
  for (const [i, id] of ids.entries()) {
    expect(learned[i], `${i}`).toBe(at >= start && at < end ? 0 : 1);
    at += glued.decode([id]).length;
  }
});

test("the_recipe_of_tool_integrated_reasoning_masks_outputs", () => {
  const root = resolve(import.meta.dirname, "../../..");
  for (const name of ["tora", "formats"]) {
    const { config } = loadConfig(sftSchema, join(root, `configs/sft/${name}.yaml`));
    expect(config.data.sources.find((s) => s.format === "tool")!.maskOutputs).toBe(true);
  }
});
