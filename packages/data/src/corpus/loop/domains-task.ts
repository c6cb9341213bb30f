// Task `domains`: the domain table of a round and the URL paths it proposes.
import { readFileSync, writeFileSync } from "node:fs";
import type { TaskIo } from "../jobs/task.ts";
import { eachJson } from "../readers/each.ts";
import { type DomainRules, domainTable, type PageRef, proposedDomains, proposePaths } from "./domains.ts";
import { type Page, readScores } from "./shards.ts";

function* pagesOf(inputs: string[]): Generator<PageRef> {
  for (let s = 0; s < inputs.length; s += 3) {
    const scores = readScores(inputs[s + 1]!);
    const collected = readFileSync(inputs[s + 2]!);
    let i = 0;
    for (const { url, domain } of eachJson<Page>(inputs[s]!)) {
      yield { url, domain, collected: collected[i] === 1, score: scores[i]! };
      i++;
    }
  }
}

/** Inputs, a shard at a time: pages, scores, collected. Outputs: [domains.json]. spec: {rules}. */
export async function domainsTask(io: TaskIo): Promise<Record<string, unknown>> {
  const rules = io.spec.rules as DomainRules;
  // Read twice rather than held: a page's strings for a whole crawl do not fit in memory.
  const table = domainTable(pagesOf(io.inputs));
  const proposed = proposedDomains(table, rules);
  const paths = proposePaths(pagesOf(io.inputs), proposed, rules);
  writeFileSync(io.outputs[0]!, `${JSON.stringify({ domains: table, proposed, paths }, null, 1)}\n`);
  return { domains: table.length, proposed: proposed.map((d) => d.domain) };
}
