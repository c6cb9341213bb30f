// One tree for formulas, whoever rendered them: names and attributes of Presentation MathML.

export interface MathNode {
  /** Local name in lower case, without prefix; `#text` has only `text`. */
  name: string;
  attributes: Record<string, string>;
  kids: MathNode[];
  /** Characters of a token element. */
  text: string;
}

export function mathNode(
  name: string,
  kids: MathNode[] = [],
  attributes: Record<string, string> = {},
  text = "",
): MathNode {
  return { name, attributes, kids, text };
}

export const token = (name: string, text: string, attributes: Record<string, string> = {}): MathNode =>
  mathNode(name, [], attributes, text);

/** Several nodes as one. */
export const row = (kids: MathNode[]): MathNode => (kids.length === 1 ? kids[0]! : mathNode("mrow", kids));
