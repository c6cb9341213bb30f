// MinHash-LSH: throughput from text to verdicts on one core, recall at Jaccard 0.8 and false positives on planted
// near duplicates.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { atLeast, atMost, type Bench, type BenchResult, describeMachine } from "@nsa/core";
import { bandHash } from "../src/corpus/dedup/minhash.ts";
import { bandRun, choices, hasNative, minhashSignatures, nearDuplicates, wordLines } from "../src/index.ts";
import { jaccard, randomText, variant } from "../test/planted.ts";
import { labelledPages } from "./support/corpus.ts";

const BANDS = 20;
const ROWS = 6;
const HASHES = BANDS * ROWS;
const SHINGLE = 5;
const PAIRS = 2_000;
const THRESHOLD = 0.72;

/** Signatures, bands, merge: everything between texts and verdicts. */
function verdicts(dir: string, texts: string[]): Uint8Array {
  const signatures = minhashSignatures(wordLines(texts), {
    shingleWords: SHINGLE,
    hashes: HASHES,
    seed: 1,
  });
  const files = { signatures: join(dir, "signatures"), bands: join(dir, "bands"), documents: texts.length };
  writeFileSync(files.signatures, new Uint8Array(signatures.buffer));
  const runs = Array.from({ length: BANDS }, (_, b) =>
    bandRun(texts.map((_, d) => bandHash(signatures, d * HASHES + b * ROWS, ROWS))),
  );
  writeFileSync(files.bands, Buffer.concat(runs.map((r) => new Uint8Array(r.buffer))));
  const options = { bands: BANDS, hashes: HASHES, threshold: THRESHOLD };
  return nearDuplicates([files], options, new Uint8Array(texts.length));
}

async function run(): Promise<BenchResult> {
  const dir = mkdtempSync(join(tmpdir(), "nsa-bench-minhash-"));
  try {
    const { pages, source } = labelledPages();
    const texts = pages.map((p) => p.text);
    const megabytes = texts.reduce((n, t) => n + Buffer.byteLength(t), 0) / 1e6;
    let best = Infinity;
    for (let i = 0; i < 3; i++) {
      const start = performance.now();
      verdicts(dir, texts);
      best = Math.min(best, (performance.now() - start) / 1000);
    }

    const c = choices(11);
    const planted: string[] = [];
    const similarity: number[] = [];
    for (let i = 0; i < PAIRS; i++) {
      const words = randomText(c, 300);
      const copy = variant(c, words, i % 2 === 0 ? 0.8 : 0.2 + 0.4 * c.next(), SHINGLE);
      planted.push(words.join(" "), copy.join(" "));
      similarity.push(jaccard(words.join(" "), copy.join(" "), SHINGLE));
    }
    const marks = verdicts(dir, planted);
    let near = 0;
    let found = 0;
    let far = 0;
    let wrong = 0;
    similarity.forEach((s, i) => {
      const marked = marks[2 * i + 1] === 1;
      if (s >= 0.78 && s <= 0.82) {
        near++;
        found += marked ? 1 : 0;
      } else if (s <= 0.6) {
        far++;
        wrong += marked ? 1 : 0;
      }
    });
    return {
      name: "minhash",
      machine: describeMachine(),
      figures: {
        text: source,
        engine: hasNative() ? "native" : "typescript",
        mb_s: megabytes / best,
        pairs_at_0_8: near,
        pairs_below_0_6: far,
      },
      ratios: {},
      bars: [
        atLeast("MB/s a core from text to verdicts", megabytes / best, 8),
        atLeast("recall at Jaccard 0.8", found / near, 0.95),
        atMost("false positives at Jaccard up to 0.6", wrong / far, 0.02),
      ],
    };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

export default {
  name: "minhash",
  about: "MinHash-LSH near-duplicate removal: speed, recall, false positives",
  run,
} satisfies Bench;
