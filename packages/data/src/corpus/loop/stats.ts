// `nsa data stats`: what is in a set of files, in one pass and bounded memory.
import { statSync } from "node:fs";
import { expandInputs } from "../readers/inputs.ts";
import { readDocuments } from "../readers/read.ts";
import { tokenCount } from "./shards.ts";

export interface CorpusStats {
  files: number;
  documents: number;
  refused: Record<string, number>;
  skipped: Record<string, number>;
  bytes: number;
  /** Bytes over `bytesPerToken`. */
  tokens: number;
  /** Documents by length: bin i holds lengths from 2^i to 2^(i+1) − 1 characters. */
  lengthHistogram: number[];
  /** Most frequent first. */
  topDomains: { domain: string; documents: number; tokens: number }[];
}

const TOP = 50;

export async function corpusStats(
  patterns: string[],
  options: {
    bytesPerToken?: number;
    maxRecordBytes?: number;
    onFile?: (done: { files: number; of: number; bytes: number; totalBytes: number }) => void;
  } = {},
): Promise<CorpusStats> {
  const files = expandInputs(patterns);
  const stats: CorpusStats = {
    files: files.length,
    documents: 0,
    refused: {},
    skipped: {},
    bytes: 0,
    tokens: 0,
    lengthHistogram: [],
    topDomains: [],
  };
  const domains = new Map<string, { documents: number; tokens: number }>();
  const count = (table: Record<string, number>, key: string) => {
    table[key] = (table[key] ?? 0) + 1;
  };
  const sizes = files.map((file) => statSync(file).size);
  const totalBytes = sizes.reduce((a, b) => a + b, 0);
  let bytes = 0;
  for (const [f, file] of files.entries()) {
    for await (const event of readDocuments(file, { maxRecordBytes: options.maxRecordBytes ?? 32_000_000 })) {
      if ("refusal" in event) count(stats.refused, event.refusal.reason);
      else if ("skipped" in event) count(stats.skipped, event.skipped);
      else {
        const { text, domain } = event.document;
        const tokens = tokenCount(text, options.bytesPerToken ?? 4);
        stats.documents++;
        stats.bytes += Buffer.byteLength(text);
        stats.tokens += tokens;
        const bin = Math.floor(Math.log2(Math.max(1, text.length)));
        while (stats.lengthHistogram.length <= bin) stats.lengthHistogram.push(0);
        stats.lengthHistogram[bin]!++;
        const row = domains.get(domain) ?? { documents: 0, tokens: 0 };
        row.documents++;
        row.tokens += tokens;
        domains.set(domain, row);
      }
    }
    bytes += sizes[f]!;
    options.onFile?.({ files: f + 1, of: files.length, bytes, totalBytes });
  }
  stats.topDomains = [...domains]
    .map(([domain, row]) => ({ domain, ...row }))
    .sort((a, b) => b.documents - a.documents || (a.domain < b.domain ? -1 : 1))
    .slice(0, TOP);
  return stats;
}
