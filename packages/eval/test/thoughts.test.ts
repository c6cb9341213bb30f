// Budget forcing: thoughts end at the budget and answers are asked for, early ends are taken back; every figure by hand on a toy model.
import { packBatch } from "@nsa/core";
import type { Tokenizer } from "@nsa/data";
import { Device } from "@nsa/kernels";
import { Engine, logprobs } from "@nsa/model";
import { afterAll, expect, test } from "vitest";
import { bigramModel } from "../../model/test/bigram-model.ts";
import { type ForcedSample, generateForced, thoughtSchema } from "../src/trajectories/thoughts.ts";
import { sampledMask, wholeIds } from "../src/trajectories/trajectory.ts";

const device = Device.open("cpu");
afterAll(() => device.close());

const pieces = ["<end>", "a", "k</think>", " <answer>", " Wait,", "7", "?"];
const [END, A, MARK, ANSWER, WAIT, SEVEN] = [0, 1, 2, 3, 4, 5];
const row = (entries: Record<number, number>) => pieces.map((_, i) => entries[i] ?? 1e-9);
const table = pieces.map((_, i) => {
  if (i === A || i === WAIT) return row({ [A]: 0.75, [MARK]: 0.2, [END]: 0.05 });
  if (i === MARK || i === ANSWER) return row({ [SEVEN]: 0.9, [A]: 0.1 });
  return row({ [END]: 0.6, [SEVEN]: 0.4 });
});
table[6] = row({ [A]: 1 });

/** Longest pieces first. `special`: ids that leave no text, which are ends or marks. */
function tokenizerWith(special: readonly number[] = []): Tokenizer {
  const order = pieces.map((_, i) => i).sort((a, b) => pieces[b]!.length - pieces[a]!.length);
  return {
    encode(text: string) {
      const ids: number[] = [];
      for (let at = 0; at < text.length; ) {
        const id = order.find((i) => text.startsWith(pieces[i]!, at));
        ids.push(id ?? 6);
        at += id === undefined ? 1 : pieces[id]!.length;
      }
      return ids;
    },
    decode: (ids: Iterable<number>) =>
      Array.from(ids, (id) => (id === END || special.includes(id) ? "" : pieces[id]!)).join(""),
    eosIds: [END],
    isSpecial: (id: number) => id === END || special.includes(id),
  } as unknown as Tokenizer;
}
const tokenizer = tokenizerWith();
const engine = () =>
  new Engine(bigramModel(device, table), {
    ...{ maxSequences: 64, cacheTokens: 8192, prefillTokens: 512 },
    decode: (ids) => tokenizer.decode(ids),
  });
const sampling = { temperature: 1, topP: 1, minP: 0, topK: 0 };
const request = (n: number, id = 0) => ({
  prompt: [6],
  n,
  maxTokens: 1,
  sampling,
  seed: 5,
  id,
  stopIds: [END],
});
const budget = (more: object) =>
  thoughtSchema.parse({ tokens: 5, answerTokens: 3, end: " <answer>", wait: " Wait,", ...more });
const text = (output: ForcedSample) =>
  wholeIds(output)
    .map((id) => pieces[id]!)
    .join("");

