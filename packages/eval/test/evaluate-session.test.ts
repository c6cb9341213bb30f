// Scoring by log-likelihood and perplexity by position, under a model whose probabilities are a table.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Device } from "@nsa/kernels";
import { afterAll, expect, test, vi } from "vitest";
import { bigramModel } from "../../model/test/bigram-model.ts";
import { type PositionsSummary, summarise } from "../src/index.ts";
import { positionSteps } from "../src/long-context.ts";
import { type Session, scoreTokens } from "../src/session.ts";

const cpu = Device.open("cpu", { threads: 1 });
const root = mkdtempSync(join(tmpdir(), "nsa-score-"));
afterAll(() => {
  cpu.close();
  rmSync(root, { recursive: true });
});

/** Digits are ids; 3 ends a text. */
const tokenizer = { eosId: 3, encodeDocument: (text: string) => [...text].map(Number) };
const open = (prefillTokens: number) => {
  const model = bigramModel(cpu);
  const upload = vi.spyOn(model, "upload");
  const session = { model, tokenizer, config: { engine: { prefillTokens } } } as unknown as Session;
  const batches = () =>
    upload.mock.calls.map(([batch]) => ({ tokens: [...batch.tokens], cuSeqlens: [...batch.cuSeqlens] }));
  return { session, batches };
};
const near = (...xs: number[]) => xs.map((x) => expect.closeTo(x, 5));
const bits = (logp: Float64Array) => [...logp].map((x) => -x / Math.LN2);

test("tokens_from_a_place_on_are_scored_in_batches_up_to_the_prefill_budget", () => {
  const items = [
    { ids: [0, 1, 2], from: 1 },
    { ids: [2, 3, 0, 0, 1], from: 3 },
    { ids: [1, 0], from: 1 },
    { ids: [0, 2, 0], from: 2 },
  ];
  const { session, batches } = open(8);
  // 0→1 and 1→2: 2 and 2; 0→0 and 0→1: 1 and 2; 1→0: 3; 2→0: 4.
  expect(scoreTokens(session, items).map(bits)).toEqual([near(2, 2), near(1, 2), near(3), near(4)]);
  // 3 + 5 ids fit 8, then 2 + 3; each gives one position less.
  expect(batches()).toEqual([
    { tokens: [0, 1, 2, 3, 0, 0], cuSeqlens: [0, 2, 6] },
    { tokens: [1, 0, 2], cuSeqlens: [0, 1, 3] },
  ]);
  const narrow = open(1);
  expect(scoreTokens(narrow.session, items).map(bits)).toEqual([near(2, 2), near(1, 2), near(3), near(4)]);
  expect(narrow.batches()).toHaveLength(4);
});

test("perplexity_of_a_part_is_exp_of_the_mean_over_its_tokens", async () => {
  const file = join(root, "texts.jsonl");
  writeFileSync(file, `${JSON.stringify({ text: "0120" })}\n${JSON.stringify({ text: "2210" })}\n`);
  const spec = {
    kind: "positions" as const,
    name: "places",
    files: [file],
    text: "{text}",
    length: 4,
    sequences: 2,
    buckets: 3,
  };
  const { session } = open(64);
  const rows = (await Promise.all(positionSteps(spec).map((step, i) => step.run(session, i)))).flat();
  // 0 1 2 0 3 costs 2 2 4 3 bits, 2 2 1 0 3 costs 3 4 3 3; of four places two are in the first of three parts.
  const nats = (...xs: number[]) => near(...xs.map((x) => x * Math.LN2));
  expect(rows).toMatchObject([
    { sequence: 0, nll: nats(4, 4, 3), tokens: [2, 1, 1] },
    { sequence: 1, nll: nats(7, 3, 3), tokens: [2, 1, 1] },
  ]);
  const [summary] = (await summarise(rows)) as [PositionsSummary];
  expect(summary.perplexity).toEqual([11 / 4, 7 / 2, 6 / 2].map((x) => expect.closeTo(2 ** x, 3)));
  // 24 bits over 8 tokens, and no mean of the parts' 6.73, 11.31 and 8.
  expect(summary.total).toBeCloseTo(8, 3);
});
