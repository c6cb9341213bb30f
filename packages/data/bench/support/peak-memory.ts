// Run as a process of its own: scores a file of lines with a model and prints its peak memory in MB.
import { readFileSync } from "node:fs";
import { openScorer } from "../../src/index.ts";

const [model, text, engine] = process.argv.slice(2) as [string, string, "native" | "typescript"];
const scorer = openScorer(model, "math", engine);
const scores = scorer.score(readFileSync(text, "utf8").trimEnd().split("\n"));
process.stdout.write(JSON.stringify({ lines: scores.length, peakMb: process.resourceUsage().maxRSS / 1024 }));
