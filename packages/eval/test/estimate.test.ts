// What `--dry-run` says of an evaluation, by hand.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { estimateEval, evalSchema } from "../src/index.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-eval-estimate-"));
afterAll(() => rmSync(root, { recursive: true }));

test("steps_answers_and_scored_tokens_of_five_tasks", () => {
  const records = Array.from({ length: 7 }, (_, i) => ({
    id: `${i}`,
    question: `${i}?`,
    options: ["A", "B"],
    answer: "A",
  }));
  writeFileSync(join(root, "p.jsonl"), records.map((r) => JSON.stringify(r)).join("\n"));
  writeFileSync(join(root, "p.yaml"), "name: p\nfiles: [p.jsonl]\nfields: {options: options}\n");
  const task = join(root, "p.yaml");
  const config = evalSchema.parse({
    checkpoint: "none",
    dataDir: root,
    engine: { problems: 3 },
    tasks: [
      { kind: "problems", task, samples: 4, limit: 5 },
      { kind: "choice", task },
      { kind: "family", family: "addition", questions: 10, samples: 2 },
      { kind: "needle", lengths: [100, 300], depths: [0, 0.5, 1], trials: 2 },
      { kind: "positions", files: ["x"], length: 50, sequences: 6 },
    ],
  });
  expect(estimateEval(config)).toEqual({
    tasks: 5,
    // Problems by threes: 2 of 5, 3 of 7, 4 of 10; a step for each of 2 · 3 cells, and for each of 6 sequences.
    steps: 2 + 3 + 4 + 6 + 6,
    // 5 · 4, 10 · 2, and 2 · 3 · 2 needles.
    answers: 20 + 20 + 12,
    // Each needle with and without its fact, in 100 and in 300 tokens; six sequences of 50.
    tokens_scored_long_context: 2 * 400 * 3 * 2 + 300,
  });
});
