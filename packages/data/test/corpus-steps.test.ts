// The table of corpus steps: every step checks its settings in the process that runs the task.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { localExecutor, runStage, TASKS } from "../src/index.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-steps-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** Settings that each step runs with. */
const settings: Record<string, Record<string, unknown>> = {
  read: { maxRecordBytes: 1024, file: "a.jsonl" },
  exact: { url: true, exact: false },
  minhash: { shingleWords: 5, bands: 4, rows: 2, seed: 1 },
  near: { band: 3, bands: 4, rows: 2, threshold: 0.7 },
  cluster: { shards: 2 },
  clean: {
    minChars: 10,
    bytesPerToken: 4,
    languages: [],
    languageProbability: 0.5,
    fields: [],
    rules: { ngram: 10, minWords: 3, distinctive: true },
    benchmarksHash: "x",
  },
  train: {
    fasttext: {},
    positiveLabel: "math",
    refusedAsNegatives: true,
    positives: 1,
    negatives: 1,
    pool: 0,
    rounds: 0,
  },
  score: { positiveLabel: "math", engine: "typescript", modelHash: "y" },
  rank: { budgetTokens: 100, minScore: 0, outputShardBytes: 1000, shards: 2, previous: false },
  domains: { rules: { domainShare: 0.1, minDomainPages: 5, pathShare: 0.5, maxPathDepth: 4 } },
  emit: { start: 0, end: 4, shards: 2 },
};

test("the_table_lists_every_file_of_the_folder_that_defines_a_step", () => {
  const folder = join(import.meta.dirname, "../src/corpus/steps");
  const kinds = readdirSync(folder)
    .flatMap((file) => [...readFileSync(join(folder, file), "utf8").matchAll(/^ {2}kind: "(\w+)",$/gm)])
    .map((match) => match[1]!);
  expect(Object.keys(TASKS).sort()).toEqual(kinds.sort());
  expect(Object.keys(settings).sort()).toEqual(kinds.sort());
});

test.each(Object.keys(settings))(
  "settings_of_%s_with_one_too_many_or_one_missing_are_refused",
  async (kind) => {
    const run = (spec: Record<string, unknown>) => TASKS[kind]!({ spec, inputs: [], outputs: [] });
    const invalid = { code: "task_spec_invalid", exitCode: 1 };
    await expect(run({ ...settings[kind], treshold: 1 })).rejects.toMatchObject(invalid);
    const { [Object.keys(settings[kind]!)[0]!]: _, ...rest } = settings[kind]!;
    await expect(run(rest)).rejects.toMatchObject(invalid);
  },
);

test("settings_are_checked_in_the_worker_process_and_good_ones_run_there", async () => {
  const keys = BigUint64Array.of(7n, 1n, 7n, 2n, 9n, 1n);
  writeFileSync(join(root, "a.keys"), new Uint8Array(keys.buffer));
  const executor = localExecutor({ workers: 1 });
  const run = (spec: Record<string, unknown>) =>
    runStage({ outDir: root, executor, hashes: new Map() }, "exact", [
      { kind: "exact", name: "pool", spec, inputs: ["a.keys"], outputs: ["verdicts"] },
    ]);
  try {
    await expect(run({ url: true })).rejects.toMatchObject({
      code: "task_spec_invalid",
      why: expect.stringContaining("exact"),
    });
    const [manifest] = await run({ url: true, exact: true });
    // The second page has the first one's URL, the third its words.
    expect(manifest!.stats).toEqual({ dropped_url: 1, dropped_exact: 1 });
    expect([...readFileSync(join(root, "verdicts"))]).toEqual([0, 1, 2]);
  } finally {
    executor.close!();
  }
});
