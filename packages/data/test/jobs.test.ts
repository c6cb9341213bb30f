// Resumable jobs: kills, worker processes and Slurm change nothing about the outputs.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { needs } from "../../core/test/needs.ts";
import { taskEntry } from "../src/corpus/jobs/process.ts";
import type { TaskIo } from "../src/corpus/jobs/task.ts";
import {
  arrayRanges,
  BuildConfig,
  buildCorpus,
  choices,
  inlineExecutor,
  runStage,
  slurmExecutor,
  syntheticCrawl,
  writeCrawl,
} from "../src/index.ts";
import { folderHashes } from "./folder.ts";
import { attempt, finishedTasks, tasksUnderWay } from "./kills.ts";

const root = mkdtempSync(join(tmpdir(), "nsa-jobs-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const crawl = writeCrawl(join(root, "crawl"), { pages: 200, seed: 4, mathShare: 0.2 });
const pages = [...syntheticCrawl({ pages: 900, seed: 5, mathShare: 0.2 })];
const SHARDS = 6;
const WORKERS = 2;
for (let s = 0; s < SHARDS; s++) {
  const rows = pages
    .filter((_, i) => i % SHARDS === s)
    .map(({ html: _, label: __, ...page }) => JSON.stringify(page));
  writeFileSync(join(root, "crawl", `part-${s}.jsonl`), `${rows.join("\n")}\n`);
}

function config(out: string, executor: "inline" | "local" | "slurm") {
  return {
    outDir: join(root, out),
    inputs: [join(root, "crawl", "part-*.jsonl")],
    positives: [crawl.positives],
    negatives: [crawl.negatives],
    executor,
    workers: WORKERS,
    budgetTokens: 20_000,
    outputShardBytes: 20_000,
    fasttext: { dim: 16, bucket: 20_000, lr: 0.5, epoch: 3, engine: "typescript" as const },
    slurm: { pollSeconds: 0.3 },
    loop: { autoAnnotate: true },
  };
}

test("a_task_whose_manifest_is_not_what_was_written_runs_again_and_one_of_before_seals_is_taken", async () => {
  const outDir = join(root, "sealed");
  const ran: string[] = [];
  const table = {
    copy: async ({ outputs }: TaskIo) => {
      ran.push("copy");
      writeFileSync(outputs[0]!, "made");
      return { documents: 3, share: 0.1 };
    },
  };
  const task = { kind: "copy", name: "a", spec: { x: 1 }, inputs: [crawl.positives], outputs: ["out/a"] };
  const run = async () => {
    ran.length = 0;
    const job = { outDir, executor: inlineExecutor(table), hashes: new Map<string, string>() };
    const [manifest] = await runStage(job, "copy", [task]);
    return { ran: ran.length, stats: manifest!.stats };
  };
  const made = { ran: 1, stats: { documents: 3, share: 0.1 } };
  expect(await run()).toEqual(made);
  const kept = { ...made, ran: 0 };
  expect(await run()).toEqual(kept);
  const path = join(outDir, "manifests", "copy", "a.json");
  const saved = readFileSync(path);
  const manifest = JSON.parse(saved.toString());
  for (let at = 0; at < saved.length; at += 7) {
    const flipped = Buffer.from(saved);
    flipped[at]! ^= 1 << (at % 8);
    writeFileSync(path, flipped);
    expect(await run(), `byte ${at}`).toEqual(made);
  }
  for (const edited of [
    null,
    [],
    {},
    { ...manifest, stats: { documents: 9 } },
    { ...manifest, outputs: undefined },
  ]) {
    writeFileSync(path, JSON.stringify(edited));
    expect(await run()).toEqual(made);
  }
  const { seal: _, ...old } = manifest;
  writeFileSync(path, `${JSON.stringify(old, null, 1)}\n`);
  expect(await run()).toEqual(kept);
});

test("killed_at_random_moments_it_redoes_a_shard_for_each_worker_at_most_and_gives_the_same_bytes", async () => {
  await buildCorpus(BuildConfig.parse(config("whole", "inline")));
  const main = join(import.meta.dirname, "build-main.ts");
  const args = [...taskEntry().flags, main, JSON.stringify(config("killed", "local"))];
  const out = join(root, "killed");
  const c = choices(8);
  const finished = new Map<string, number>();
  let kills = 0;
  for (;;) {
    const { killed } = await attempt(args, kills < 4 ? c.int(700, 2500) / 1000 : undefined, new Map());
    if (!killed) break;
    kills++;
    expect(tasksUnderWay(out)).toBeLessThanOrEqual(WORKERS);
    for (const [path, time] of finishedTasks(out)) finished.set(path, finished.get(path) ?? time);
  }
  expect(kills).toBeGreaterThan(0);
  const after = finishedTasks(out);
  expect([...finished].filter(([path, time]) => after.get(path) !== time)).toEqual([]);
  expect(folderHashes(out)).toEqual(folderHashes(join(root, "whole")));
}, 240_000);

test("array_indices_fold_into_ranges", () => {
  expect(arrayRanges([0, 1, 2, 5, 7, 8])).toBe("0-2,5,7-8");
  expect(arrayRanges([3])).toBe("3");
});

const slurmUp = spawnSync("sinfo", ["--noheader", "--format=%T"], { encoding: "utf8", timeout: 5000 });
const noSlurm = slurmUp.error !== undefined || slurmUp.status !== 0 || !/idle|mixed/.test(slurmUp.stdout);
needs(!noSlurm, "no Slurm with an idle node (packages/data/test/start-slurm.sh)")(
  "slurm_arrays_give_the_bytes_of_the_inline_run",
  async () => {
    const short = (out: string, executor: "inline" | "slurm") => ({
      ...config(out, executor),
      dedup: { near: { enabled: false } },
      loop: { maxRounds: 1 },
    });
    await buildCorpus(BuildConfig.parse(short("inline", "inline")));
    await buildCorpus(BuildConfig.parse(short("slurm", "slurm")));
    expect(folderHashes(join(root, "slurm"), /^\/slurm\//)).toEqual(folderHashes(join(root, "inline")));
  },
  300_000,
);

needs(!noSlurm, "no Slurm with an idle node (packages/data/test/start-slurm.sh)")(
  "a_failed_array_element_is_submitted_again_alone",
  async () => {
    const out = join(root, "retry");
    const inputs = [0, 1, 2].map((s) => join(root, "crawl", `part-${s}.jsonl`));
    // A folder where element 1 must put its output makes its first attempt fail; it is moved away once it has.
    const blocked = join(out, "read", "1.jsonl");
    mkdirSync(blocked, { recursive: true });
    const log = join(out, "slurm", "read", "1.log");
    const timer = setInterval(() => {
      if (existsSync(log) && statSync(log).size > 0) rmSync(blocked, { recursive: true, force: true });
    }, 100);
    const tasks = inputs.map((path, i) => ({
      kind: "read",
      name: `${i}`,
      spec: { maxRecordBytes: 1_000_000, file: `part-${i}.jsonl` },
      inputs: [path],
      outputs: [`read/${i}.jsonl`, `read/${i}.quarantine.jsonl`, `read/${i}.keys`],
    }));
    const job = {
      outDir: out,
      executor: slurmExecutor({ pollSeconds: 0.5 }),
      hashes: new Map<string, string>(),
    };
    const manifests = await runStage(job, "read", tasks);
    clearInterval(timer);
    expect(manifests.map((m) => m.stats.documents)).toEqual([150, 150, 150]);
    const made = [0, 1, 2].map((i) => statSync(join(out, `read/${i}.jsonl`)).mtimeMs);
    expect(made[1]!).toBeGreaterThan(Math.max(made[0]!, made[2]!));
  },
  120_000,
);
