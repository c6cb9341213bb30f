// Run as a process of its own: scores a file of lines with a model and prints its peak memory in MB.

import { eachLine } from "@nsa/core";
import { TextLines } from "../../src/corpus/text/lines.ts";
import { openScorer } from "../../src/index.ts";

const BATCH = 1 << 22;
const [model, text, engine] = process.argv.slice(2) as [string, string, "native" | "typescript"];
const scorer = openScorer(model, "math", engine);
const batch = new TextLines();
let lines = 0;
const flush = () => {
  lines += scorer.score(batch.bytes()).length;
  batch.clear();
};
for (const line of eachLine(text)) {
  batch.add(line.toString());
  if (batch.length > BATCH) flush();
}
flush();
process.stdout.write(JSON.stringify({ lines, peakMb: process.resourceUsage().maxRSS / 1024 }));
