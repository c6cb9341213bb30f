// Ids and texts equal those of Rust's tokenizers, which the models' own readers use: by its record, and by itself where it is.
//
// NSA_RECORD=1 makes the record again, where Python has tokenizers.
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { needs } from "../../core/test/needs.ts";
import { Tokenizer } from "../src/index.ts";
import { families, parts } from "./tokenizer-families.ts";
import { type Json, texts } from "./tokenizer-jsons.ts";

const record = join(import.meta.dirname, "fixtures/rust-tokenizers.json");
const all: Record<string, Json> = { ...families, ...parts };
/** Texts in which parts have differed, besides edge strings. */
const more = [
  "thequick the fox",
  "▁▁the  quick",
  "the - quick-fox, don't! .",
  "a-b--c -",
  " x ",
  "e\u0301e\u0301",
  "ÀÉ ÎÕ",
  "Straße İstanbul ΑΣ Σ",
  "\u{20000}\u{20001}a中b",
  "a\u200bb\u00adc\ufeffd",
  "\u0085 a\u0085\u2028b \u0001c",
  "thetthe t",
  "½ ² ٣٤ Ⅷ 𝟘1",
  "$x^2$ <a> `b` |c| ~d",
];

/** Ids of each text, and the texts that they are decoded to where these are not the texts themselves. */
type Rows = { ids: number[]; decoded: string }[];
type Made = Record<string, Rows>;

/** Where a tokenizer of ours differs. */
function different(name: string, some: readonly string[], rows: Rows): string[] {
  const ours = new Tokenizer(all[name]!);
  return some.filter((text, i) => {
    const { ids, decoded } = rows[i]!;
    return [...ours.encode(text), ...ours.frame.after].join() !== ids.join() || ours.decode(ids) !== decoded;
  });
}

const has = (python: string) => spawnSync(python, ["-c", "import tokenizers"]).status === 0;
const python = [process.env.NSA_PYTHON, "python3", "/usr/bin/python3"].find((p) => p !== undefined && has(p));

function byRust(some: readonly string[]): Made {
  const input = JSON.stringify({ tokenizers: all, texts: some });
  const script = join(import.meta.dirname, "rust-tokenizers.py");
  const run = spawnSync(python!, [script], { input, encoding: "utf8", maxBuffer: 2 ** 28 });
  expect(run.status, run.stderr).toBe(0);
  return JSON.parse(run.stdout) as Made;
}

if (process.env.NSA_RECORD && python) {
  const chosen = [...more, ...texts.filter((_, i) => i % 11 === 0)];
  const rows = Object.entries(byRust(chosen)).map(([name, made]): [string, string[][]] => [
    name,
    made.map(({ ids, decoded }) => [ids.join(" "), decoded]),
  ]);
  writeFileSync(record, `${JSON.stringify({ texts: chosen, tokenizers: Object.fromEntries(rows) })}\n`);
}

const recorded = JSON.parse(readFileSync(record, "utf8")) as {
  texts: string[];
  tokenizers: Record<string, [ids: string, decoded: string][]>;
};

test("the_record_has_every_tokenizer", () => {
  expect(Object.keys(recorded.tokenizers)).toEqual(Object.keys(all));
  expect(Object.keys(all).length).toBeGreaterThan(70);
});

test.each(Object.keys(all))("%s_is_encoded_and_decoded_as_rust_s_tokenizers_did", (name) => {
  const rows = recorded.tokenizers[name]!.map(([ids, decoded]) => ({
    ids: ids === "" ? [] : ids.split(" ").map(Number),
    decoded,
  }));
  expect(different(name, recorded.texts, rows)).toEqual([]);
});

needs(python !== undefined, "no Python with tokenizers")(
  "ids_and_texts_equal_those_of_rust_s_tokenizers",
  () => {
    const some = [...texts, ...more];
    const made = byRust(some);
    for (const name of Object.keys(all)) expect.soft(different(name, some, made[name]!), name).toEqual([]);
  },
  60_000,
);
