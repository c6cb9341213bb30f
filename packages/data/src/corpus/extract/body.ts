// Puts what a page shows into one body, as browsers do: the tags of html, head and body may be left out, and many pages have elements
// before, between and behind them. The parser leaves everything where its tag stands, and knows one place for a body.
import { type DomDocument, type DomElement, type DomNode, isElement } from "./dom.ts";

/** What may stand in a head; anything else begins the body. */
const OF_HEAD = new Set(
  "base basefont bgsound link meta title noscript noframes style script template".split(" "),
);

const nodesOf = (parent: DomNode): DomNode[] => Array.from(parent.childNodes);
const isNamed = (node: DomNode, name: string): node is DomElement =>
  isElement(node) && node.localName === name;
const isBlank = (node: DomNode) => !isElement(node) && (node.nodeType !== 3 || !node.textContent?.trim());

/** Nodes of a head from the first on that ends it. */
function behindHead(head: DomElement): DomNode[] {
  const nodes = nodesOf(head);
  const end = nodes.findIndex((node) => (isElement(node) ? !OF_HEAD.has(node.localName) : !isBlank(node)));
  return end < 0 ? [] : nodes.slice(end);
}

/** Nodes of a page in their order, without the html, head and body around them; `heads` and `bodies` are those elements. */
function shown(root: DomNode, heads: DomElement[], bodies: DomElement[]): DomNode[] {
  return nodesOf(root).flatMap((node): DomNode[] => {
    if (isNamed(node, "html")) return shown(node, heads, bodies);
    if (isNamed(node, "head")) {
      heads.push(node);
      return behindHead(node);
    }
    if (!isNamed(node, "body")) return isBlank(node) || node.nodeType === 10 ? [] : [node];
    bodies.push(node);
    return nodesOf(node);
  });
}

/** Whether html, head and body are where the parser expects them, with nothing beside them. */
function isWhole(document: DomDocument): boolean {
  const tops = nodesOf(document).filter((node) => !isBlank(node) && node.nodeType !== 10);
  const [html] = tops;
  if (tops.length !== 1 || !html || !isNamed(html, "html")) return false;
  const inside = nodesOf(html).filter((node) => !isBlank(node));
  const [head, body] = inside;
  if (inside.length === 1) return isNamed(head!, "body");
  return (
    inside.length === 2 && isNamed(head!, "head") && isNamed(body!, "body") && behindHead(head).length === 0
  );
}

/** Of nodes that nothing shown precedes, those that a browser puts into the head. */
function leadingOfHead(nodes: readonly DomNode[]): DomNode[] {
  const end = nodes.findIndex((node) => !isElement(node) || !OF_HEAD.has(node.localName));
  return nodes.slice(0, end < 0 ? nodes.length : end);
}

/** Gathers the page in one body behind one head; pages that have them already stay as they are. */
export function gatherBody(document: DomDocument): void {
  if (isWhole(document)) return;
  const [heads, bodies]: [DomElement[], DomElement[]] = [[], []];
  const nodes = shown(document, heads, bodies);
  const html = nodesOf(document).find((node) => isNamed(node, "html")) ?? document.createElement("html");
  const [head, body] = [
    heads[0] ?? document.createElement("head"),
    bodies[0] ?? document.createElement("body"),
  ];
  const leading = leadingOfHead(nodes);
  for (const other of heads.slice(1)) head.append(...nodesOf(other).filter((node) => !nodes.includes(node)));
  head.append(...leading);
  body.append(...nodes.slice(leading.length));
  for (const node of nodesOf(html)) (node as DomElement).remove();
  html.append(head, body);
  for (const node of nodesOf(document))
    if (node !== html && node.nodeType !== 10) (node as DomElement).remove();
  if (document.documentElement !== html) document.append(html);
}