test("a_thought_ends_at_its_budget_and_the_answer_is_asked_for", () => {
  const [outputs] = generateForced(engine(), [request(400)], budget({}), tokenizer);
  const seen = { ended: 0, own: 0, none: 0 };
  for (const output of outputs!) {
    const { ids, inserts = [], sampled } = output;
    expect(sampled).toBe(ids.length);
    const mark = ids.indexOf(MARK);
    if (output.budget.ended) {
      // Five tokens of thought, the text, and at most three of answer.
      expect(inserts).toEqual([{ at: 5, ids: [ANSWER] }]);
      expect(text(output)).toMatch(/^a{5} <answer>[a7]/);
      expect(ids.length).toBeLessThanOrEqual(8);
      seen.ended++;
    } else {
      expect(inserts).toEqual([]);
      if (mark >= 0) {
        expect(mark).toBeLessThan(5);
        expect(ids.length - mark - 1).toBeLessThanOrEqual(3);
        seen.own++;
      } else {
        expect(ids.at(-1)).toBe(END);
        expect(ids.length).toBeLessThanOrEqual(5);
        seen.none++;
      }
    }
    expect(output.finish).toBe(ids.at(-1) === END ? "stop" : "length");
    expect(output.budget).toMatchObject({ tokens: 5, waits: 0 });
  }
  // Of a thought of five tokens 0.75⁴ go on (the first is always a): 0.32; 0.2 (1 − 0.32) / 0.25 = 0.55 end by themselves.
  expect(seen.ended / 400).toBeGreaterThan(0.25);
  expect(seen.ended / 400).toBeLessThan(0.39);
  expect(seen.own / 400).toBeGreaterThan(0.47);
  expect(seen.own / 400).toBeLessThan(0.62);
  expect(seen.none).toBeGreaterThan(20);
});

test("an_early_end_is_taken_back_so_often_and_counts_as_sampled", () => {
  const [outputs] = generateForced(engine(), [request(300)], budget({ tokens: 8, waits: 2 }), tokenizer);
  const waits = [0, 0, 0];
  for (const output of outputs!) {
    const { ids, inserts = [], sampled, budget: forced } = output;
    const waited = inserts.filter((insert) => insert.ids[0] === WAIT);
    expect(forced.waits).toBe(waited.length);
    // Each time the mark was sampled and is not there.
    expect(sampled).toBe(ids.length + waited.length);
    waits[forced.waits]!++;
    if (forced.waits < 2 && !forced.ended && ids.includes(MARK)) {
      // Kept with a wait to spare: it was the budget's last token.
      expect(ids.indexOf(MARK) + forced.waits).toBe(7);
    }
    expect(text(output).split(" Wait,").length - 1).toBe(forced.waits);
  }
  expect(Math.min(...waits)).toBeGreaterThan(10);
});

test("an_output_draws_as_without_a_budget_until_something_is_put_in", () => {
  const plain = engine().generate([{ ...request(60), maxTokens: 5, stopStrings: ["</think>"] }])[0]!;
  const forced = generateForced(engine(), [request(60)], budget({}), tokenizer)[0]!;
  for (const [i, { ids }] of plain.entries()) expect(forced[i]!.ids.slice(0, ids.length)).toEqual(ids);
  const [alone] = generateForced(engine(), [request(1, 17)], budget({}), tokenizer)[0]!;
  expect(alone).toEqual(forced[17]);
});

test("log_probabilities_are_those_of_a_forward_over_the_text_with_what_was_put_in", () => {
  const [outputs] = generateForced(engine(), [request(40)], budget({ waits: 1 }), tokenizer);
  const model = bigramModel(device, table);
  let inserted = 0;
  for (const output of outputs!) {
    const ids = [6, ...wholeIds(output)];
    const own = sampledMask(output);
    const batch = packBatch([{ ids, isTarget: (index) => index > 0 && own[index - 1] === 1 }]);
    const { logp } = logprobs(model, batch);
    const found = Array.from(logp).filter((_, at) => batch.targets[at]! >= 0);
    expect(found.length).toBe(output.ids.length);
    for (const [i, x] of found.entries()) expect(Math.abs(x - output.logp[i]!)).toBeLessThan(1e-5);
    inserted += own.length - output.ids.length;
  }
  expect(inserted).toBeGreaterThan(20);
});

test("a_mark_that_is_a_special_token_is_found_by_its_id", () => {
  const special = tokenizerWith([MARK]);
  const marked = budget({ mark: "k</think>", waits: 1, tokens: 8 });
  const [outputs] = generateForced(engine(), [request(60)], marked, special);
  const [same] = generateForced(engine(), [request(60)], { ...marked, mark: "</think>" }, tokenizer);
  expect(outputs).toEqual(same);
});
