// Steps made ahead in a thread: the same steps, and a saved state that knows nothing of those not yet taken.
import { setTimeout } from "node:timers/promises";
import { afterAll, expect, test } from "vitest";
import { inMemory, type LoaderJob, openLoader, PrefetchedSource, subset } from "../src/index.ts";

const documents = Array.from({ length: 30 }, (_, i) =>
  Int32Array.from({ length: 3 + ((i * 7) % 40) }, (_, t) => i * 100 + t),
);
const packing = { microBatchTokens: 50, microBatches: 2, maxLength: 25, seed: 5 };
const order = Uint32Array.from({ length: 20 }, (_, i) => (i * 11) % 30);
const half = subset(inMemory(documents), order);
const jobs: Record<string, LoaderJob> = {
  one: { parts: [{ name: "", documents: inMemory(documents).share() }], packing },
  mixed: {
    parts: [
      { name: "a", documents: inMemory(documents).share() },
      { name: "b", documents: half.share() },
    ],
    stages: [
      { until: 3, weights: { a: 1, b: 3 } },
      { until: 100, weights: { a: 1 } },
    ],
    packing,
  },
};

const opened: PrefetchedSource[] = [];
const open = (job: LoaderJob) => {
  const source = new PrefetchedSource(job);
  opened.push(source);
  return source;
};
afterAll(() => Promise.all(opened.map((source) => source.close())));

test.each(Object.keys(jobs))("steps_of_%s_and_states_are_those_of_the_source_itself", async (name) => {
  const [ahead, plain] = [open(jobs[name]!), openLoader(jobs[name]!)];
  expect(ahead.save()).toEqual(plain.save());
  for (let i = 0; i < 8; i++) {
    expect(await ahead.next()).toEqual(plain.next());
    // Time for the thread to run ahead.
    if (i % 3 === 0) await setTimeout(30);
    expect(ahead.save()).toEqual(plain.save());
  }
});

test("two_resumes_give_the_steps_of_an_unbroken_run", async () => {
  const whole = openLoader(jobs.one!);
  const wanted = Array.from({ length: 9 }, () => whole.next());
  const got = [];
  let state: unknown;
  for (let part = 0; part < 3; part++) {
    const source = open(jobs.one!);
    if (state !== undefined) await source.load(JSON.parse(JSON.stringify(state)));
    for (let i = 0; i < 3; i++) got.push(await source.next());
    await setTimeout(20);
    state = source.save();
    await source.close();
  }
  expect(got).toEqual(wanted);
});

test("a_state_loaded_on_the_way_drops_what_was_made_ahead", async () => {
  const [source, plain] = [open(jobs.one!), openLoader(jobs.one!)];
  const first = await source.next();
  const state = source.save();
  const second = await source.next();
  await source.load(state);
  expect(await source.next()).toEqual(second);
  expect(first).toEqual(plain.next());
});

test("a_fault_in_the_thread_reaches_the_run", async () => {
  const missing = open({ parts: [{ name: "", documents: { kind: "shards", folder: "/nowhere" } }], packing });
  await expect(missing.next()).rejects.toMatchObject({ code: "token_shards_missing", exitCode: 3 });
});
