// Which tokens begin and end a text: stated by the files of a model's folder, in their order, or refused with a clear error.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { modelFiles, Tokenizer, TokenShards, tokenizeFiles, tokenizerFiles, trainBpe } from "../src/index.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-special-tokens-"));
afterAll(() => rmSync(root, { recursive: true }));

/** A vocabulary in the shape of Llama 3's: bytes and merges first, then marks, of which the first begins a text. */
const [BEGIN, END, TURN] = [260, 261, 262];
const marks = ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"];
const json = trainBpe(["12 34 12 34 12 34"], { vocabSize: 260, preTokenizer: "digits", specialTokens: [] });
json.added_tokens = marks.map((content, i) => ({ id: BEGIN + i, content, special: true }));

let count = 0;
function folderOf(files: Record<string, unknown>, tokenizer: object = json): string {
  const folder = join(root, `folder-${count++}`);
  mkdirSync(folder);
  writeFileSync(join(folder, "tokenizer.json"), JSON.stringify(tokenizer));
  for (const [name, content] of Object.entries(files))
    writeFileSync(
      join(folder, `${name}.json`),
      typeof content === "string" ? content : JSON.stringify(content),
    );
  return folder;
}
const statedIn = (files: Record<string, unknown>) => Tokenizer.load(folderOf(files)).stated;

test.each<[string, Record<string, unknown>, object]>([
  ["nothing", {}, {}],
  [
    "generation_config_first",
    { generation_config: { eos_token_id: END }, config: { eos_token_id: TURN } },
    { eosIds: [END] },
  ],
  [
    "config_next",
    { config: { eos_token_id: TURN }, tokenizer_config: { eos_token: marks[1] } },
    { eosIds: [TURN] },
  ],
  [
    "each_role_by_itself",
    {
      generation_config: { eos_token_id: [END, TURN] },
      config: { bos_token_id: BEGIN, eos_token_id: BEGIN },
    },
    { bosId: BEGIN, eosIds: [END, TURN] },
  ],
  [
    "null_states_nothing",
    {
      generation_config: { eos_token_id: null },
      config: { eos_token_id: null },
      tokenizer_config: { eos_token: marks[1] },
    },
    { eosIds: [END] },
  ],
  [
    "an_empty_list_states_nothing",
    { generation_config: { eos_token_id: [] }, config: { eos_token_id: END } },
    { eosIds: [END] },
  ],
  [
    "all_null",
    { config: { eos_token_id: null }, tokenizer_config: { eos_token: null, bos_token: null } },
    {},
  ],
  [
    "tokens_by_name",
    { tokenizer_config: { bos_token: marks[0], eos_token: marks[2], pad_token: marks[1] } },
    { bosId: BEGIN, eosIds: [TURN], padId: END },
  ],
  [
    "tokens_as_objects",
    { tokenizer_config: { eos_token: { __type: "AddedToken", content: marks[1], lstrip: false } } },
    { eosIds: [END] },
  ],
  [
    "the_map_of_special_tokens_last",
    { tokenizer_config: {}, special_tokens_map: { eos_token: { content: marks[1] } } },
    { eosIds: [END] },
  ],
  ["ids_said_twice", { config: { eos_token_id: [TURN, END, TURN] } }, { eosIds: [TURN, END] }],
  ["a_list_of_one_for_bos", { config: { bos_token_id: [BEGIN] } }, { bosId: BEGIN }],
  ["a_pad_of_minus_one", { config: { pad_token_id: -1, eos_token_id: 0 } }, { eosIds: [0] }],
  ["a_pad_that_the_vocabulary_lacks", { config: { pad_token_id: 300, eos_token_id: 0 } }, { eosIds: [0] }],
  [
    "an_end_of_minus_one_before_a_file_that_states_one",
    { generation_config: { eos_token_id: -1 }, config: { eos_token_id: 0 } },
    { eosIds: [0] },
  ],
  ["an_empty_name", { tokenizer_config: { bos_token: "" }, config: { eos_token_id: 0 } }, { eosIds: [0] }],
  ["a_token_that_is_no_added_one", { tokenizer_config: { eos_token: "1" } }, { eosIds: [idOf("1")] }],
])("%s_is_read", (_, files, expected) => {
  expect(statedIn(files)).toEqual(expected);
});

function idOf(token: string): number {
  return (json.model as { vocab: Record<string, number> }).vocab[token]!;
}

test.each<[string, Record<string, unknown>, string, RegExp]>([
  [
    "an_id_out_of_range",
    { generation_config: { eos_token_id: 263 } },
    "special_token_invalid",
    /generation_config\.json: eos_token_id is 263.*no token with this id/,
  ],
  [
    "one_of_a_list_out_of_range",
    { config: { eos_token_id: [END, 9999] } },
    "special_token_invalid",
    /config\.json: eos_token_id is 9999/,
  ],
  ["a_negative_end", { config: { eos_token_id: -2 } }, "special_token_invalid", /eos_token_id is -2/],
  ["half_an_id", { config: { bos_token_id: 1.5 } }, "special_token_invalid", /whole numbers/],
  ["an_id_as_text", { config: { eos_token_id: "261" } }, "special_token_invalid", /whole numbers/],
  [
    "two_begins",
    { config: { bos_token_id: [BEGIN, END] } },
    "special_token_invalid",
    /list of 2.*one token begins/,
  ],
  [
    "an_unknown_name",
    { tokenizer_config: { eos_token: "</s>" } },
    "special_token_invalid",
    /tokenizer_config\.json: eos_token is "<\/s>".*no such token/,
  ],
  [
    "an_object_without_content",
    { tokenizer_config: { eos_token: { id: 1 } } },
    "special_token_invalid",
    /`content`/,
  ],
  ["no_json", { generation_config: "{" }, "tokenizer_config_invalid", /generation_config\.json/],
  ["no_object", { generation_config: "[1]" }, "tokenizer_config_invalid", /not a JSON object/],
])("%s_is_refused_with_its_file", (_, files, code, words) => {
  const message = expect.objectContaining({ code, exitCode: 3, message: expect.stringMatching(words) });
  expect(() => statedIn(files)).toThrowError(message);
});

