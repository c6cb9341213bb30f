// The two normal forms of a text, by table, against the regular expressions that define them.
import { expect, test } from "vitest";
import { classifierByDefinition, wordsByDefinition } from "../src/corpus/text/lines.ts";
import { choices, classifierLine, wordLines, wordsOf } from "../src/index.ts";
import { edgeStrings } from "./edge-strings.ts";

/** Half a pair has no UTF-8: the definition keeps it in its string, the table writes U+FFFD. */
const encoded = (text: string) => Buffer.from(text).toString();

function expectBoth(title: string, text: string): void {
  expect(wordsOf(text)).toBe(encoded(wordsByDefinition(text)));
  expect(classifierLine(title, text)).toBe(encoded(classifierByDefinition(title, text)));
}

test("every_unit_of_the_basic_plane_gives_what_its_definition_gives", () => {
  for (let from = 0; from < 0x10000; from += 64) {
    const units = Array.from({ length: 64 }, (_, i) => `a${String.fromCharCode(from + i)}B`);
    expectBoth(units[0]!, units.join(""));
    expectBoth("", units.map((u) => u[1]).join(" x "));
  }
});

test("pairs_sigmas_dotted_i_and_mixtures_give_what_their_definition_gives", () => {
  for (const text of [
    "ΟΔΟΣ ΣΑΣ",
    "İstanbul",
    "𝑥² + 𝐀 = 𐐀😀𠀀字",
    "\ud800x\udc00",
    "",
    "  ",
    "三角形abc 한국어カナ",
    "\0a\0",
  ])
    expectBoth(text, text);
  for (const text of edgeStrings(500)) expectBoth(text, text);
  const c = choices(3);
  const pool = [
    "a",
    "Z",
    "9",
    " ",
    "\n",
    "é",
    "Σ",
    "字",
    "𝑥",
    "😀",
    "-",
    "$",
    "\u0301",
    "\ud835",
    "İ",
    "\u00a0",
  ];
  for (let i = 0; i < 2000; i++)
    expectBoth("T", Array.from({ length: c.int(0, 12) }, () => c.pick(pool)).join(""));
});

test("lines_end_with_newlines_and_empty_texts_keep_theirs", () => {
  expect(wordLines(["A b!", "", "c"]).toString()).toBe("a b\n\nc\n");
});
