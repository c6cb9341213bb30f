// Encoding against @huggingface/tokenizers on public vocabularies: MB/s with an empty and with a warm word cache, and
// ids that must be identical on edge strings and on all of the text; and the speed of training BPE.
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { Tokenizer as Oracle } from "@huggingface/tokenizers";
import { atLeast, atMost, type Bench, type BenchResult, describeMachine } from "@nsa/core";
import { Tokenizer, trainBpe } from "../src/index.ts";
import { edgeStrings } from "../test/edge-strings.ts";
import { dataFile, labelledPages } from "./support/corpus.ts";
import { publicVocabularies } from "./support/vocabularies.ts";

const MEGABYTES = 8;
const EDGES = 1_500;
const WARM_RUNS = 3;

function rows(path: string | undefined, megabytes: number): string[] {
  if (!path) return [];
  const texts: string[] = [];
  let bytes = 0;
  for (const line of gunzipSync(readFileSync(path)).toString("utf8").split("\n")) {
    if (bytes > megabytes * 1e6 || line === "") break;
    const row = JSON.parse(line) as Record<string, string>;
    const text = row.text ?? row.content ?? row.code ?? "";
    texts.push(text);
    bytes += Buffer.byteLength(text);
  }
  return texts;
}

/** Pages, code and LaTeX, 8 MB. */
function benchTexts(): string[] {
  const texts = [
    ...rows(dataFile("code/python.jsonl.gz"), 1),
    ...rows(dataFile("arxiv-like/latex.jsonl.gz"), 0.5),
  ];
  let bytes = texts.reduce((n, t) => n + Buffer.byteLength(t), 0);
  for (const { text } of labelledPages().pages) {
    if (bytes >= MEGABYTES * 1e6) break;
    texts.push(text);
    bytes += Buffer.byteLength(text);
  }
  return texts;
}

function seconds(work: () => void): number {
  const start = performance.now();
  work();
  return (performance.now() - start) / 1000;
}

function differing(ours: ArrayLike<number>, theirs: ArrayLike<number>): boolean {
  if (ours.length !== theirs.length) return true;
  for (let i = 0; i < ours.length; i++) if (ours[i] !== theirs[i]) return true;
  return false;
}

async function run(): Promise<BenchResult> {
  const texts = benchTexts();
  const megabytes = texts.reduce((n, t) => n + Buffer.byteLength(t), 0) / 1e6;
  const edges = edgeStrings(EDGES);
  const figures: Record<string, number | string> = { text_mb: megabytes, edge_strings: EDGES };
  const ratios: Record<string, number> = {};
  let different = 0;
  let vocabularies = 0;
  let worstCold = Infinity;
  let worstWarm = Infinity;
  // Cold is an empty word cache, not uncompiled code: other instances of both have encoded some text before.
  const warmUpTexts = texts.slice(-Math.ceil(texts.length / 16));
  for (const { name, json } of publicVocabularies()) {
    const compiled = [new Tokenizer(json), new Oracle(json as never, {} as never)];
    for (const text of warmUpTexts) for (const each of compiled) each.encode(text);
    const tokenizer = new Tokenizer(json);
    const oracle = new Oracle(json as never, {} as never);
    const reference = (text: string) => oracle.encode(text, { add_special_tokens: false }).ids;
    for (const text of edges) if (differing(tokenizer.encodeIds(text), reference(text))) different++;
    const fresh = new Tokenizer(json);
    const cold = seconds(() => {
      for (const text of texts) fresh.encodeIds(text);
    });
    const freshOracle = new Oracle(json as never, {} as never);
    const theirs: ArrayLike<number>[] = [];
    const oracleCold = seconds(() => {
      for (const text of texts) theirs.push(freshOracle.encode(text, { add_special_tokens: false }).ids);
    });
    const oracleWarm = seconds(() => {
      for (const text of texts) freshOracle.encode(text, { add_special_tokens: false });
    });
    let warm = Infinity;
    for (let i = 0; i < WARM_RUNS; i++) {
      warm = Math.min(
        warm,
        seconds(() => {
          for (const text of texts) fresh.encodeIds(text);
        }),
      );
    }
    texts.forEach((text, i) => {
      if (differing(fresh.encodeIds(text), theirs[i]!)) different++;
    });
    vocabularies++;
    figures[`${name}_cold_mb_s`] = megabytes / cold;
    figures[`${name}_warm_mb_s`] = megabytes / warm;
    figures[`${name}_oracle_cold_mb_s`] = megabytes / oracleCold;
    figures[`${name}_oracle_warm_mb_s`] = megabytes / oracleWarm;
    ratios[`${name}_cold`] = oracleCold / cold;
    ratios[`${name}_warm`] = oracleWarm / warm;
    worstCold = Math.min(worstCold, oracleCold / cold);
    worstWarm = Math.min(worstWarm, oracleWarm / warm);
  }
  const training = seconds(() =>
    trainBpe(texts, { vocabSize: 8192, preTokenizer: "digits", specialTokens: ["<|endoftext|>"] }),
  );
  figures.train_mb_s = megabytes / training;
  return {
    name: "tokenize",
    machine: describeMachine(),
    figures,
    ratios,
    bars: [
      atLeast("public vocabularies compared", vocabularies, 4),
      atMost("texts with other ids than the library's", different, 0),
      atLeast("worst cold ratio", worstCold, 10),
      atLeast("worst warm ratio", worstWarm, 25),
      atLeast("BPE training, MB/s", megabytes / training, 2.3),
    ],
  };
}

export default {
  name: "tokenize",
  about: "byte-level BPE against @huggingface/tokenizers, and BPE training",
  run,
} satisfies Bench;
