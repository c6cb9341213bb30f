// What the corpus loop's ranking is worth: a small model trained on the top-ranked pages of the mixed pool against one
// trained on random pages of it, equal tokens, on mathematics that neither has seen. `pnpm bench corpus-value [--steps n]`.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { gunzipSync } from "node:zlib";
import { atMost, type BenchResult, describeMachine, loadConfig, Rng } from "@nsa/core";
import { BuildConfig, buildCorpus, PackedSource, Tokenizer, trainBpe } from "@nsa/data";
import { openDevice } from "@nsa/kernels";
import { resolveModelConfig, Transformer } from "@nsa/model";
import { sharedData as data } from "../../core/test/shared-data.ts";
import { crossEntropy } from "../src/loss.ts";
import { Trainer } from "../src/trainer.ts";

const root = resolve(import.meta.dirname, "../../..");
const SEEDS = [1, 2, 3];
/** Every so many pages of math-pages is held out: neither the classifier nor a model trains on it. */
const HELD_OUT_EVERY = 5;
const BATCH = { microBatchTokens: 2048, microBatches: 1, maxLength: 256 };
const HELD_OUT_BATCHES = 24;

interface Page {
  id: string;
  text: string;
}

const parse = (text: string): Page[] =>
  text
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Page);
const readPages = (path: string) => parse(gunzipSync(readFileSync(path)).toString("utf8"));
const bytesOf = (pages: readonly Page[]) => pages.reduce((n, p) => n + Buffer.byteLength(p.text), 0);

function argument(name: string, fallback: number): number {
  const words: string[] = JSON.parse(process.env.NSA_BENCH_ARGS ?? "[]");
  const at = words.indexOf(`--${name}`);
  return at < 0 ? fallback : Number(words[at + 1]);
}

/** Pages in random order until they hold as many bytes. */
function randomPages(pool: readonly Page[], bytes: number, seed: number): Page[] {
  const taken: Page[] = [];
  let sum = 0;
  for (const i of new Rng(seed, 41).permutation(pool.length, 0)) {
    if (sum >= bytes) break;
    taken.push(pool[i]!);
    sum += Buffer.byteLength(pool[i]!.text);
  }
  return taken;
}

function trainAndMeasure(
  documents: Int32Array[],
  held: Int32Array[],
  vocabSize: number,
  seed: number,
  steps: number,
) {
  const device = openDevice("cpu", { threads: 0, log: () => {} });
  try {
    const shape = {
      vocabSize,
      dModel: 96,
      numLayers: 3,
      numHeads: 4,
      numKvHeads: 2,
      dFf: 256,
      maxSeqLen: 256,
    };
    const model = new Transformer(device, resolveModelConfig({ ...shape, attention: "full" }));
    model.parameters.init(seed);
    const trainer = new Trainer(model, steps, {
      optimizer: { lr: 1.5e-3 },
      schedule: { kind: "cosine", warmupSteps: 40 },
    });
    const source = new PackedSource(documents, { ...BATCH, seed });
    for (let step = 0; step < steps; step++) trainer.step(source.next(), crossEntropy);
    const measured = new PackedSource(held, { ...BATCH, seed: 0 });
    return trainer.evaluate(Array.from({ length: HELD_OUT_BATCHES }, () => measured.next().microBatches[0]!))
      .loss;
  } finally {
    device.close();
  }
}

async function run(): Promise<BenchResult> {
  const steps = argument("steps", 300);
  const result = {
    name: "corpus-value",
    machine: describeMachine(),
    figures: {} as BenchResult["figures"],
    ratios: {},
  };
  const what = "held-out math loss, ranked less random pages, nats a token, seed";
  if (!existsSync(join(data, "mixed-pool")))
    return { ...result, bars: SEEDS.map((seed) => atMost(`${what} ${seed}`, null, -0.05)) };
  const dir = mkdtempSync(join(tmpdir(), "nsa-corpus-value-"));
  try {
    const math = readPages(join(data, "math-pages/pages.jsonl.gz"));
    const seeds = math.filter((_, i) => i % HELD_OUT_EVERY !== 0);
    const heldOut = math.filter((_, i) => i % HELD_OUT_EVERY === 0);
    writeFileSync(join(dir, "seeds.jsonl"), seeds.map((p) => `${JSON.stringify(p)}\n`).join(""));
    const { config } = loadConfig(BuildConfig, join(root, "configs/data/mixed-pool.yaml"), {
      set: [`out_dir=${dir}/corpus`, `positives=["${dir}/seeds.jsonl"]`, "executor=inline"],
    });
    const report = await buildCorpus(config);
    const ranked = report.outputs.flatMap((path) => parse(readFileSync(join(dir, "corpus", path), "utf8")));
    const pool = parse(readFileSync(join(dir, "corpus/clean/pool/00000-pool.jsonl"), "utf8"));
    const bytes = bytesOf(ranked);
    // One vocabulary for both, learned on random pages of the pool.
    const tokenizer = new Tokenizer(
      trainBpe(
        randomPages(pool, bytes, 99).map((p) => p.text),
        { vocabSize: 2048, preTokenizer: "digits", specialTokens: ["<|endoftext|>"] },
      ),
    );
    const encode = (pages: readonly Page[]) =>
      pages.map((p) => Int32Array.from([...tokenizer.encodeIds(p.text, { plain: true }), tokenizer.eosId]));
    const held = encode(heldOut);
    const rankedIds = encode(ranked);
    const differences: number[] = [];
    for (const seed of SEEDS) {
      const randomIds = encode(randomPages(pool, bytes, seed));
      const [good, random] = [rankedIds, randomIds].map((ids) =>
        trainAndMeasure(ids, held, tokenizer.vocabSize, seed, steps),
      );
      result.figures[`ranked_loss_seed_${seed}`] = good!;
      result.figures[`random_loss_seed_${seed}`] = random!;
      differences.push(good! - random!);
    }
    Object.assign(result.figures, {
      ranked_pages: ranked.length,
      bytes_of_text: bytes,
      held_out_pages: heldOut.length,
      tokens: steps * BATCH.microBatchTokens,
    });
    return {
      ...result,
      bars: SEEDS.map((seed, i) => atMost(`${what} ${seed}`, differences[i]!, -0.05)),
    };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

export default {
  name: "corpus-value",
  about: "a model of top-ranked pages against one of random pages, on held-out mathematics",
  run,
};
