// Task `domains`: the domain table of a round and the URL paths it proposes.
import { readFileSync, writeFileSync } from "node:fs";
import type { TaskIo } from "../jobs/task.ts";
import { forEachJson } from "../readers/each.ts";
import { type DomainRules, domainTable, type PageRef, proposedDomains, proposePaths } from "./domains.ts";
import { type Page, readScores } from "./shards.ts";

/** Inputs, a shard at a time: pages, scores, collected. Outputs: [domains.json]. spec: {rules}. */
export async function domainsTask(io: TaskIo): Promise<Record<string, unknown>> {
  const rules = io.spec.rules as DomainRules;
  const pages: PageRef[] = [];
  for (let s = 0; s < io.inputs.length; s += 3) {
    const scores = readScores(io.inputs[s + 1]!);
    const collected = readFileSync(io.inputs[s + 2]!);
    forEachJson<Page>(io.inputs[s]!, ({ url, domain }, i) => {
      pages.push({ url, domain, collected: collected[i] === 1, score: scores[i]! });
    });
  }
  const table = domainTable(pages);
  const proposed = proposedDomains(table, rules);
  const paths = proposePaths(pages, proposed, rules);
  writeFileSync(io.outputs[0]!, `${JSON.stringify({ domains: table, proposed, paths }, null, 1)}\n`);
  return { domains: table.length, proposed: proposed.map((d) => d.domain) };
}
