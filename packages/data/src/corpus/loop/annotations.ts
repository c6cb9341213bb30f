// The annotation file: proposed URL paths with an `accept` that a person can change before the next round.
import { existsSync, readFileSync } from "node:fs";
import { NsaError } from "@nsa/core";
import { parse, stringify } from "yaml";
import { z } from "zod";
import { writeAtomic } from "../jobs/manifest.ts";
import { type PathProposal, pathPrefixes } from "./domains.ts";

const AnnotationFile = z.strictObject({
  round: z.int(),
  proposals_hash: z.string().default("").describe("Hash of the proposals this file was made from."),
  paths: z.array(
    z.strictObject({
      domain: z.string(),
      path: z.string(),
      pages: z
        .int()
        .optional()
        .describe("Pages below it; rows that a person adds need none of these figures."),
      collected: z.int().optional(),
      accept: z.boolean(),
      examples: z.array(z.string()).optional().describe("Addresses and titles of some of its pages."),
    }),
  ),
});
export type AnnotationFile = z.infer<typeof AnnotationFile>;

const HEAD = `# URL paths proposed by this round. Set accept to true for paths whose pages belong in the corpus, false
# for those that do not. Rows of your own need a domain, a path (/books/ is everything below it, /books/one a page or what
# is below it) and accept. Your rows stay when later proposals differ. Then run the same command again: it goes on from here.
`;

function bad(path: string, why: string): NsaError {
  return new NsaError({
    code: "annotations_bad",
    what: `cannot read the annotations ${path}`,
    why,
    fix: "mend the file, or delete it to have it proposed again",
    exitCode: 2,
  });
}

export function readAnnotations(path: string): AnnotationFile {
  try {
    return AnnotationFile.parse(parse(readFileSync(path, "utf8")));
  } catch (error) {
    throw bad(path, (error as Error).message);
  }
}

type Row = AnnotationFile["paths"][number];

/** Paths as the matcher has them: a leading slash, and `*` for what is below. */
function rowKey({ domain, path }: { domain: string; path: string }): string {
  return hostOf(domain) + pathOf(path);
}

const hostOf = (domain: string): string =>
  domain
    .trim()
    .toLowerCase()
    .replace(/^[a-z][a-z0-9+.-]*:\/\//, "")
    .replace(/^www\./, "")
    .replace(/\/+$/, "");

const pathOf = (path: string): string => `/${path.trim().replace(/\*+$/, "").replace(/^\/+/, "")}`;

function rowOf({ domain, path, pages, collected, accept, examples }: PathProposal): Row {
  const shown = examples.map(({ url, title }) => (title ? `${url} (${title})` : url));
  return { domain, path, pages, collected, accept, examples: shown };
}

/**
 * Writes the proposals. Rows of a file that is there already keep their verdicts, whoever gave them, and those that are
 * not proposed any more stay: a person's work is never lost. Returns whether there was nothing new to decide.
 */
export function offerAnnotations(
  path: string,
  round: number,
  hash: string,
  proposals: PathProposal[],
): { existed: boolean } {
  const old = existsSync(path) ? readAnnotations(path) : undefined;
  if (old?.proposals_hash === hash) return { existed: true };
  const before = new Map(old?.paths.map((row) => [rowKey(row), row]));
  const proposed = proposals.map((p) => {
    const known = before.get(rowKey(p));
    return known ? { ...rowOf(p), accept: known.accept } : rowOf(p);
  });
  const keys = new Set(proposed.map(rowKey));
  const kept = (old?.paths ?? []).filter((row) => !keys.has(rowKey(row)));
  const file: AnnotationFile = { round, proposals_hash: hash, paths: [...proposed, ...kept] };
  writeAtomic(path, HEAD + stringify(file));
  return { existed: old !== undefined && proposals.every((p) => before.has(rowKey(p))) };
}

export interface AnnotationMatcher {
  (url: string, domain: string): boolean | undefined;
  /** Rows that no page has matched so far, as `domain/path`. */
  unmatched(): string[];
}

/** Verdict on a page by the longest annotated path over it; undefined where none is. */
export function annotationMatcher(file: AnnotationFile): AnnotationMatcher {
  const rules = new Map<string, { accept: boolean; row: number }>();
  const matched = new Uint8Array(file.paths.length);
  let depth = 1;
  for (const [row, { domain, path, accept }] of file.paths.entries()) {
    const [host, own] = [hostOf(domain), pathOf(path)];
    rules.set(host + own, { accept, row });
    // /books is the page of that name, and what is below it.
    if (!own.endsWith("/") && !rules.has(`${host}${own}/`)) rules.set(`${host}${own}/`, { accept, row });
    depth = Math.max(depth, own.split("/").length);
  }
  const verdict = (url: string, domain: string) => {
    const prefixes = pathPrefixes(url, depth);
    const full = /^[a-z][a-z0-9+.-]*:\/\/[^/?#]*([^?#]*)/i.exec(url)?.[1] ?? "";
    for (const prefix of [full, ...prefixes.reverse()]) {
      const rule = rules.get(hostOf(domain) + prefix);
      if (rule === undefined) continue;
      matched[rule.row] = 1;
      return rule.accept;
    }
    return undefined;
  };
  const unmatched = () => file.paths.filter((_, i) => matched[i] === 0).map(rowKey);
  return Object.assign(verdict, { unmatched });
}
