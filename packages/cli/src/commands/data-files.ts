// `nsa data tokenize`, `pack` and `stats`: single passes over files, progress on stderr, figures on stdout.
import { atomicWriteFile } from "@nsa/core";
import { corpusStats, expandInputs, type PackMethod, Tokenizer, tokenizeFiles, writePacks } from "@nsa/data";
import { readExamples } from "@nsa/train";
import { statsReportHtml } from "../report/corpus/files.ts";
import { writePacksPage, writeShardsPage } from "../report/corpus/write.ts";
import { duration, percent } from "../view/format.ts";
import { changingLine } from "./data-progress.ts";

interface Output {
  plain?: boolean;
  json?: boolean;
}

/** A line on stderr that replaces the one before where there is a terminal. */
function say(text: string, options: Output, last: boolean): void {
  if (changingLine(options)) process.stderr.write(`\r\u001b[K${text}${last ? "\n" : ""}`);
  else console.error(text);
}

export async function tokenizeData(
  patterns: string[],
  options: Output & { tokenizer: string; out: string },
): Promise<void> {
  const start = performance.now();
  let madeBytes = 0;
  let before = 0;
  const index = await tokenizeFiles(expandInputs(patterns), {
    tokenizer: Tokenizer.load(options.tokenizer),
    out: options.out,
    onFile: ({ files, of, tokens, bytes, made }) => {
      if (made) madeBytes += bytes - before;
      before = bytes;
      const seconds = (performance.now() - start) / 1000;
      const rate = (madeBytes / 1e6 / seconds).toFixed(1);
      const left = duration((seconds / files) * (of - files));
      say(`${files}/${of} files, ${tokens} tokens, ${rate} MB/s, ${left} left`, options, files === of);
    },
  });
  writeShardsPage(options.out, index);
  if (options.json) return console.log(JSON.stringify(index, null, 1));
  const refused =
    index.refused > 0 ? `, ${index.refused} records refused (${options.out}/quarantine.jsonl)` : "";
  console.log(`${index.documents} documents, ${index.tokens} tokens${refused}: ${options.out}`);
  console.log(`report: ${options.out}/report.html`);
}

export interface PackDataOptions extends Output {
  tokenizer: string;
  out: string;
  prompt: string;
  completion: string;
  method: PackMethod;
  length: number;
  seed: number;
}

/** Shells hand `\n` over as two characters; in a template it means the line break. */
const template = (text: string) => text.replaceAll("\\n", "\n");

export async function packData(files: string[], options: PackDataOptions): Promise<void> {
  const { method, out, seed } = options;
  const tokenizer = Tokenizer.load(options.tokenizer);
  const source = {
    files,
    prompt: template(options.prompt),
    completion: template(options.completion),
    format: "cot",
  };
  // A wrapped example may be longer than a pack.
  const seqLen = method === "wrapped" ? Number.POSITIVE_INFINITY : options.length;
  const examples = readExamples({ sources: [source], seqLen }, tokenizer, (text) => console.error(text));
  const start = performance.now();
  const index = writePacks(examples, {
    method,
    capacity: options.length,
    seed,
    tokenizerHash: tokenizer.hash,
    out,
    onShard: ({ packs, of, tokens }) => {
      const seconds = (performance.now() - start) / 1000;
      const rate = `${(tokens / 1e6 / seconds).toFixed(1)} Mtokens/s`;
      const left = duration((seconds / packs) * (of - packs));
      say(`${packs}/${of} packs, ${rate}, ${left} left`, options, packs === of);
    },
  });
  writePacksPage(out, index);
  if (options.json) return console.log(JSON.stringify(index, null, 1));
  console.log(
    `${index.examples} examples in ${index.packs} packs of ${index.capacity} tokens, ${percent(index.fill)} filled: ${out}`,
  );
  console.log(`report: ${out}/report.html`);
}

const SHOWN_DOMAINS = 10;

export async function showStats(patterns: string[], options: Output & { report?: string }): Promise<void> {
  const start = performance.now();
  const stats = await corpusStats(patterns, {
    onFile: ({ files, of, bytes, totalBytes }) => {
      const rate = bytes / ((performance.now() - start) / 1000);
      const left = duration((totalBytes - bytes) / rate);
      say(`${files}/${of} files, ${(rate / 1e6).toFixed(1)} MB/s, ${left} left`, options, files === of);
    },
  });
  if (options.report) atomicWriteFile(options.report, statsReportHtml(stats));
  if (options.json) return console.log(JSON.stringify(stats, null, 1));
  console.log(`${stats.documents} documents, ${stats.bytes} bytes of text, about ${stats.tokens} tokens`);
  for (const [title, reasons] of [["refused", stats.refused] as const, ["skipped", stats.skipped] as const])
    for (const [reason, n] of Object.entries(reasons)) console.log(`${title}: ${n} ${reason}`);
  for (const { domain, documents } of stats.topDomains.slice(0, SHOWN_DOMAINS))
    console.log(`${domain || "(no domain)"}\t${documents} documents`);
  if (options.report) console.log(`report: ${options.report}`);
}
