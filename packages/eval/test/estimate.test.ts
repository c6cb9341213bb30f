// What `--dry-run` says of an evaluation, by hand.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { resolveModelConfig, writeArchitecture } from "@nsa/model";
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

test("memory_is_that_of_the_weights_and_of_the_largest_entry", () => {
  const model = resolveModelConfig({
    ...{ vocabSize: 100, dModel: 32, numLayers: 3, numHeads: 4, numKvHeads: 2, dFf: 64, attention: "full" },
    ...{ maxSeqLen: 256, tieEmbeddings: true },
  });
  const checkpoint = mkdtempSync(join(root, "checkpoint-"));
  writeArchitecture(checkpoint, model);
  const family = (questions: number, maxTokens: number) => ({
    ...{ kind: "family", family: "addition", questions, samples: 2, maxTokens },
  });
  const entries = (...tasks: object[]) =>
    estimateEval(evalSchema.parse({ checkpoint, engine: { problems: 3 }, tasks }));
  // A layer has two norms, q and o of 32 × 32, k and v of 32 × 16, three matrices of 32 × 64; the embedding and the last norm.
  const weights = 3 * (2 * 32 + 2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 64) + 100 * 32 + 32;
  // Prompts of 64 tokens, since the checkpoint has no tokenizer, and 20: 6 pages of 16 for each of 3 · 2 answers; keys and values of 16 in 3 layers.
  const short = entries(family(10, 20));
  expect(short.parameters).toBe(weights);
  expect(short.memory_parameters_bytes).toBe(4 * weights);
  expect(short.memory_cache_bytes).toBe(6 * 6 * 16 * (3 * 2 * 16 * 4));
  // Most is at work in the prefill of 3 prompts: a row has 5 streams of 32, q, o and keys with values of 32 each and 3 hidden layers of 64,
  // in fp32, and 128 bytes for its token.
  const row = 4 * (5 * 32 + 3 * 32 + 3 * 64) + 128;
  expect(short.memory_bytes).toBe(4 * weights + 6 * 6 * 16 * (3 * 2 * 16 * 4) + 3 * 64 * row);
  // One question alone is asked at a time here, twice as long: 10 pages for each of its 2 answers.
  expect(entries(family(1, 90)).memory_cache_bytes).toBe(2 * 10 * 16 * (3 * 2 * 16 * 4));
  const both = entries(family(10, 20), family(1, 90));
  expect(both).toMatchObject({
    memory_cache_bytes: short.memory_cache_bytes,
    memory_bytes: short.memory_bytes,
  });
});
