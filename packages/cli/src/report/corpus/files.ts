// Pages of single passes over files: `nsa data stats`, `tokenize` and `pack`.
import type { CorpusStats, PackIndex, TokenIndex } from "@nsa/data";
import { type Cell, count, page, percent, table } from "@nsa/report";

/** Bin i as a row: 2^i to 2^(i+1) − 1. */
function lengthTable(bins: readonly number[], unit: string): string {
  const rows = bins.map((n, i): Cell[] => [`${count(2 ** i)} to ${count(2 ** (i + 1) - 1)}`, n]);
  return `<h2>Lengths</h2>${table(
    [unit, "documents"],
    rows.filter(([, n]) => n !== 0),
  )}`;
}

function reasonTable(title: string, reasons: Record<string, number>): string {
  const rows = Object.entries(reasons);
  return rows.length === 0 ? "" : `<h2>${title}</h2>${table(["reason", "records"], rows)}`;
}

export function statsReportHtml(stats: CorpusStats): string {
  const { files, documents, bytes, tokens } = stats;
  return page(
    "Corpus files",
    `${table(
      ["", ""],
      [
        ["files", files],
        ["documents", documents],
        ["bytes of text", bytes],
        ["tokens, estimated", tokens],
      ],
    )}
${reasonTable("Refused", stats.refused)}
${reasonTable("Skipped", stats.skipped)}
${lengthTable(stats.lengthHistogram, "characters")}
<h2>Domains</h2>
${table(
  ["domain", "documents", "tokens"],
  stats.topDomains.map((d) => [d.domain, d.documents, d.tokens]),
)}`,
  );
}

export function tokenReportHtml(index: TokenIndex): string {
  return page(
    "Token shards",
    `${table(
      ["", ""],
      [
        ["documents", index.documents],
        ["tokens", index.tokens],
        ["bytes of text", index.bytes],
        ["bytes a token", (index.bytes / index.tokens).toFixed(3)],
        ["vocabulary", index.vocab_size],
        ["tokenizer", index.tokenizer_hash],
      ],
    )}
${reasonTable("Refused", index.reasons)}
${lengthTable(index.length_histogram, "tokens")}
<h2>Shards</h2>
${table(
  ["file", "documents", "tokens"],
  index.shards.map((s) => [s.file, s.documents, s.tokens]),
)}`,
  );
}

export function packReportHtml(index: PackIndex): string {
  return page(
    "Packs",
    `${table(
      ["", ""],
      [
        ["method", index.method],
        ["tokens of a full pack", index.capacity],
        ["packs", index.packs],
        ["examples", index.examples],
        ["examples left out as too long", index.too_long],
        ["tokens", index.tokens],
        ["tokens with loss", index.loss_tokens],
        ["filled", percent(index.fill)],
      ],
    )}
<h2>Fill</h2>
${table(
  ["filled", "packs"],
  index.fill_histogram
    .map((n, i): Cell[] => [`${10 * i} to ${10 * (i + 1)} %`, n])
    .filter(([, n]) => n !== 0),
)}
${lengthTable(index.length_histogram, "tokens of an example")}
<h2>Shards</h2>
${table(
  ["file", "packs", "tokens"],
  index.shards.map((s) => [s.file, s.packs, s.tokens]),
)}`,
  );
}
