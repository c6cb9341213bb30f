// The part of the DOM that extraction uses, as linkedom provides it (the library's own types need the browser's).
import { parseHTML } from "linkedom";

export interface DomNode {
  nodeType: number;
  textContent: string | null;
  firstChild: DomNode | null;
  nextSibling: DomNode | null;
  previousSibling: DomNode | null;
  childNodes: ArrayLike<DomNode>;
}

export interface DomElement extends DomNode {
  localName: string;
  ownerDocument: DomDocument;
  parentElement: DomElement | null;
  firstElementChild: DomElement | null;
  lastElementChild: DomElement | null;
  nextElementSibling: DomElement | null;
  innerHTML: string;
  attributes: ArrayLike<{ name: string; value: string }>;
  getAttribute(name: string): string | null;
  setAttribute(name: string, value: string): void;
  hasAttribute(name: string): boolean;
  querySelector(selector: string): DomElement | null;
  querySelectorAll(selector: string): Iterable<DomElement>;
  getElementsByTagName(name: string): Iterable<DomElement>;
  closest(selector: string): DomElement | null;
  append(...nodes: DomNode[]): void;
  replaceWith(node: DomNode): void;
  remove(): void;
  contains(node: DomNode): boolean;
}

export interface DomDocument extends DomNode {
  body: DomElement | null;
  documentElement: DomElement | null;
  querySelector(selector: string): DomElement | null;
  createElement(name: string): DomElement;
  createTextNode(text: string): DomNode;
  append(...nodes: DomNode[]): void;
}

export function parseDom(html: string): DomDocument {
  return (parseHTML(html) as unknown as { document: DomDocument }).document;
}

export function isElement(node: DomNode): node is DomElement {
  return node.nodeType === 1;
}

/** The children of an element that are elements. */
export function childElements(e: DomElement): DomElement[] {
  const out: DomElement[] = [];
  for (let c = e.firstElementChild; c; c = c.nextElementSibling) out.push(c);
  return out;
}
