// Outputs with tools: token in, token out, whatever the timing of the tools; log-probabilities as a forward over the whole text has them.
import { packBatch, Rng } from "@nsa/core";
import { Device } from "@nsa/kernels";
import { Engine, logprobs } from "@nsa/model";
import { type Environment, environmentSchema, fenceProtocol, openEnvironment } from "@nsa/tasks";
import { afterAll, beforeAll, expect, test } from "vitest";
import { bigramModel } from "../../model/test/bigram-model.ts";
import {
  generateTrajectories,
  sampledMask,
  splitIds,
  type ToolUse,
  type Trajectory,
  wholeIds,
} from "../src/index.ts";
import { delayed, pieces, table, tokenizer } from "./toy-tools.ts";

const device = Device.open("cpu");
afterAll(() => device.close());
let calculator: Environment;
beforeAll(async () => {
  calculator = await openEnvironment(environmentSchema.parse({ kind: "calculator" }));
});

const sampling = { temperature: 1, topP: 1, minP: 0, topK: 0 };
const problem = { id: "x", question: "", answer: "" };
const MAX_TOKENS = 12;
const request = (id: number, n: number, seed = 5) => ({
  ...{ prompt: [9], n, maxTokens: MAX_TOKENS, sampling, seed, id, problem },
  ...{ stopIds: [0], stopStrings: ["```output"] },
});
const toolsOf = (environment: Environment, more: Partial<ToolUse> = {}): ToolUse => ({
  environment,
  protocol: fenceProtocol(environment.tools),
  tokenizer,
  maxTurns: 3,
  maxOutputTokens: 4,
  ...more,
});
const open = (cacheTokens = 4096, maxSequences = 64) =>
  new Engine(bigramModel(device, table), {
    ...{ maxSequences, cacheTokens, prefillTokens: 512 },
    decode: (ids) => tokenizer.decode(ids),
  });

/** Checks an output against what the protocol and the calculator must have done with what was sampled. */
function expectReplayed(t: Trajectory): void {
  const whole = wholeIds(t);
  const mask = sampledMask(t);
  expect(whole.filter((_, i) => mask[i])).toEqual(t.ids);
  expect(splitIds(whole, mask)).toEqual({ ids: t.ids, ...(t.inserts ? { inserts: t.inserts } : {}) });
  expect(t.logp.length).toBe(t.ids.length);
  const results: Record<string, string> = { 2: "2", 3: "6", 10: "division by zero" };
  for (const [n, { at, ids }] of (t.inserts ?? []).entries()) {
    // The last block before the output was called: pieces of this turn alone count.
    const from = t.inserts![n - 1]?.at ?? 0;
    expect(t.ids[at - 1]).toBe(4);
    const called = t.ids.slice(from, at).findLast((id) => results[id] !== undefined)!;
    const shown = tokenizer.decode(tokenizer.encode(results[called]!).slice(0, 4));
    expect(tokenizer.decode(ids)).toBe(`\n${shown}\n\`\`\`\n`);
    expect(t.calls![n]!.output).toBe(results[called]);
  }
}

test("ids_are_the_sampled_ones_and_results_stand_between_them_in_10000_trajectories", async () => {
  const [outputs] = await generateTrajectories(open(2 ** 19, 512), [request(0, 10_000)], toolsOf(calculator));
  expect(outputs!.length).toBe(10_000);
  for (const t of outputs!) expectReplayed(t);
  const calls = outputs!.map((t) => t.calls?.length ?? 0);
  // All numbers of calls up to the most occur; more than that end an output.
  expect([...new Set(calls)].sort()).toEqual([0, 1, 2, 3]);
  const over = outputs!.filter((t) => (t.inserts?.length ?? 0) === 3 && t.ids.at(-1) === 4);
  expect(over.length).toBeGreaterThan(10);
  for (const t of outputs!) {
    expect(t.ids.length).toBeLessThanOrEqual(MAX_TOKENS);
    const ended = t.ids.at(-1) === 0 || (t.ids.at(-1) === 4 && t.finish === "stop");
    expect(t.finish).toBe(ended ? "stop" : "length");
  }
}, 120_000);

