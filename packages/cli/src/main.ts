#!/usr/bin/env node
// Entry of `nsa`. The first page of help is written when the CLI is built: whoever asks for it waits for no parser.
import { readFileSync } from "node:fs";

/** help.txt lies beside the bundle; undefined where sources run, or where a narrow terminal wants it wrapped. */
function builtHelp(): string | undefined {
  try {
    const text = readFileSync(new URL("./help.txt", import.meta.url), "utf8");
    const width = Math.max(...text.split("\n").map((line) => line.length));
    return !process.stdout.isTTY || process.stdout.columns >= width ? text : undefined;
  } catch {
    return undefined;
  }
}

const [word, ...others] = process.argv.slice(2);
const asked = others.length === 0 && (word === "--help" || word === "-h" || word === "help");
const help = asked ? builtHelp() : undefined;
if (help !== undefined) process.stdout.write(help);
else await import("./command-line.ts");
