// Step `domains`: the domain table of a round and the URL paths it proposes.
import { readFileSync, writeFileSync } from "node:fs";
import { z } from "zod";
import type { JobContext } from "../jobs/stage.ts";
import type { BuildConfig } from "../loop/config.ts";
import { domainTable, type PageRef, proposedDomains, proposePaths } from "../loop/domains.ts";
import { type Page, readScores } from "../loop/shards.ts";
import { eachJson } from "../readers/each.ts";
import type { CleanShard } from "./clean.ts";
import { defineStep, runStep, type Stats, type StepIo } from "./step.ts";

const spec = z.strictObject({
  rules: z.strictObject({
    domainShare: z.number().min(0).max(1),
    minDomainPages: z.number().int().min(0),
    pathShare: z.number().min(0).max(1),
    maxPathDepth: z.number().int().min(0),
  }),
});

type DomainsSpec = z.infer<typeof spec>;

export const domainsStep = defineStep({
  kind: "domains",
  spec,
  plan: (given: { folder: string; spec: DomainsSpec; inputs: string[]; out: string }) => [
    { name: given.folder, spec: given.spec, inputs: given.inputs, outputs: [given.out] },
  ],
  run: proposeDomains,
});

function* pagesOf(inputs: string[]): Generator<PageRef> {
  for (let s = 0; s < inputs.length; s += 3) {
    const scores = readScores(inputs[s + 1]!);
    const collected = readFileSync(inputs[s + 2]!);
    let i = 0;
    for (const { url, domain, title } of eachJson<Page>(inputs[s]!)) {
      yield { url, domain, title, collected: collected[i] === 1, score: scores[i]! };
      i++;
    }
  }
}

/** Inputs, a shard at a time: pages, scores, collected. Outputs: [domains.json]. */
async function proposeDomains(io: StepIo<DomainsSpec>): Promise<Stats> {
  const { rules } = io.spec;
  // Read twice rather than held: a page's strings for a whole crawl do not fit in memory.
  const table = domainTable(pagesOf(io.inputs));
  const proposed = proposedDomains(table, rules);
  const paths = proposePaths(pagesOf(io.inputs), proposed, rules);
  writeFileSync(io.outputs[0]!, `${JSON.stringify({ domains: table, proposed, paths }, null, 1)}\n`);
  return { domains: table.length, proposed: proposed.map((d) => d.domain) };
}

/** Domain table and proposed paths of a round: `<folder>/domains.json`. */
export async function proposeInRound(
  ctx: JobContext,
  config: Pick<BuildConfig, "loop">,
  shards: CleanShard[],
  scores: string[],
  collected: string[],
  folder: string,
): Promise<string> {
  const out = `${folder}/domains.json`;
  const { domainShare, minDomainPages, pathShare, maxPathDepth } = config.loop;
  const spec = { rules: { domainShare, minDomainPages, pathShare, maxPathDepth } };
  const inputs = shards.flatMap((s, i) => [s.pages, scores[i]!, collected[i]!]);
  await runStep(ctx, `domains ${folder}`, domainsStep, { folder, spec, inputs, out });
  return out;
}
