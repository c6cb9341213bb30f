// A disk that is really full, a small file system in memory: each writer of the package says so and leaves nothing half-written.
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createRunDir, JsonlFile, NsaError, openStageContext } from "@nsa/core";
import { afterAll, beforeEach, expect } from "vitest";
import { needs } from "../../core/test/needs.ts";
import { runTask } from "../src/corpus/jobs/task.ts";
import { JsonlWriter } from "../src/corpus/readers/write.ts";
import { Tokenizer, tokenizeFiles, trainBpe, writeCrawl, writePacks } from "../src/index.ts";

const disk = mkdtempSync(join(tmpdir(), "nsa-full-"));
const mounted =
  spawnSync("mount", ["-t", "tmpfs", "-o", "size=256k,nr_inodes=200", "tmpfs", disk]).status === 0;
afterAll(() => {
  if (mounted) spawnSync("umount", ["-l", disk]);
  rmSync(disk, { recursive: true, force: true });
});
beforeEach(() => {
  for (const name of readdirSync(disk)) rmSync(join(disk, name), { recursive: true, force: true });
});

const elsewhere = mkdtempSync(join(tmpdir(), "nsa-full-inputs-"));
afterAll(() => rmSync(elsewhere, { recursive: true, force: true }));
const texts = join(elsewhere, "texts.jsonl");
writeFileSync(
  texts,
  Array.from(
    { length: 3000 },
    (_, i) => `${JSON.stringify({ id: String(i), text: `number ${i} `.repeat(40) })}\n`,
  ).join(""),
);
const tokenizer = new Tokenizer(
  trainBpe(["number 1 number 2"], {
    vocabSize: 270,
    preTokenizer: "digits",
    specialTokens: ["<|endoftext|>"],
  }),
);

/** Everything that lies on the disk but folders. */
const left = () =>
  readdirSync(disk, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => entry.name);

const examples = Array.from({ length: 400 }, (_, i) => ({
  ids: new Int32Array(700).fill(i),
  promptLength: 3,
}));

const writers: [name: string, write: () => unknown, leaves: RegExp | null][] = [
  [
    "a_synthetic_crawl",
    () => writeCrawl(join(disk, "crawl"), { pages: 4000, seed: 1, mathShare: 0.5 }),
    /^(posi|nega)tives\.jsonl$/,
  ],
  ["token_shards", () => tokenizeFiles([texts], { tokenizer, out: join(disk, "shards") }), null],
  [
    "packs",
    () =>
      writePacks(examples, {
        method: "bfd",
        capacity: 1024,
        seed: 1,
        tokenizerHash: "",
        out: join(disk, "packs"),
      }),
    null,
  ],
  [
    "a_corpus_task_with_a_scratch_file",
    () =>
      runTask(
        {
          big: async ({ outputs }) => {
            writeFileSync(`${outputs[0]}.txt`, Buffer.alloc(100_000));
            writeFileSync(outputs[0]!, Buffer.alloc(10 ** 6));
            return {};
          },
        },
        join(disk, "corpus"),
        { kind: "big", name: "x", spec: {}, inputs: [], outputs: ["a/x.bin"] },
        "0".repeat(64),
      ),
    null,
  ],
  [
    "rows_of_readers",
    () => {
      const rows = new JsonlWriter(join(disk, "rows.jsonl"));
      for (let i = 0; i < 10_000; i++) rows.write({ text: "x".repeat(200) });
      rows.close();
    },
    /rows/,
  ],
  [
    "a_run_folder",
    () => createRunDir({ root: disk, stage: "sft", name: "x", configYaml: "x".repeat(10 ** 6) }),
    null,
  ],
  [
    "the_log_of_a_run",
    () => {
      const context = openStageContext({ runDir: disk });
      for (let i = 0; i < 3000; i++) context.log("y".repeat(200));
    },
    /log/,
  ],
  [
    "metrics",
    () => {
      const file = new JsonlFile(join(disk, "metrics.jsonl"));
      for (let i = 0; i < 3000; i++) file.append({ text: "y".repeat(200) });
    },
    /metrics/,
  ],
];

needs(mounted, "only root can mount a small disk").each(
  writers.map((w) => [...w] as [string, () => unknown, RegExp | null]),
)("%s", async (_name, write, leaves) => {
  mkdirSync(disk, { recursive: true });
  let error: unknown;
  try {
    await write();
  } catch (thrown) {
    error = thrown;
  }
  expect(error, String((error as Error)?.stack)).toBeInstanceOf(NsaError);
  expect(error).toMatchObject({ code: "disk_full", exitCode: 3 });
  expect(left().filter((name) => !leaves?.test(name))).toEqual([]);
});