test("outputs_depend_neither_on_the_timing_of_tools_nor_on_the_room_that_they_share", async () => {
  const requests = [request(0, 6), request(6, 6)];
  const plain = await generateTrajectories(open(), requests, toolsOf(calculator));
  const rng = new Rng(3, 7);
  let calls = 0;
  const slow = delayed(
    calculator,
    () => new Promise((resolve) => setTimeout(resolve, 12 * rng.uniform(calls++, 0))),
  );
  expect(await generateTrajectories(open(), requests, toolsOf(slow))).toEqual(plain);
  expect(await generateTrajectories(open(128, 2), requests, toolsOf(slow))).toEqual(plain);
  expect(calls).toBeGreaterThan(8);
  // One request of output 8 alone draws what the eighth of all has drawn.
  const [[alone]] = (await generateTrajectories(open(), [request(8, 1)], toolsOf(calculator))) as [
    [Trajectory],
  ];
  expect(alone).toEqual(plain[1]![2]);
});

test("log_probabilities_are_those_of_a_forward_over_the_text_with_its_results", async () => {
  const [outputs] = await generateTrajectories(open(), [request(0, 40)], toolsOf(calculator));
  const model = bigramModel(device, table);
  let inserted = 0;
  for (const t of outputs!) {
    const ids = [9, ...wholeIds(t)];
    const own = sampledMask(t);
    const batch = packBatch([{ ids, isTarget: (index) => index > 0 && own[index - 1] === 1 }]);
    const { logp } = logprobs(model, batch);
    const found = Array.from(logp).filter((_, at) => batch.targets[at]! >= 0);
    expect(found.length).toBe(t.ids.length);
    for (const [i, x] of found.entries()) expect(Math.abs(x - t.logp[i]!)).toBeLessThan(1e-5);
    inserted += ids.length - 1 - t.ids.length;
  }
  expect(inserted).toBeGreaterThan(50);
});

test("an_environment_may_end_an_output_and_an_error_is_what_the_model_reads", async () => {
  const ending: Environment = { ...calculator, step: (state) => ({ state, output: "6", done: true }) };
  const [ended] = await generateTrajectories(open(), [request(0, 20)], toolsOf(ending));
  const called = ended!.filter((t) => t.calls);
  expect(called.length).toBeGreaterThan(5);
  for (const t of called) {
    expect([t.calls!.length, t.finish, t.ids.at(-1)]).toEqual([1, "stop", 4]);
    expect(
      wholeIds(t)
        .slice(-3)
        .map((id) => pieces[id]),
    ).toEqual(["\n", "6", "\n```\n"]);
  }
  const failing: Environment = {
    ...calculator,
    step: () => {
      throw new Error("q\nsecond line");
    },
  };
  const [failed] = await generateTrajectories(open(), [request(0, 20)], toolsOf(failing));
  const first = failed!.find((t) => t.calls)!;
  expect(first.calls![0]).toEqual({ name: "calculator", output: "q", failed: true });
  expect(tokenizer.decode(first.inserts![0]!.ids)).toBe("\nq\n```\n");
});

test("a_cancelled_engine_ends_outputs_without_further_calls", async () => {
  let steps = 0;
  const engine = new Engine(bigramModel(device, table), {
    ...{ maxSequences: 64, cacheTokens: 4096, prefillTokens: 512 },
    decode: (ids) => tokenizer.decode(ids),
    cancelled: () => ++steps > 3,
  });
  const [outputs] = await generateTrajectories(engine, [request(0, 8)], toolsOf(calculator));
  for (const t of outputs!) expect(t.ids.length).toBeLessThan(8);
});
