// Sets of numbers in one form: unions of intervals and points joined where they meet, finite sets worked out.
import { type Node, some } from "./node.ts";
import { realValue } from "./numeric.ts";
import { asInterval, isName, withoutName } from "./shape.ts";

const MAX_PARTS = 20;

interface Piece {
  low: number;
  lowNode: Node;
  lowOpen: boolean;
  high: number;
  highNode: Node;
  highOpen: boolean;
}

function bound(node: Node): number | undefined {
  if (node.t === "const" && node.name === "inf") return Infinity;
  if (node.t === "neg" && node.a.t === "const" && node.a.name === "inf") return -Infinity;
  return some(node, (n) => n.t === "sym" || n.t === "pm") ? undefined : realValue(node);
}

function piecesOf(node: Node): Piece[] | undefined {
  if (node.t === "relation") {
    const set = asInterval(node);
    return set && piecesOf(set);
  }
  if (node.t === "union" && node.op === "union") {
    const parts = node.parts.map(piecesOf);
    return parts.some((p) => !p) ? undefined : (parts as Piece[][]).flat();
  }
  if (node.t === "list" && node.form !== "list") {
    const points = node.items.map((n): Piece | undefined => {
      const x = bound(withoutName(n));
      return x === undefined
        ? undefined
        : { low: x, lowNode: n, lowOpen: false, high: x, highNode: n, highOpen: false };
    });
    return points.some((p) => !p) ? undefined : (points as Piece[]);
  }
  if (node.t !== "tuple" || node.items.length !== 2) return undefined;
  const [a, b] = node.items as [Node, Node];
  const [low, high] = [bound(a), bound(b)];
  if (low === undefined || high === undefined || low > high) return undefined;
  return [{ low, lowNode: a, lowOpen: node.open === "(", high, highNode: b, highOpen: node.close === ")" }];
}

function join(pieces: Piece[]): Piece[] {
  const sorted = [...pieces].sort((a, b) => a.low - b.low || Number(a.lowOpen) - Number(b.lowOpen));
  const out: Piece[] = [];
  for (const p of sorted) {
    const last = out.at(-1);
    const touches = last && (p.low < last.high || (p.low === last.high && !(p.lowOpen && last.highOpen)));
    if (!touches) {
      out.push({ ...p });
      continue;
    }
    if (p.high > last.high) Object.assign(last, { high: p.high, highNode: p.highNode, highOpen: p.highOpen });
    else if (p.high === last.high) last.highOpen &&= p.highOpen;
  }
  return out;
}

/** A union of intervals, inequalities and points with its parts joined; undefined where the order is open. */
export function joinedUnion(node: Node): Node | undefined {
  if (node.t !== "union" || node.op !== "union" || node.parts.length > MAX_PARTS) return undefined;
  const pieces = piecesOf(node);
  if (!pieces || pieces.length > MAX_PARTS) return undefined;
  const parts = join(pieces).map((p): Node => {
    if (p.low === p.high) return { t: "list", items: [p.lowNode], form: "set" };
    return {
      t: "tuple",
      items: [p.lowNode, p.highNode],
      open: p.lowOpen ? "(" : "[",
      close: p.highOpen ? ")" : "]",
    };
  });
  return parts.length === 1 ? parts[0]! : { t: "union", op: "union", parts };
}

/** A union, intersection or difference of finite sets as one set. */
export function finiteSet(node: Node, same: (a: Node, b: Node) => boolean): Node | undefined {
  if (node.t !== "union" || !node.parts.every((p) => p.t === "list" && p.form !== "list")) return undefined;
  const sets = node.parts.map((p) => (p as Node & { t: "list" }).items);
  if (sets.some((s) => s.length > MAX_PARTS)) return undefined;
  const has = (set: readonly Node[], x: Node) => set.some((y) => same(x, y));
  let items = [...sets[0]!];
  for (const set of sets.slice(1)) {
    if (node.op === "intersection") items = items.filter((x) => has(set, x));
    else if (node.op === "difference") items = items.filter((x) => !has(set, x));
    else items.push(...set.filter((x) => !has(items, x)));
  }
  return { t: "list", items, form: "set" };
}

/** The name that an inequality is about; empty without one. */
export function subjectOf(node: Node): string {
  if (node.t !== "relation") return "";
  const found = node.parts.find((p) => isName(p));
  return found?.t === "sym" ? found.name : "";
}
