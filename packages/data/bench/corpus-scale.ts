// A large synthetic crawl through read → dedup → clean → score → rank: peak memory of each process; killed at random
// moments and run again, what is redone; the bytes against those of a run that was not killed.
// `pnpm bench corpus-scale --gb 10 [--kills 3] [--workers 2] [--dir /tmp/scale] [--no-twin]`; needs about four times the
// disk. `--mb-s` is the expected rate of a worker, over which the kills are spread.
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { atLeast, atMost, type Bench, type BenchResult, describeMachine } from "@nsa/core";
import { taskEntry } from "../src/corpus/jobs/process.ts";
import { choices } from "../src/index.ts";
import { attempt, finishedTasks, tasksUnderWay } from "../test/kills.ts";
import { bigCrawl } from "./support/big-crawl.ts";
import { parallelHashes } from "./support/hashes.ts";

async function run(): Promise<BenchResult> {
  const { values } = parseArgs({
    args: JSON.parse(process.env.NSA_BENCH_ARGS ?? "[]") as string[],
    options: {
      gb: { type: "string", default: "1" },
      kills: { type: "string", default: "3" },
      workers: { type: "string", default: "2" },
      dir: { type: "string" },
      "mb-s": { type: "string", default: "10" },
      "no-twin": { type: "boolean", default: false },
    },
    strict: false,
  });
  const bytes = Number(values.gb) * 1e9;
  const workers = Number(values.workers);
  const dir = (values.dir as string | undefined) ?? mkdtempSync(join(tmpdir(), "nsa-scale-"));
  mkdirSync(dir, { recursive: true });
  try {
    const { flags } = taskEntry();
    const writer = join(import.meta.dirname, "support/crawl-main.ts");
    const part = (i: number) => [
      ...flags,
      writer,
      join(dir, "crawl"),
      String(bytes),
      String(i),
      String(workers),
    ];
    await Promise.all(Array.from({ length: workers }, (_, i) => attempt(part(i), undefined, new Map())));
    const crawl = bigCrawl(join(dir, "crawl"), bytes);
    const command = (out: string) => [
      ...flags,
      join(import.meta.dirname, "support/rank-main.ts"),
      JSON.stringify({
        outDir: join(dir, out),
        inputs: [crawl.pool],
        positives: [crawl.positives],
        negatives: [crawl.negatives],
        budgetTokens: Math.round(bytes / 4 / 10),
        executor: "local",
        workers,
        fasttext: { dim: 16, bucket: 200_000, wordNgrams: 2, lr: 0.5, epoch: 2 },
        loop: { maxRounds: 1 },
      }),
    ];
    const peaks = new Map<number, number>();
    const random = choices(9);
    let kills = 0;
    let underWay = 0;
    let seconds = 0;
    const before = new Map<string, number>();
    const say = (text: string) => process.stderr.write(`${new Date().toISOString()} ${text}\n`);
    // Each kill comes at a random moment of the expected time, of which it takes its part.
    const expected = bytes / 1e6 / Number(values["mb-s"]) / workers;
    const span = Math.max(4, (1.5 * expected) / (Number(values.kills) + 1));
    let funnel: { step: string; documents: number }[] = [];
    for (;;) {
      const last = kills >= Number(values.kills);
      const one = await attempt(command("killed"), last ? undefined : 3 + random.next() * span, peaks);
      seconds += one.seconds;
      if (!one.killed) {
        funnel = (JSON.parse(one.stdout) as { funnel: typeof funnel }).funnel;
        break;
      }
      kills++;
      say(`kill ${kills} after ${one.seconds.toFixed(1)} s`);
      underWay = Math.max(underWay, tasksUnderWay(join(dir, "killed")));
      for (const [path, time] of finishedTasks(join(dir, "killed")))
        before.set(path, before.get(path) ?? time);
    }
    const after = finishedTasks(join(dir, "killed"));
    const redone = [...before].filter(([path, time]) => after.get(path) !== time).length;
    let different: number | null = null;
    let twinSeconds: number | null = null;
    let files = 0;
    if (!values["no-twin"]) {
      const hashes = (name: string) => {
        say(`hashing ${name}`);
        const found = parallelHashes(join(dir, name), workers);
        // The disk need not hold both.
        rmSync(join(dir, name), { recursive: true });
        return found;
      };
      const killed = hashes("killed");
      twinSeconds = (await attempt(command("whole"), undefined, peaks)).seconds;
      const whole = hashes("whole");
      const paths = new Set([...killed.keys(), ...whole.keys()]);
      files = paths.size;
      different = [...paths].filter((path) => whole.get(path) !== killed.get(path)).length;
    }
    const peak = Math.max(...peaks.values());
    const documents = (step: string) => funnel.find((row) => row.step === step)?.documents ?? null;
    return {
      name: "corpus-scale",
      machine: describeMachine(),
      figures: {
        gb: bytes / 1e9,
        shards: crawl.shards,
        workers,
        pages: documents("read"),
        deduplicated: documents("deduplicated"),
        ranked: documents("ranked"),
        kills,
        seconds_with_kills: seconds,
        seconds_without: twinSeconds,
        mb_s: twinSeconds === null ? bytes / 1e6 / seconds : bytes / 1e6 / twinSeconds,
        processes: peaks.size,
        files_compared: files,
      },
      ratios: {},
      bars: [
        atLeast("kills that met a running command", kills, Number(values.kills)),
        atMost("peak memory of a process, MB", peak, 1500),
        atMost("shards under way at a kill, for each worker", underWay / workers, 1),
        atMost("finished shards redone after kills", redone, 0),
        ...(values["no-twin"]
          ? []
          : [atMost("files that differ from those of a run without kills", different, 0)]),
      ],
    };
  } finally {
    if (!values.dir) rmSync(dir, { recursive: true, force: true });
  }
}

export default {
  name: "corpus-scale",
  about: "a synthetic crawl (--gb) from read to rank: peak memory, kills, equal bytes",
  run,
} satisfies Bench;
