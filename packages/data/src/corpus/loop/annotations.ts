// The annotation file: proposed URL paths with an `accept` that a person can change before the next round.
import { existsSync, readFileSync } from "node:fs";
import { NsaError } from "@nsa/core";
import { parse, stringify } from "yaml";
import { z } from "zod";
import { writeAtomic } from "../jobs/manifest.ts";
import { type PathProposal, pathPrefixes } from "./domains.ts";

const AnnotationFile = z.strictObject({
  round: z.int(),
  proposals_hash: z.string().describe("Hash of the proposals this file was made from."),
  paths: z.array(
    z.strictObject({
      domain: z.string(),
      path: z.string(),
      pages: z.int(),
      collected: z.int(),
      accept: z.boolean(),
    }),
  ),
});
export type AnnotationFile = z.infer<typeof AnnotationFile>;

const HEAD = `# URL paths proposed by this round. Set accept to true for paths whose pages belong in the corpus, false
# for those that do not; add rows of your own. Then run the same command again: it goes on from here.
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

/**
 * Writes the proposals unless a file for the same proposals is already there (a person may have edited it).
 * Returns whether it was there.
 */
export function offerAnnotations(
  path: string,
  round: number,
  hash: string,
  proposals: PathProposal[],
): { existed: boolean } {
  if (existsSync(path) && readAnnotations(path).proposals_hash === hash) return { existed: true };
  const file: AnnotationFile = {
    round,
    proposals_hash: hash,
    paths: proposals.map(({ domain, path: p, pages, collected, accept }) => ({
      domain,
      path: p,
      pages,
      collected,
      accept,
    })),
  };
  writeAtomic(path, HEAD + stringify(file));
  return { existed: false };
}

/** Verdict on a page by the longest annotated path over it; undefined where none is. */
export function annotationMatcher(
  file: AnnotationFile,
): (url: string, domain: string) => boolean | undefined {
  const rules = new Map<string, boolean>();
  let depth = 1;
  for (const { domain, path, accept } of file.paths) {
    rules.set(`${domain}${path}`, accept);
    depth = Math.max(depth, path.split("/").length);
  }
  return (url, domain) => {
    const prefixes = pathPrefixes(url, depth);
    const full = /^[a-z][a-z0-9+.-]*:\/\/[^/?#]*([^?#]*)/i.exec(url)?.[1] ?? "";
    for (const prefix of [full, ...prefixes.reverse()]) {
      const verdict = rules.get(domain + prefix);
      if (verdict !== undefined) return verdict;
    }
    return undefined;
  };
}