test("all_stated_ends_end_an_output_and_the_first_ends_a_document", async () => {
  const folder = folderOf({ config: { bos_token_id: BEGIN, eos_token_id: [END, TURN] } });
  // The file itself is the same as its folder.
  for (const path of [folder, join(folder, "tokenizer.json")]) {
    const tokenizer = Tokenizer.load(path);
    expect(tokenizer.eosIds).toEqual([END, TURN]);
    expect([BEGIN, END, TURN].map((id) => tokenizer.isEnd(id))).toEqual([false, true, true]);
    expect(tokenizer.bosId).toBe(BEGIN);
  }
  const tokenizer = Tokenizer.load(folder);
  const documents = join(root, "documents.jsonl");
  writeFileSync(documents, '{"text":"1"}\n{"text":"3"}\n');
  const made: boolean[] = [];
  const run = async (t: Tokenizer) => {
    const out = join(root, "shards");
    await tokenizeFiles([documents], { tokenizer: t, out, onFile: ({ made: yes }) => made.push(yes) });
    const shards = TokenShards.open(out);
    const ids = [[...shards.get(0)], [...shards.get(1)]];
    shards.close();
    return ids;
  };
  expect(await run(tokenizer)).toEqual([
    [idOf("1"), END],
    [idOf("3"), END],
  ]);
  // The shards' folder states them on.
  expect(Tokenizer.load(join(root, "shards")).stated).toEqual({ bosId: BEGIN, eosIds: [END, TURN] });
  await run(tokenizer);
  // Another end makes other shards, though tokenizer.json is the same.
  expect((await run(new Tokenizer(json, () => ({ eosIds: [TURN] }))))[0]).toEqual([idOf("1"), TURN]);
  expect(made).toEqual([true, false, true]);
});

test("where_nothing_is_stated_the_first_added_token_ends_and_where_there_is_none_that_is_an_error", () => {
  const plain = Tokenizer.load(folderOf({}));
  expect([plain.eosId, plain.eosIds, plain.bosId]).toEqual([BEGIN, [BEGIN], undefined]);
  expect(Object.keys(tokenizerFiles(plain))).toEqual(["tokenizer.json"]);
  const none = Tokenizer.load(folderOf({}, { ...json, added_tokens: [] }));
  expect(none.eosIds).toEqual([]);
  expect(() => none.eosId).toThrowError(expect.objectContaining({ code: "tokenizer_no_end", exitCode: 3 }));
});

test("a_copy_of_a_model_states_what_the_folder_states_and_leaves_the_rest_of_generation_config_as_it_is", () => {
  const folder = folderOf({
    generation_config: { temperature: 0.6, eos_token_id: null },
    config: { bos_token_id: BEGIN, eos_token_id: [END, TURN], pad_token_id: END },
    tokenizer_config: { eos_token: marks[2], chat_template: "x" },
  });
  const files = modelFiles(folder);
  expect(Object.keys(files).sort()).toEqual([
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
  ]);
  const generation = { temperature: 0.6, eos_token_id: [END, TURN], bos_token_id: BEGIN, pad_token_id: END };
  expect(JSON.parse(files["generation_config.json"]!)).toEqual(generation);
  expect(files["tokenizer_config.json"]).toBe(readFileSync(join(folder, "tokenizer_config.json"), "utf8"));
  // One end is a number, as most readers write it; a guess is written only if it is asked for.
  const plain = folderOf({});
  expect(modelFiles(plain)["generation_config.json"]).toBeUndefined();
  expect(JSON.parse(modelFiles(plain, { guessed: true })["generation_config.json"]!)).toEqual({
    eos_token_id: BEGIN,
  });
  expect(modelFiles(join(root, "none"))).toEqual({});
});

test("documents_begin_with_what_the_tokenizer_puts_in_front_and_older_shards_are_made_again", async () => {
  const input = join(root, "framed.jsonl");
  writeFileSync(input, `${JSON.stringify({ text: "12" })}\n${JSON.stringify({ text: "34" })}\n`);
  const out = join(root, "framed");
  const made: boolean[] = [];
  const shardsOf = async (config: object) => {
    const ends = { generation_config: { bos_token_id: BEGIN, eos_token_id: [END, TURN] } };
    const tokenizer = Tokenizer.load(folderOf({ ...ends, tokenizer_config: config }));
    await tokenizeFiles([input], { tokenizer, out, onFile: (file) => made.push(file.made) });
    const shards = TokenShards.open(out);
    const ids = [0, 1].map((i) => [...shards.get(i)]);
    shards.close();
    return ids;
  };
  const inside = (text: string) => new Tokenizer(json).encode(text);
  expect(await shardsOf({})).toEqual([
    [...inside("12"), END],
    [...inside("34"), END],
  ]);
  const framed = [
    [BEGIN, ...inside("12"), END],
    [BEGIN, ...inside("34"), END],
  ];
  expect(await shardsOf({ add_bos_token: true })).toEqual(framed);
  // A mark behind a text is the document's end, which is not written twice.
  expect(await shardsOf({ add_bos_token: true, add_eos_token: true })).toEqual(framed);
  expect(await shardsOf({ add_bos_token: true, add_eos_token: true })).toEqual(framed);
  expect(made).toEqual([true, true, true, false]);
});
