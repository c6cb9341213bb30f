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

/** The character of a code point that a page writes in hexadecimal digits; nothing for what is none. */
export function characterOf(hex: string): string {
  const code = /^[0-9a-f]{1,6}$/i.test(hex) ? Number.parseInt(hex, 16) : Number.NaN;
  return code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff) ? String.fromCodePoint(code) : "";
}
