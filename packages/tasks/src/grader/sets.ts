// Sets of numbers in one form: unions of intervals and points joined where they meet, finite sets worked out.
import { type Node, REALS, some } from "./node.ts";
import { realValue } from "./numeric.ts";
import { asInterval, subjectOf, withoutName } from "./shape.ts";

const MAX_PARTS = 20;

interface Piece {
  low: number;
  lowNode: Node;
  lowOpen: boolean;
  high: number;
  highNode: Node;
  highOpen: boolean;
}

const INFINITY: Node = { t: "const", name: "inf" };

/** The set of all real numbers, by its letter or in words. */
export const isLine = (node: Node): boolean =>
  (node.t === "sym" && node.name === REALS) ||
  (node.t === "text" &&
    /^(?:the )?(?:set of )?(?:all|any|every) (?:the )?reals?(?: (?:numbers?|values?))?(?: of [a-z])?$|^(?:the )?reals(?: numbers)?$|^real numbers$/i.test(
      node.words,
    ));

function bound(node: Node): number | undefined {
  if (node.t === "const" && node.name === "inf") return Infinity;
  if (node.t === "neg" && node.a.t === "const" && node.a.name === "inf") return -Infinity;
  return some(node, (n) => n.t === "sym" || n.t === "pm") ? undefined : realValue(node);
}

function piecesOf(node: Node): Piece[] | undefined {
  if (isLine(node)) return [LINE];
  if (node.t === "relation") {
    const set = asInterval(node);
    return set && piecesOf(set);
  }
  if (node.t === "union") {
    if (node.op !== "union") return workedPieces(node);
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

const LINE: Piece = {
  low: -Infinity,
  lowNode: { t: "neg", a: INFINITY },
  lowOpen: true,
  high: Infinity,
  highNode: INFINITY,
  highOpen: true,
};

/** What two pieces have in common; undefined where it is nothing. */
function meet(a: Piece, b: Piece): Piece | undefined {
  const low = a.low > b.low || (a.low === b.low && a.lowOpen) ? a : b;
  const high = a.high < b.high || (a.high === b.high && a.highOpen) ? a : b;
  if (low.low > high.high || (low.low === high.high && (low.lowOpen || high.highOpen))) return undefined;
  const { low: from, lowNode, lowOpen } = low;
  const { high: to, highNode, highOpen } = high;
  return { low: from, lowNode, lowOpen, high: to, highNode, highOpen };
}

const meetAll = (a: Piece[], b: Piece[]): Piece[] =>
  a.flatMap((x) => b.map((y) => meet(x, y)).filter((p) => p !== undefined));

/** The line without a piece. */
function outside(p: Piece): Piece[] {
  const { low, lowNode, lowOpen, high, highNode, highOpen } = p;
  const left: Piece = { ...LINE, high: low, highNode: lowNode, highOpen: !lowOpen };
  const right: Piece = { ...LINE, low: high, lowNode: highNode, lowOpen: !highOpen };
  return [...(low === -Infinity ? [] : [left]), ...(high === Infinity ? [] : [right])];
}

/** Intervals and points of a set, worked out; undefined where the order of their ends is open. */
function workedPieces(node: Node): Piece[] | undefined {
  if (node.t !== "union" || node.op === "union") return piecesOf(node);
  const [first, ...rest] = node.parts.map((part) => piecesOf(withoutName(part)));
  if (!first || rest.some((p) => !p)) return undefined;
  let pieces = first;
  for (const other of rest as Piece[][]) {
    if (node.op === "intersection") pieces = meetAll(pieces, other);
    else for (const p of other) pieces = meetAll(pieces, outside(p));
    if (pieces.length > MAX_PARTS) return undefined;
  }
  return pieces;
}

function setOf(pieces: Piece[]): Node {
  const parts = join(pieces).map((p): Node => {
    if (p.low === p.high) return { t: "list", items: [p.lowNode], form: "set" };
    return {
      t: "tuple",
      items: [p.lowNode, p.highNode],
      open: p.lowOpen ? "(" : "[",
      close: p.highOpen ? ")" : "]",
    };
  });
  if (parts.length === 0) return { t: "list", items: [], form: "set" };
  return parts.length === 1 ? parts[0]! : { t: "union", op: "union", parts };
}

/** A union, intersection or difference of intervals, inequalities and points with its parts joined; undefined where the order is open. */
export function joinedUnion(node: Node): Node | undefined {
  if (node.t !== "union" || node.parts.length > MAX_PARTS) return undefined;
  const pieces = workedPieces(node);
  return pieces && pieces.length <= MAX_PARTS ? setOf(pieces) : undefined;
}

const isOrder = (node: Node): boolean =>
  node.t === "relation" && node.ops.every((op) => /^(?:[<>]=?|!=)$/.test(op));

/** Whether a node says that a name is a real number. */
const isReal = (node: Node): boolean =>
  node.t === "relation" && node.ops[0] === "in" && node.parts.length === 2 && isLine(node.parts[1]!);

/**
 * Inequalities about one name side by side (x > 2, x < 5) as the set that they describe: what they have in common, or, where
 * that is nothing (x < -1, x > 3), what any of them holds for.
 */
export function jointSet(node: Node): Node | undefined {
  if (node.t !== "list" || node.form !== "list" || node.items.length < 2 || node.items.length > MAX_PARTS)
    return undefined;
  const orders = node.items.filter((item) => !isReal(item));
  if (orders.length === 0 || !orders.every(isOrder) || new Set(orders.map(subjectOf)).size > 1)
    return undefined;
  const sets = orders.map(piecesOf);
  if (sets.some((s) => !s)) return undefined;
  const common = (sets as Piece[][]).reduce(meetAll);
  return setOf(common.length > 0 ? common : (sets as Piece[][]).flat());
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
