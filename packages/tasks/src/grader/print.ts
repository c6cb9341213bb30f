// Writes a tree as text: equal texts for trees that are written the same way.
import type { Node } from "./node.ts";

/** A text that is the same for trees that are written the same; names of symbols and opaque calls are made of it. */
export function print(node: Node): string {
  let text = printed.get(node);
  if (text === undefined) {
    text = write(node);
    printed.set(node, text);
  }
  return text;
}

const printed = new WeakMap<Node, string>();

function write(node: Node): string {
  switch (node.t) {
    case "num":
      return node.value.q === 1n ? String(node.value.p) : `${node.value.p}/${node.value.q}`;
    case "based":
      return `${node.digits}_${node.base}`;
    case "sym":
    case "const":
      return node.name;
    case "add":
      return `(${node.args.map(print).sort().join("+")})`;
    case "mul":
      return node.args.map(print).sort().join("*");
    case "neg":
      return `-${print(node.a)}`;
    case "div":
      return `(${print(node.a)})/(${print(node.b)})`;
    case "pow":
      return `(${print(node.a)})^(${print(node.b)})`;
    case "root":
      return `root(${print(node.a)},${print(node.n)})`;
    case "call":
      return `${node.fn}(${node.args.map(print).join(",")})`;
    case "percent":
      return `${print(node.a)}%`;
    case "unit":
      return print(node.a);
    case "pm":
      return `${node.a ? print(node.a) : ""}±${print(node.b)}`;
    case "ratio":
      return node.parts.map(print).join(":");
    case "tuple":
      return `${node.open}${node.items.map(print).join(",")}${node.close}`;
    case "list":
      return `{${node.items.map(print).join(",")}}`;
    case "union":
      return node.parts.map(print).join(` ${node.op} `);
    case "relation":
      return node.parts.map((p, i) => print(p) + (node.ops[i] ?? "")).join("");
    case "matrix":
      return `[${node.rows.map((r) => r.map(print).join(",")).join(";")}]`;
    case "text":
      return node.words;
  }
}
