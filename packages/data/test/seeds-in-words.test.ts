// Seeds that are taken a second time without formulas, and seeds that are problems.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { withoutFormulas } from "../src/corpus/text/formulas.ts";
import { FastTextConfig, readDocuments, TASKS } from "../src/index.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-seeds-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

test("formulas_between_delimiters_go_and_prices_of_two_lines_stay", () => {
  expect(withoutFormulas("so $x^2$ and $$\\frac12$$ then \\(y\\) or \\[z\n= 1\\] end")).toBe(
    "so   and   then   or   end",
  );
  expect(withoutFormulas("it costs $5\nand then $6")).toBe("it costs $5\nand then $6");
});

test("formulas_are_taken_out_as_an_expression_would_and_in_one_pass", () => {
  const FORMULA = /\$\$[^$]{1,2000}\$\$|\$[^$\n]{1,500}\$|\\\([\s\S]{1,500}?\\\)|\\\[[\s\S]{1,2000}?\\\]/g;
  const parts = [
    "$",
    "$$",
    "\\(",
    "\\)",
    "\\[",
    "\\]",
    "\n",
    "a b",
    "\\",
    "x".repeat(499),
    "y".repeat(1998),
    "$$$",
  ];
  let seed = 1;
  const drawn = () => {
    seed = (seed * 48_271) % 2_147_483_647;
    return parts[seed % parts.length]!;
  };
  for (let i = 0; i < 2000; i++) {
    const text = Array.from({ length: 1 + (i % 12) }, drawn).join(i % 3 === 0 ? " " : "");
    expect(withoutFormulas(text)).toBe(text.replace(FORMULA, " "));
  }
  // A quadratic search would not end.
  const open = "\\[ \\( ".repeat(1_000_000);
  expect(withoutFormulas(open)).toBe(open);
});

/** Trains on seven pages of mathematics, three of them without a formula, and says how many lines that made. */
async function positives(share: number | undefined): Promise<number> {
  const seeds = (name: string, texts: string[]) => {
    const path = join(root, name);
    writeFileSync(
      path,
      texts.map((text, i) => `${JSON.stringify({ id: `${i}`, title: "", text })}\n`).join(""),
    );
    return path;
  };
  const math = Array.from({ length: 7 }, (_, i) =>
    i % 2 === 0 ? `let $x_${i}$ be prime` : `a prime of ${i}`,
  );
  const inputs = [seeds("math.jsonl", math), seeds("other.jsonl", ["a novel of the sea", "a day at sea"])];
  const outputs = [join(root, "model.bin"), join(root, "training.json")];
  const fasttext = FastTextConfig.parse({ dim: 2, bucket: 10, epoch: 1, minCount: 1, engine: "typescript" });
  const spec = {
    fasttext,
    positiveLabel: "math",
    refusedAsNegatives: true,
    positives: 1,
    negatives: 1,
    pool: 0,
    rounds: 0,
  };
  const shared = share === undefined ? {} : { withoutFormulas: share };
  await TASKS.train!({ spec: { ...spec, ...shared }, inputs, outputs });
  const stats = JSON.parse(readFileSync(outputs[1]!, "utf8")) as Record<string, number>;
  expect(stats.seed_negatives).toBe(2);
  return stats.seed_positives!;
}

test("a_share_of_the_seeds_is_taken_again_where_it_has_formulas", async () => {
  expect(await positives(undefined)).toBe(7);
  // Pages 0, 2, 4 and 6 have a formula.
  expect(await positives(1)).toBe(11);
  // Of seven pages the 2nd, 4th and 6th are due, which have none.
  expect(await positives(0.5)).toBe(7);
  // The 3rd and the 5th and the 7th: numbers 2, 4 and 6, at 0.4 the 3rd, 5th and none more.
  expect(await positives(0.4)).toBe(9);
});

test("rows_of_data_sets_are_their_problem_and_its_solution", async () => {
  const rows = [
    { id: "a", question: "What is 2 + 3?", solution: "It is 5.", answer: "5" },
    { id: "b", problem: "Prove it." },
    { id: "c", text: "a page", question: "not this" },
    { id: "d", solution: "no question" },
  ];
  const path = join(root, "problems.jsonl");
  writeFileSync(path, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
  const read: string[][] = [];
  const refused: string[] = [];
  for await (const event of readDocuments(path, { maxRecordBytes: 1000 })) {
    if ("document" in event) read.push([event.document.id, event.document.text]);
    else if ("refusal" in event) refused.push(event.refusal.reason);
  }
  expect(read).toEqual([
    ["a", "What is 2 + 3?\n\nIt is 5."],
    ["b", "Prove it."],
    ["c", "a page"],
  ]);
  expect(refused).toEqual(["no_text"]);
});
