// The update of fastText's trainer and the fall of its rate, by hand.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { FastTextConfig, trainFastText } from "../src/index.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-fasttext-train-"));
afterAll(() => rmSync(root, { recursive: true }));
const file = join(root, "train.txt");
const config = (more: object) => FastTextConfig.parse({ dim: 2, wordNgrams: 1, minCount: 1, ...more });

test("the_rate_falls_in_a_line_to_0_over_all_epochs", () => {
  // A label, six words and the end of the line: 8 tokens. The rate is set every 13 lines, at the first above 100 tokens.
  const lines = Array.from(
    { length: 130 },
    (_, i) => `__label__${i % 2 ? "a" : "b"} one two three four five six\n`,
  );
  writeFileSync(file, lines.join(""));
  const rates: number[] = [];
  const model = trainFastText(file, config({ lr: 0.2, epoch: 4 }), ({ lr }) => rates.push(lr));
  expect(model.dictionary.ntokens).toBe(8 * 130);
  expect(rates).toEqual([0.15, 0.1, 0.05, 0].map((x) => expect.closeTo(x, 12)));
});

test("an_update_moves_outputs_by_the_hidden_mean_and_rows_by_the_outputs", () => {
  // Rows of line one are x and the end of the line, of line two y and the end.
  writeFileSync(file, "__label__a x\n__label__b y\n");
  const run = (lr: number) => {
    const { dictionary, input, output } = trainFastText(file, config({ lr, epoch: 1, seed: 9 }));
    const ids = Array.from({ length: dictionary.nwords }, (_, i) => i);
    const row = (word: string) => {
      const at = 2 * ids.find((i) => dictionary.word(i) === word)!;
      return [input[at]!, input[at + 1]!];
    };
    expect([dictionary.label(0), dictionary.label(1)]).toEqual(["__label__a", "__label__b"]);
    const outputs = [...output];
    return { x: row("x"), y: row("y"), end: row("</s>"), a: outputs.slice(0, 2), b: outputs.slice(2) };
  };
  const start = run(1e-30);
  const h1 = start.x.map((v, k) => (v + start.end[k]!) / 2);
  const h2 = start.y.map((v, k) => (v + start.end[k]!) / 2);
  // Outputs of 0 give each label 1/2: α = ±0.5/2, so a = h1/4 and b = −h1/4. Then p(a) of line two is 1/(1 + e^(−h1·h2/2)),
  // α = ∓p/2, and the rows y and end move by half of α·a − α·b = −p·h1/4.
  const p = 1 / (1 + Math.exp(-(h1[0]! * h2[0]! + h1[1]! * h2[1]!) / 2));
  const near = (values: number[]) => values.map((v) => expect.closeTo(v, 6));
  expect(run(0.5)).toEqual({
    x: near(start.x),
    y: near(start.y.map((v, k) => v - (p * h1[k]!) / 8)),
    end: near(start.end.map((v, k) => v - (p * h1[k]!) / 8)),
    a: near(h1.map((v, k) => v / 4 - (p * h2[k]!) / 2)),
    b: near(h1.map((v, k) => -v / 4 + (p * h2[k]!) / 2)),
  });
});
