// Scoring with the paper's classifier (dim 256, 2M buckets, 3-grams): the collapsed table, native and TypeScript,
// against Debian's fastText CLI in the same run.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { atLeast, atMost, type Bench, type BenchResult, describeMachine } from "@nsa/core";
import {
  CollapsedScorer,
  classifierLine,
  collapseFile,
  FastTextConfig,
  hasNative,
  LABEL_PREFIX,
  trainToFile,
} from "../src/index.ts";
import { nativeAddon } from "../src/native.ts";
import { CLI_MISSING, hasCli, runCli } from "./support/cli.ts";
import { labelledPages } from "./support/corpus.ts";

const DOCUMENTS = 10_000;
const TRAINING = 3_000;
const REPEATS = 3;

function fastest(run: () => void): number {
  let best = Infinity;
  for (let i = 0; i < REPEATS; i++) {
    const start = performance.now();
    run();
    best = Math.min(best, performance.now() - start);
  }
  return best / 1000;
}

function lineBounds(bytes: Buffer): number[] {
  const bounds = [0];
  for (let i = bytes.indexOf(10); i >= 0; i = bytes.indexOf(10, i + 1)) bounds.push(i + 1);
  return bounds;
}

function peakMemory(model: string, text: string, engine: string): number | null {
  const script = join(import.meta.dirname, "support/peak-memory.ts");
  const flags = ["--conditions=nsa-source", "--import", "tsx", script, model, text, engine];
  const run = spawnSync(process.execPath, flags, {
    encoding: "utf8",
    env: { ...process.env, NODE_OPTIONS: "" },
  });
  return run.status === 0 ? (JSON.parse(run.stdout) as { peakMb: number }).peakMb : null;
}

async function run(): Promise<BenchResult> {
  const dir = mkdtempSync(join(tmpdir(), "nsa-bench-score-"));
  try {
    const { pages, source } = labelledPages();
    const lines = pages.slice(0, DOCUMENTS).map((p) => classifierLine(p.title, p.text));
    const train = join(dir, "train.txt");
    const seeds = pages.filter((p) => p.label).slice(0, TRAINING);
    const rows = seeds.map((p) => `${LABEL_PREFIX}${p.label} ${classifierLine(p.title, p.text)}\n`);
    writeFileSync(train, rows.join(""));
    const model = join(dir, "model.bin");
    const native = hasNative();
    trainToFile(train, model, FastTextConfig.parse({ epoch: 1, lr: 0.5 }), native ? "native" : "typescript");
    const text = join(dir, "text.txt");
    const bytes = Buffer.from(lines.map((l) => `${l}\n`).join(""));
    writeFileSync(text, bytes);
    const megabytes = bytes.length / 1e6;

    const scorer = new CollapsedScorer(collapseFile(model), "math");
    const bounds = lineBounds(bytes);
    const probability = new Float64Array(lines.length);
    const typescript = fastest(() => {
      for (let i = 0; i < lines.length; i++)
        probability[i] = scorer.probabilities(bytes, bounds[i]!, bounds[i + 1]! - 1)[
          scorer.model.labels.indexOf("math")
        ]!;
    });
    let nativeSeconds: number | null = null;
    if (native) {
      const addon = nativeAddon();
      const handle = addon.openCollapsed(model);
      const math = addon.labelsOf(handle).indexOf("math");
      let scores = new Float32Array(0);
      nativeSeconds = fastest(() => {
        scores = addon.scoreLines(handle, bytes) as Float32Array<ArrayBuffer>;
      });
      for (let i = 0; i < lines.length; i++) probability[i] = scores[2 * i + math]!;
    }

    let cliSeconds: number | null = null;
    let labelDifferences: number | null = null;
    let largestGap: number | null = null;
    if (hasCli()) {
      const tiny = join(dir, "tiny.txt");
      writeFileSync(tiny, "a\n");
      let load = Infinity;
      let whole = Infinity;
      let stdout = "";
      for (let i = 0; i < 2; i++) {
        load = Math.min(load, runCli(["predict-prob", model, tiny]).seconds);
        const scored = runCli(["predict-prob", model, text]);
        whole = Math.min(whole, scored.seconds);
        stdout = scored.stdout;
      }
      cliSeconds = whole - load;
      labelDifferences = 0;
      largestGap = 0;
      stdout
        .trimEnd()
        .split("\n")
        .forEach((line, i) => {
          const [label, p] = line.split(" ");
          const ours = probability[i]!;
          if (label !== `${LABEL_PREFIX}${ours >= 0.5 ? "math" : "other"}`) labelDifferences!++;
          // The CLI prints exp(log(p + 1e-5)).
          largestGap = Math.max(largestGap!, Math.abs(Math.max(ours, 1 - ours) - (Number(p) - 1e-5)));
        });
    }
    const peak = peakMemory(model, text, native ? "native" : "typescript");
    const ratio = (seconds: number | null) => (cliSeconds && seconds ? cliSeconds / seconds : null);
    return {
      name: "fasttext-score",
      machine: describeMachine(),
      figures: {
        text: source,
        model_gb: statSync(model).size / 1e9,
        cli_mb_s: cliSeconds ? megabytes / cliSeconds : CLI_MISSING,
        native_mb_s: nativeSeconds ? megabytes / nativeSeconds : null,
        typescript_mb_s: megabytes / typescript,
        peak_memory_mb: peak,
      },
      ratios: { native_over_cli: ratio(nativeSeconds), typescript_over_cli: ratio(typescript) },
      bars: [
        atLeast("native MB/s a core over the CLI's", ratio(nativeSeconds), 25),
        atLeast("TypeScript MB/s a core over the CLI's", ratio(typescript), 6),
        atMost(`labels that differ from the CLI's on ${DOCUMENTS} documents`, labelDifferences, 0),
        atMost("largest difference of a probability", largestGap, 2e-5),
        atMost("peak memory while scoring with the 2.1 GB model, MB", peak, 300),
      ],
    };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

export default {
  name: "fasttext-score",
  about: "collapsed-table scoring against Debian's fastText CLI",
  run,
} satisfies Bench;
