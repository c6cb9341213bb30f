// Training at the paper's setting (dim 256, 2M buckets, 3-grams), one thread, against Debian's fastText CLI on the
// same text, with precision on held-out pages and our `.bin` read by the CLI.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { atLeast, atMost, type Bench, type BenchResult, describeMachine } from "@nsa/core";
import { classifierLine, hasNative, LABEL_PREFIX } from "../src/index.ts";
import { nativeAddon } from "../src/native.ts";
import { CLI_MISSING, hasCli, runCli } from "./support/cli.ts";
import { labelledPages } from "./support/corpus.ts";

const SETTING = {
  dim: 256,
  wordNgrams: 3,
  minCount: 3,
  epoch: 3,
  bucket: 2_000_000,
  lr: 0.5,
  seed: 1,
  threads: 1,
};
const HELD_OUT = 2_000;

function precision(model: string, text: string): number {
  const line = runCli(["test", model, text])
    .stdout.split("\n")
    .find((l) => l.startsWith("P@1"));
  return Number(line?.split("\t")[1]);
}

async function run(): Promise<BenchResult> {
  const dir = mkdtempSync(join(tmpdir(), "nsa-bench-train-"));
  try {
    const { pages, source } = labelledPages();
    const labelled = pages.filter((p) => p.label);
    const rows = labelled.map((p) => `${LABEL_PREFIX}${p.label} ${classifierLine(p.title, p.text)}\n`);
    const train = join(dir, "train.txt");
    const test = join(dir, "test.txt");
    writeFileSync(train, rows.slice(HELD_OUT).join(""));
    writeFileSync(test, rows.slice(0, HELD_OUT).join(""));
    const ours = join(dir, "ours.bin");
    const result = hasNative() ? nativeAddon().trainFastText(train, ours, SETTING) : null;
    const wordsPerSecond = result ? (result.tokens * SETTING.epoch) / result.trainSeconds : null;

    let cliWords: number | null = null;
    let cliPrecision: number | null = null;
    let oursPrecision: number | null = null;
    if (hasCli()) {
      const out = join(dir, "cli");
      const { stderr } = runCli(
        `supervised -input ${train} -output ${out} -dim ${SETTING.dim} -wordNgrams ${SETTING.wordNgrams} -minCount ${SETTING.minCount} -epoch ${SETTING.epoch} -bucket ${SETTING.bucket} -lr ${SETTING.lr} -thread 1`.split(
          " ",
        ),
      );
      const speeds = [...stderr.matchAll(/words\/sec\/thread:\s+(\d+)/g)];
      cliWords = speeds.length > 0 ? Number(speeds.at(-1)![1]) : null;
      cliPrecision = precision(`${out}.bin`, test);
      if (result) oursPrecision = precision(ours, test);
    }
    const ratio = cliWords && wordsPerSecond ? wordsPerSecond / cliWords : null;
    const gap =
      cliPrecision !== null && oursPrecision !== null ? 100 * Math.abs(oursPrecision - cliPrecision) : null;
    return {
      name: "fasttext-train",
      machine: describeMachine(),
      figures: {
        text: source,
        isa: hasNative() ? nativeAddon().isa() : "native addon not built",
        native_words_s: wordsPerSecond,
        cli_words_s: cliWords ?? CLI_MISSING,
        native_precision_at_1: oursPrecision,
        cli_precision_at_1: cliPrecision,
      },
      ratios: { native_over_cli: ratio },
      bars: [
        atLeast("words/s a thread over the CLI's", ratio, 2.6),
        atMost("difference of P@1 in points, both models tested by the CLI", gap, 0.3),
      ],
    };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

export default {
  name: "fasttext-train",
  about: "fastText training a thread against Debian's CLI",
  run,
} satisfies Bench;
