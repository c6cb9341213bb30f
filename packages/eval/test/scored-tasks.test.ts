// Prompts and decisions of needle and choice tasks, with log-probabilities that the test sets.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Batch } from "@nsa/core";
import { singleRank } from "@nsa/kernels";
import { afterAll, expect, test, vi } from "vitest";
import { needleSteps } from "../src/long-context.ts";
import { choiceSteps } from "../src/problems.ts";
import type { ChoiceRow, NeedleRow } from "../src/rows.ts";
import type { Session } from "../src/session.ts";

/** Log-probability of every target of a document, by its text. */
let priced: (text: string) => number;
vi.mock("@nsa/model", async (original) => ({
  ...(await original<typeof import("@nsa/model")>()),
  logprobs: (_: unknown, { tokens, targets, cuSeqlens }: Batch) => {
    const logp = new Float64Array(tokens.length);
    for (let n = 0; n + 1 < cuSeqlens.length; n++) {
      const price = priced(String.fromCharCode(...tokens.subarray(cuSeqlens[n]!, cuSeqlens[n + 1]!)));
      for (let t = cuSeqlens[n]!; t < cuSeqlens[n + 1]!; t++) if (targets[t]! >= 0) logp[t] = price;
    }
    return { logp };
  },
}));

const root = mkdtempSync(join(tmpdir(), "nsa-scored-"));
afterAll(() => rmSync(root, { recursive: true }));

/** Every character is a token. */
const tokenizer = {
  eosId: 0,
  frame: { before: [], after: [] },
  encode: (text: string) => [...text].map((c) => c.charCodeAt(0)),
  decode: (ids: number[]) => String.fromCharCode(...ids),
};
const open = (engine: object) =>
  ({
    tokenizer,
    model: { config: { maxSeqLen: 512 } },
    config: { seed: 3, engine: { prefillTokens: 4096 } },
    engine,
    collectives: singleRank,
  }) as unknown as Session;

test("a_needle_lies_at_its_depth_and_its_gain_is_with_the_fact_against_without", async () => {
  const prompts: string[] = [];
  const asked: string[] = [];
  const engine = {
    generate: ([request]: { prompt: number[]; maxTokens: number }[]) => {
      asked.push(tokenizer.decode(request!.prompt));
      // The first and the last cell answer rightly.
      const fact = /number of \w+ is (\d+)/.exec(asked.at(-1)!)![1]!;
      const text = asked.length === 2 ? " 1" : ` ${fact}.`;
      return [[{ ids: tokenizer.encode(text), finish: "length" }]];
    },
  };
  priced = (text) => {
    prompts.push(text);
    return /is \d{5}\. /.test(text) ? -0.5 : -2;
  };
  const spec = {
    kind: "needle",
    name: "hay",
    lengths: [300],
    depths: [0, 0.5, 1],
    trials: 1,
    files: [],
  } as const;
  const steps = needleSteps(spec as never);
  const rows = (await Promise.all(steps.map((s, i) => s.run(open(engine), i)))).flat() as NeedleRow[];
  expect(rows.map((r) => [r.length, r.depth, r.found, r.logp, r.logpWithout])).toEqual([
    [300, 0, true, -0.5, -2],
    [300, 0.5, false, -0.5, -2],
    [300, 1, true, -0.5, -2],
  ]);
  // Prompt and answer fill the length; the last token is a target alone.
  expect(prompts.map((p) => p.length)).toEqual(new Array(6).fill(299));
  const places = asked.map((p) => p.indexOf(" The magic number"));
  expect(places[0]).toBe(0);
  // The question begins with a line of its own; between the two lies what is left of the haystack.
  const needle = / The magic number of \w+ is \d{5}\. /.exec(asked[1]!)![0];
  const hay = asked[1]!.indexOf("\nWhat is") - needle.length;
  // The fact stands after the sentence that ends at or before the middle.
  expect(places[1]).toBeLessThanOrEqual(Math.round(hay / 2));
  expect(places[1]).toBeGreaterThan(Math.round(hay / 2) - 64);
  expect(asked[1]![places[1]! - 1]).toBe(".");
  expect(places[2]).toBeGreaterThan(asked[2]!.indexOf("\nWhat is") - needle.length - 64);
  for (const [i, p] of asked.entries()) expect(p.endsWith(" is"), `${i}`).toBe(true);
});

test("an_option_is_chosen_by_its_sum_and_by_its_sum_over_bytes", async () => {
  const options = ["ab", "żżż", "abcdefgh"];
  const records = [
    { id: "one", question: "Which?", options, answer: "A" },
    { id: "two", question: "Short?", options: ["abcd", "a"], answer: "B" },
  ];
  writeFileSync(join(root, "mc.jsonl"), records.map((r) => JSON.stringify(r)).join("\n"));
  writeFileSync(
    join(root, "mc.yaml"),
    'name: mc\nfiles: [mc.jsonl]\nfields: {options: options}\nprompt: "{question}{options}"\n',
  );
  priced = () => -1;
  const spec = { kind: "choice", task: join(root, "mc.yaml"), shots: 0, score: "text" } as const;
  const [step] = choiceSteps(spec as never, { dataDir: root, problems: 8 });
  const rows = (await step!.run(open({}), 4)) as ChoiceRow[];
  // Every token of " ab", " żżż" and " abcdefgh" costs 1: 3, 4 and 9, over 2, 6 and 8 bytes.
  expect(rows[0]).toMatchObject({
    id: "one",
    gold: "A",
    logps: [-3, -4, -9],
    answer: "A",
    answerPerByte: "B",
  });
  expect(rows[1]).toMatchObject({ id: "two", gold: "B", logps: [-5, -2], answer: "B", answerPerByte: "A" });
});
