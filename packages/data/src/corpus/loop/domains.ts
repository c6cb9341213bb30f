// Domain discovery: how much of each domain was collected, and which of its URL paths look wanted.

export interface PageRef {
  url: string;
  domain: string;
  collected: boolean;
  score: number;
  title?: string;
}

export interface DomainRow {
  domain: string;
  pages: number;
  collected: number;
  /** collected / pages */
  share: number;
  meanScore: number;
}

export interface PathProposal {
  domain: string;
  /** `/books/algebra/`: every page below it; a path without final slash names one page. */
  path: string;
  pages: number;
  collected: number;
  share: number;
  accept: boolean;
  /** Some of the pages below it, collected ones first. */
  examples: Example[];
}

export interface Example {
  url: string;
  title: string;
}

const EXAMPLES = 3;

export interface DomainRules {
  domainShare: number;
  minDomainPages: number;
  pathShare: number;
  maxPathDepth: number;
}

/** The domain table, most collected pages first (ties by name). */
export function domainTable(pages: Iterable<PageRef>): DomainRow[] {
  const rows = new Map<string, DomainRow>();
  for (const { domain, collected, score } of pages) {
    if (domain === "") continue;
    let row = rows.get(domain);
    if (!row) {
      row = { domain, pages: 0, collected: 0, share: 0, meanScore: 0 };
      rows.set(domain, row);
    }
    row.pages++;
    row.collected += collected ? 1 : 0;
    row.meanScore += score;
  }
  for (const row of rows.values()) {
    row.share = row.collected / row.pages;
    row.meanScore /= row.pages;
  }
  return [...rows.values()].sort((a, b) => b.collected - a.collected || (a.domain < b.domain ? -1 : 1));
}

/** Domains of which more than `domainShare` is collected. */
export function proposedDomains(table: DomainRow[], rules: DomainRules): DomainRow[] {
  return table.filter((row) => row.share > rules.domainShare && row.pages >= rules.minDomainPages);
}

/** Folders of a URL's path: `/a/b/page` → `/`, `/a/`, `/a/b/`. */
export function pathPrefixes(url: string, maxDepth: number): string[] {
  const path = /^[a-z][a-z0-9+.-]*:\/\/[^/?#]*([^?#]*)/i.exec(url)?.[1] ?? "";
  const parts = path.split("/").slice(1, -1);
  const out = ["/"];
  for (const part of parts.slice(0, maxDepth)) out.push(`${out[out.length - 1]}${part}/`);
  return out;
}

interface Node {
  path: string;
  pages: number;
  collected: number;
  examples: (Example & { collected: boolean })[];
  children: Map<string, Node>;
}

/** Holds on to a page as an example; a collected one takes the place of one that is not. */
function addExample(node: Node, url: string, title: string, collected: boolean): void {
  const { examples } = node;
  if (examples.length < EXAMPLES) examples.push({ url, title, collected });
  else if (collected) {
    const at = examples.findIndex((e) => !e.collected);
    if (at >= 0) examples[at] = { url, title, collected };
  }
}

/**
 * Proposes URL paths of every proposed domain, and of domains where some folder passes the same share rule by itself
 * (a site that is mostly something else). A folder is split into its subfolders while they disagree, some to be
 * accepted and some refused; else it is proposed whole.
 */
export function proposePaths(
  pages: Iterable<PageRef>,
  domains: DomainRow[],
  rules: DomainRules,
): PathProposal[] {
  const proposed = new Set(domains.map((d) => d.domain));
  const roots = new Map<string, Node>();
  for (const { url, domain, collected, title = "" } of pages) {
    if (domain === "") continue;
    let node = roots.get(domain);
    if (!node) {
      node = emptyNode("/");
      roots.set(domain, node);
    }
    const prefixes = pathPrefixes(url, rules.maxPathDepth);
    for (let i = 0; ; i++) {
      node.pages++;
      node.collected += collected ? 1 : 0;
      addExample(node, url, title, collected);
      const next = prefixes[i + 1];
      if (next === undefined) break;
      let child = node.children.get(next);
      if (!child) {
        child = emptyNode(next);
        node.children.set(next, child);
      }
      node = child;
    }
  }
  const proposals: PathProposal[] = [];
  const accepts = (n: Node) => n.collected >= rules.pathShare * n.pages;
  const large = (n: Node) => n.pages >= rules.minDomainPages;
  const agrees = (n: Node, verdict: boolean): boolean =>
    accepts(n) === verdict && [...n.children.values()].every((c) => !large(c) || agrees(c, verdict));
  const passes = (n: Node): boolean =>
    (large(n) && n.collected > rules.domainShare * n.pages) || [...n.children.values()].some(passes);
  const propose = (domain: string, node: Node): void => {
    if (!agrees(node, accepts(node))) {
      for (const child of node.children.values()) propose(domain, child);
      return;
    }
    proposals.push({
      domain,
      path: node.path,
      pages: node.pages,
      collected: node.collected,
      share: node.collected / node.pages,
      accept: accepts(node),
      examples: node.examples.map(({ url, title }) => ({ url, title })),
    });
  };
  for (const [domain, root] of roots) if (proposed.has(domain) || passes(root)) propose(domain, root);
  return proposals.sort((a, b) =>
    a.domain === b.domain ? (a.path < b.path ? -1 : 1) : a.domain < b.domain ? -1 : 1,
  );
}

function emptyNode(path: string): Node {
  return { path, pages: 0, collected: 0, examples: [], children: new Map() };
}
