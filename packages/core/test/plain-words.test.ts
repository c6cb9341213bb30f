// Complaints about recipes are in plain words, with the value that stands there: one row a kind of complaint.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { z } from "zod";
import { loadConfig, parseConfig } from "../src/config/load.ts";
import type { NsaError } from "../src/errors.ts";

const dir = mkdtempSync(join(tmpdir(), "nsa-words-"));
afterAll(() => rmSync(dir, { recursive: true }));

const complaintOf = (act: () => unknown): NsaError => {
  try {
    act();
  } catch (error) {
    return error as NsaError;
  }
  throw new Error("nothing was refused");
};

const kinds = z.enum(["constant", "cosine", "wsd"]);
const cases: [schema: z.ZodType, value: unknown, why: string][] = [
  [z.number(), "fast", 'it must be a number, and is "fast"'],
  [z.string(), 3, "it must be a text, and is 3"],
  [z.string(), null, "it must be a text, and is null"],
  [z.boolean(), "yes", 'it must be true or false, and is "yes"'],
  [z.array(z.string()), "a", 'it must be a list, and is "a"'],
  [z.strictObject({ a: z.number() }), 3, "it must be an object (a mapping of keys to values), and is 3"],
  [z.number().int(), 2.5, "it must be a whole number, and is 2.5"],
  [z.number().int().min(1), 0, "it must be at least 1, and is 0"],
  [z.number().positive(), 0, "it must be more than 0, and is 0"],
  [z.number().max(1), 1.5, "it must be at most 1, and is 1.5"],
  [z.number().lt(1), 1, "it must be less than 1, and is 1"],
  [z.number().multipleOf(8), 12, "it must be a multiple of 8, and is 12"],
  [z.string().min(1), "", 'it must have at least 1 character, and is ""'],
  [z.array(z.number()).min(2), [1], "it must have at least 2 entries, and is [1]"],
  [z.array(z.number()).max(1), [1, 2], "it must have at most 1 entry, and is [1,2]"],
  [kinds, "cosin", 'it must be one of constant, cosine, wsd, and is "cosin"'],
  [kinds, "step", 'it must be one of constant, cosine, wsd, and is "step"'],
  [z.literal("all"), "none", 'it must be all, and is "none"'],
  [z.url(), "nowhere", 'it must be a web address, and is "nowhere"'],
  [z.string().regex(/^\d+$/), "x", 'it does not have the right form, and is "x"'],
  [z.string().refine(() => false, "it has no {question}"), "x", "it has no {question}"],
  [z.union([z.literal("all"), z.number().int().min(0)]), -1, "it must be at least 0, and is -1"],
];
for (const [schema, value, why] of cases)
  test(`${JSON.stringify(value)}: ${why}`, () => {
    const error = complaintOf(() => parseConfig(z.strictObject({ key: schema }), { key: value }, "a recipe"));
    expect(error).toMatchObject({ exitCode: 2, what: "a recipe: key", why });
    expect(error.why).not.toMatch(/expected|received|Invalid|Too (small|big)/);
  });

const texts = z.strictObject({ task: z.strictObject({ template: z.string().default("") }).prefault({}) });
const setting = (text: string) => loadConfig(texts, null, { set: [text] });

test("a_text_that_yaml_takes_for_something_else_is_refused_with_its_quoted_form", () => {
  for (const value of ["{question}:", "{question} =", "{question}", "[a"]) {
    const error = complaintOf(() => setting(`task.template=${value}`));
    expect(error, value).toMatchObject({ exitCode: 2 });
    const quoted = /'(.*)'$/s.exec(error.fix)![1]!;
    expect(quoted).toBe(`task.template="${value}"`);
    expect(setting(quoted).config.task.template).toBe(value);
  }
});

test("a_recipe_that_cannot_be_read_says_why", () => {
  mkdirSync(join(dir, "configs"));
  writeFileSync(join(dir, "file"), "");
  const why = (name: string) => complaintOf(() => loadConfig(texts, join(dir, name)));
  expect(why("configs")).toMatchObject({
    code: "config_missing",
    why: "it is a folder, and a recipe is a file",
  });
  expect(why("absent")).toMatchObject({ code: "config_missing", why: "there is no such file" });
  expect(why("file/x")).toMatchObject({ code: "config_missing", why: "a part of the path is a file" });
});

test("a_text_within_a_set_value_is_described_as_what_it_is", () => {
  const nested = z.strictObject({ words: z.array(z.string()).default([]), text: z.string().default("") });
  const given = (text: string) => () => loadConfig(nested as never, null, { set: [text] });
  for (const value of ["null", "{a: 1}", "[b]"]) {
    expect(given(`words=[node, ${value}]`)).toThrowError(/words\.1.*must be a text/s);
    expect(given(`words=[node, ${value}]`)).not.toThrowError(/in YAML/);
  }
  expect(given("text=[a]")).toThrowError(/its value is a list in YAML/);
  expect(given("text={a: 1}")).toThrowError(/its value is a mapping in YAML/);
});

const described = (schema: z.ZodType) =>
  z.strictObject({ key: schema.describe("Summed with their weights") });
const member = z.string().refine(() => false, "there are accuracy, model; did you mean model?");
test.each<[string, z.ZodType, unknown, string]>([
  [
    "an_empty_list",
    z.array(z.string()).min(1),
    [],
    "give at least 1 entry; `key`: Summed with their weights",
  ],
  ["a_misspelled_choice", z.enum(["accuracy", "model"]), "modle", "did you mean `model`?"],
  ["a_misspelled_member_of_a_registry", member, "modle", "did you mean `model`?"],
  ["another_choice", z.enum(["a", "b"]), "zebra", "write one of a, b; `key`: Summed with their weights"],
  ["a_low_number", z.number().min(1), 0, "give a number of at least 1; `key`: Summed with their weights"],
  ["a_wrong_type", z.number(), "x", "give a number; `key`: Summed with their weights"],
  [
    "a_missing_key",
    z.number(),
    undefined,
    "give it, in the recipe or with `--set key=…`; `key`: Summed with their weights",
  ],
])("the_fix_of_%s_says_what_to_do", (_, schema, value, fix) => {
  const data = value === undefined ? {} : { key: value };
  const error = complaintOf(() => parseConfig(described(schema), data, "a recipe"));
  expect(error.fix).toBe(fix);
  expect(error.why).not.toContain("did you mean");
});
