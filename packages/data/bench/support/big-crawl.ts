// A large synthetic crawl, quickly: pages of ready paragraphs with sentences of their own between them, shard by shard.
import { closeSync, existsSync, mkdirSync, openSync, renameSync, writeSync } from "node:fs";
import { join } from "node:path";
import { type Choices, choices, mathParagraph, proseParagraph } from "../../src/index.ts";

const PARAGRAPHS = 4000;
const MATH_SHARE = 0.15;
const COPY_SHARE = 0.05;
const WORDS = 20_000;
const SHARD_BYTES = 250e6;

function paragraphs(seed: number, make: (c: Choices) => string): string[] {
  const c = choices(seed);
  return Array.from({ length: PARAGRAPHS }, () => make(c));
}

function page(c: Choices, id: string, math: boolean, from: string[], words: string[]): string {
  const parts = Array.from({ length: c.int(3, 7) }, () => {
    const own = Array.from({ length: 20 }, () => words[c.int(0, WORDS - 1)]!).join(" ");
    return `${c.pick(from)} ${own}.`;
  });
  const domain = `${math ? "notes" : "news"}-${c.int(0, 199)}.example`;
  return JSON.stringify({
    id,
    url: `https://${domain}/pages/${id}`,
    title: `Page ${id}`,
    text: parts.join("\n\n"),
  });
}

export interface BigCrawl {
  pool: string;
  positives: string;
  negatives: string;
  shards: number;
  bytes: number;
}

/**
 * Writes what is missing of `bytes` of pool shards, every `every`-th from `first`, and with the first the seeds; the same
 * bytes on every machine.
 */
export function bigCrawl(dir: string, bytes: number, first = 0, every = 1): BigCrawl {
  mkdirSync(dir, { recursive: true });
  const texts = { math: paragraphs(1, mathParagraph), other: paragraphs(2, proseParagraph) };
  const lexicon = choices(3);
  const words = Array.from({ length: WORDS }, () =>
    String.fromCharCode(...Array.from({ length: lexicon.int(3, 9) }, () => lexicon.int(97, 122))),
  );
  const write = (name: string, seed: number, size: number, mathShare: number) => {
    const path = join(dir, name);
    if (existsSync(path)) return path;
    const c = choices(seed);
    const fd = openSync(`${path}.tmp`, "w");
    let [written, pages] = [0, 0];
    let lines: string[] = [];
    let previous: string | undefined;
    for (let held = 0; written < size; pages++) {
      const math = c.next() < mathShare;
      const copy = previous !== undefined && c.next() < COPY_SHARE;
      const line: string = copy
        ? previous!.replace(/^\{"id":"[^"]*","url":"[^"]*"/, `{"id":"copy-${seed}-${pages}","url":""`)
        : page(c, `${seed}-${pages}`, math, math ? texts.math : texts.other, words);
      lines.push(line);
      held += line.length + 1;
      previous = line;
      if (held < 1 << 22 && written + held < size) continue;
      written += writeSync(fd, `${lines.join("\n")}\n`);
      lines = [];
      held = 0;
    }
    closeSync(fd);
    renameSync(`${path}.tmp`, path);
    return path;
  };
  const shards = Math.max(4, Math.ceil(bytes / SHARD_BYTES));
  for (let s = first; s < shards; s += every)
    write(`part-${String(s).padStart(4, "0")}.jsonl`, 100 + s, bytes / shards, MATH_SHARE);
  return {
    pool: join(dir, "part-*.jsonl"),
    positives: first > 0 ? "" : write("positives.jsonl", 10, 4e6, 1),
    negatives: first > 0 ? "" : write("negatives.jsonl", 11, 4e6, 0),
    shards,
    bytes,
  };
}
