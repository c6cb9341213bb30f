// Run as a process of its own: scores a file of lines with a model and prints its peak memory in MB.

import { eachLine } from "../../src/fasttext/lines.ts";
import { openScorer } from "../../src/index.ts";

const BATCH = 500;
const [model, text, engine] = process.argv.slice(2) as [string, string, "native" | "typescript"];
const scorer = openScorer(model, "math", engine);
const utf8 = new TextDecoder();
let batch: string[] = [];
let lines = 0;
for (const line of eachLine(text)) {
  batch.push(utf8.decode(line));
  if (batch.length < BATCH) continue;
  lines += scorer.score(batch).length;
  batch = [];
}
if (batch.length > 0) lines += scorer.score(batch).length;
process.stdout.write(JSON.stringify({ lines, peakMb: process.resourceUsage().maxRSS / 1024 }));
