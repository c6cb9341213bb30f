// The tree of a parsed answer: expressions below, answer shapes (lists, tuples, relations, …) above.
import type { Rational } from "./rational.ts";

export type Node =
  /** `power`: the power of ten that was written with it, as in 8.7e5; `worked`: it was a sum, an integral or a determinant. */
  | { t: "num"; value: Rational; decimals: number; digits: number; power?: number; worked?: true }
  | { t: "based"; value: Rational; digits: string; base: number }
  | { t: "sym"; name: string }
  | { t: "const"; name: "pi" | "e" | "i" | "inf" }
  /** `literal`: one written number, such as 1 1/2, 0.1666… with its period marked, or 3 hours 20 minutes. */
  | { t: "add"; args: Node[]; literal?: true }
  | { t: "mul"; args: Node[] }
  | { t: "neg"; a: Node }
  | { t: "div"; a: Node; b: Node }
  | { t: "pow"; a: Node; b: Node }
  | { t: "root"; a: Node; n: Node }
  | { t: "call"; fn: string; args: Node[] }
  | { t: "pm"; a: Node | undefined; b: Node; minusFirst: boolean }
  | { t: "percent"; a: Node }
  | { t: "unit"; a: Node; unit: string }
  | { t: "ratio"; parts: Node[] }
  | { t: "tuple"; items: Node[]; open: "(" | "["; close: ")" | "]" }
  | { t: "list"; items: Node[]; form: "list" | "set" | "brace" }
  | { t: "union"; op: "union" | "intersection" | "difference"; parts: Node[] }
  /** `loose`: a sign of it was ≡, → or ↦, which read as = but assert no equality of numbers. */
  | { t: "relation"; parts: Node[]; ops: RelationOp[]; loose?: true }
  | { t: "matrix"; rows: Node[][] }
  | { t: "text"; words: string };

/** The symbol of the set of real numbers, which no variable R is. */
export const REALS = "ℝ";

export type RelationOp = "=" | "<" | "<=" | ">" | ">=" | "!=" | "~" | "in" | "mod";

/** Sub-nodes of a node, in order. */
export function children(node: Node): Node[] {
  switch (node.t) {
    case "add":
    case "mul":
    case "call":
      return node.args;
    case "neg":
    case "percent":
    case "unit":
      return [node.a];
    case "div":
    case "pow":
      return [node.a, node.b];
    case "root":
      return [node.a, node.n];
    case "pm":
      return node.a ? [node.a, node.b] : [node.b];
    case "ratio":
    case "union":
    case "relation":
      return node.parts;
    case "tuple":
    case "list":
      return node.items;
    case "matrix":
      return node.rows.flat();
    default:
      return [];
  }
}

/** The node with its sub-nodes replaced. */
export function mapChildren(node: Node, f: (n: Node) => Node): Node {
  switch (node.t) {
    case "add":
    case "mul":
    case "call":
      return { ...node, args: node.args.map(f) };
    case "neg":
    case "percent":
    case "unit":
      return { ...node, a: f(node.a) };
    case "div":
    case "pow":
      return { ...node, a: f(node.a), b: f(node.b) };
    case "root":
      return { ...node, a: f(node.a), n: f(node.n) };
    case "pm":
      return node.a ? { ...node, a: f(node.a), b: f(node.b) } : { ...node, b: f(node.b) };
    case "ratio":
    case "union":
    case "relation":
      return { ...node, parts: node.parts.map(f) };
    case "tuple":
    case "list":
      return { ...node, items: node.items.map(f) };
    case "matrix":
      return { ...node, rows: node.rows.map((r) => r.map(f)) };
    default:
      return node;
  }
}

/** Whether a node or one below it holds. */
export function some(node: Node, holds: (n: Node) => boolean): boolean {
  return holds(node) || children(node).some((n) => some(n, holds));
}
