// Brings answers of one meaning into one shape: assignments, chains of equalities, ±, inequalities as intervals.
import { symbolicCall } from "./known-value.ts";
import { mapChildren, type Node, type RelationOp, some } from "./node.ts";
import { print } from "./print.ts";

const INFINITY: Node = { t: "const", name: "inf" };

/** Whether a node only names a quantity: x, f(x), |AB|, NO/BO, A:B, (p, q). */
export function isName(node: Node): boolean {
  switch (node.t) {
    case "sym":
      return true;
    case "const":
      return node.name !== "inf" && node.name !== "pi";
    case "call":
      return node.fn === "abs"
        ? isName(node.args[0]!)
        : /^(?:[fghFGWP]|phi|varphi|psi)(?:_|'|$)|^(?:sum|prod|int|derivative)$/.test(node.fn);
    case "mul":
      // The derivative of anything is named by it.
      if (node.args[0]!.t === "call" && node.args[0]!.fn === "derivative") return true;
      return node.args.every(
        (a) =>
          (a.t === "sym" && /^[A-Za-z]/.test(a.name)) || a.t === "const" || a.t === "call" || a.t === "add",
      )
        ? node.args.every(isName)
        : isFunctionApplication(node);
    case "div":
      return isName(node.a) && isName(node.b);
    case "unit":
      return isName(node.a);
    case "tuple":
    case "ratio":
      return (node.t === "tuple" ? node.items : node.parts).every(isName);
    default:
      return false;
  }
}

/** P(3) reads as a product of a letter and a number. */
function isFunctionApplication(node: Node & { t: "mul" }): boolean {
  const [head, argument] = node.args;
  return node.args.length === 2 && head!.t === "sym" && /^[A-Z]/.test(head!.name) && argument!.t === "num";
}

export interface Assignment {
  name: string;
  value: Node;
}

/** `x = 3` as name and value; chains give their last exact part; undefined for equations. */
export function assignment(node: Node): Assignment | undefined {
  if (node.t !== "relation" || !node.ops.every((op) => op === "=" || op === "~")) return undefined;
  const { parts, ops } = node;
  const first = parts[0]!;
  // x = 1/3 ≈ 0.33: the exact part counts; x ≈ 11 has only the other.
  const approximate = ops.indexOf("~");
  const end = approximate > 0 ? approximate : parts.length - 1;
  const value = parts[end]!;
  if (isName(first)) return { name: print(first), value };
  if (parts.length === 2 && isName(value) && value.t === "sym" && !some(first, (n) => n.t === "sym")) {
    return { name: print(value), value: first };
  }
  // A chain of values ends in the answer; 2x + z = 1 is an equation.
  const isOpen = (n: Node) => n.t === "sym" || (n.t === "call" && symbolicCall.test(n.fn));
  const numbers = !some(first, isOpen);
  const valueIsNumber = !some(value, isOpen);
  if ((numbers && valueIsNumber) || (parts.length > 2 && valueIsNumber)) return { name: "", value };
  return undefined;
}

/** The answer without its name: `x = 3` → 3, `x ∈ S` → S, a list of one → its item. */
export function withoutName(node: Node): Node {
  const assigned = assignment(node);
  if (assigned) return withoutName(assigned.value);
  if (node.t === "relation" && node.ops.length === 1 && node.ops[0] === "in")
    return withoutName(node.parts[1]!);
  if (node.t === "list" && node.items.length === 1 && node.form !== "list") return node;
  return node;
}

/** All values of ± as items of lists. */
export function expandPlusMinus(node: Node): Node {
  if (!some(node, (n) => n.t === "pm")) return node;
  if (node.t === "list") {
    return { ...node, items: node.items.flatMap((item) => bothSigns(item)) };
  }
  if (node.t === "relation" && assignment(node)) {
    const { name, value } = assignment(node)!;
    const items = bothSigns(value);
    const named: Node[] = items.map((v) => ({ t: "relation", parts: [{ t: "sym", name }, v], ops: ["="] }));
    return named.length === 1 ? named[0]! : { t: "list", items: named, form: "list" };
  }
  const items = bothSigns(node);
  return items.length === 1 ? items[0]! : { t: "list", items, form: "list" };
}

function bothSigns(node: Node): Node[] {
  const assigned = assignment(node);
  if (assigned) {
    return bothSigns(assigned.value).map((v) => ({
      t: "relation",
      parts: [{ t: "sym", name: assigned.name }, v],
      ops: ["="],
    }));
  }
  if (!some(node, (n) => n.t === "pm")) return [node];
  const pick = (minus: boolean): Node => {
    const walk = (n: Node): Node => {
      if (n.t !== "pm") return mapChildren(n, walk);
      const b = walk(n.b);
      const signed: Node = minus !== n.minusFirst ? { t: "neg", a: b } : b;
      return n.a ? { t: "add", args: [walk(n.a), signed] } : signed;
    };
    return walk(node);
  };
  return [pick(false), pick(true)];
}

const flip: Partial<Record<RelationOp, RelationOp>> = {
  "<": ">",
  "<=": ">=",
  ">": "<",
  ">=": "<=",
  "=": "=",
  "!=": "!=",
};

export const flipped = (op: RelationOp): RelationOp | undefined => flip[op];

const isConstant = (n: Node) => !some(n, (x) => x.t === "sym" || x.t === "call");

const sumOf = (a: Node | undefined, b: Node): Node => (a ? { t: "add", args: [a, b] } : b);

/** |x| and |x - 2| as the name and the number that it is away from; undefined for others. */
function distance(node: Node): { name: string; from: Node | undefined } | undefined {
  const inside = node.t === "call" && node.fn === "abs" ? node.args[0]! : undefined;
  if (inside?.t === "sym") return { name: inside.name, from: undefined };
  const [x, c] = inside?.t === "add" && inside.args.length === 2 ? inside.args : [];
  if (x?.t !== "sym" || !c || !isConstant(c)) return undefined;
  return { name: x.name, from: c.t === "neg" ? c.a : { t: "neg", a: c } };
}

/** The name that an inequality is about; empty without one. */
export function subjectOf(node: Node): string {
  if (node.t !== "relation") return "";
  const found = node.parts.find((p) => isName(p) || distance(p));
  if (!found) return "";
  return found.t === "sym" ? found.name : (distance(found)?.name ?? "");
}

/** An inequality in one name as the interval of its values; undefined for others. */
export function asInterval(node: Node): Node | undefined {
  if (node.t !== "relation") return undefined;
  const { parts, ops } = node;
  const rising = (op: RelationOp) => op === "<" || op === "<=";
  const falling = (op: RelationOp) => op === ">" || op === ">=";
  const interval = (low: Node, lowOpen: boolean, high: Node, highOpen: boolean): Node => ({
    t: "tuple",
    items: [low, high],
    open: lowOpen ? "(" : "[",
    close: highOpen ? ")" : "]",
  });
  if (parts.length === 3) {
    const [a, middle, b] = parts as [Node, Node, Node];
    const [first, second] = ops as [RelationOp, RelationOp];
    if (!isName(middle) || !isConstant(a) || !isConstant(b)) return undefined;
    let set: Node | undefined;
    if (rising(first) && rising(second)) set = interval(a, first === "<", b, second === "<");
    if (falling(first) && falling(second)) set = interval(b, second === ">", a, first === ">");
    if (set?.t !== "tuple" || middle.t !== "call" || middle.fn !== "abs") return set;
    const [low, high] = set.items as [Node, Node];
    const negative: Node = {
      t: "tuple",
      items: [
        { t: "neg", a: high },
        { t: "neg", a: low },
      ],
      open: set.close === ")" ? "(" : "[",
      close: set.open === "(" ? ")" : "]",
    };
    return { t: "union", op: "union", parts: [negative, set] };
  }
  if (parts.length !== 2) return undefined;
  let [a, b] = parts as [Node, Node];
  let op = ops[0]!;
  if (!isName(a) && !distance(a)) {
    [a, b] = [b, a];
    op = flipped(op) ?? op;
  }
  const away = distance(a);
  if (away && isConstant(b) && (rising(op) || falling(op))) {
    const less = sumOf(away.from, { t: "neg", a: b });
    const more = sumOf(away.from, b);
    if (rising(op)) return interval(less, op === "<", more, op === "<");
    return {
      t: "union",
      op: "union",
      parts: [
        interval({ t: "neg", a: INFINITY }, true, less, op === ">"),
        interval(more, op === ">", INFINITY, true),
      ],
    };
  }
  if (!isName(a) || !isConstant(b)) return undefined;
  const minus: Node = { t: "neg", a: INFINITY };
  if (rising(op)) return interval(minus, true, b, op === "<");
  if (falling(op)) return interval(b, op === ">", INFINITY, true);
  if (op === "!=")
    return {
      t: "union",
      op: "union",
      parts: [interval(minus, true, b, true), interval(b, true, INFINITY, true)],
    };
  return undefined;
}

/** The matrix in Mᵀ, whichever T it is. */
function transposed(node: Node): Node | undefined {
  if (node.t === "call" && node.fn === "transpose") return node.args[0];
  return node.t === "pow" && node.a.t === "matrix" && node.b.t === "sym" && node.b.name === "T"
    ? node.a
    : undefined;
}

/** Sums and products of matrices as one matrix; other nodes as they are. */
export function evaluateMatrix(node: Node): Node {
  if (node.t === "neg") {
    const a = evaluateMatrix(node.a);
    return a.t === "matrix" ? mapChildren(a, (x): Node => ({ t: "neg", a: x })) : node;
  }
  const of = transposed(node);
  if (of?.t === "matrix" && of.rows.every((row) => row.length === of.rows[0]!.length))
    return { t: "matrix", rows: of.rows[0]!.map((_, j) => of.rows.map((row) => row[j]!)) };
  if (node.t !== "add" && node.t !== "mul") return node;
  const args = node.args.map(evaluateMatrix);
  if (!args.some((a) => a.t === "matrix")) return node;
  return args.reduce((a, b) => (node.t === "add" ? addMatrices(a, b) : multiplyMatrices(a, b)) ?? node);
}

function addMatrices(a: Node, b: Node): Node | undefined {
  if (a.t !== "matrix" || b.t !== "matrix" || a.rows.length !== b.rows.length) return undefined;
  return {
    t: "matrix",
    rows: a.rows.map((row, i) =>
      row.map((x, j) => ({ t: "add", args: [x, b.rows[i]?.[j] ?? x] }) satisfies Node),
    ),
  };
}

function multiplyMatrices(a: Node, b: Node): Node | undefined {
  if (a.t === "matrix" && b.t === "matrix") {
    const inner = b.rows.length;
    if (inner > 12 || a.rows.some((r) => r.length !== inner)) return undefined;
    const columns = b.rows[0]!.length;
    return {
      t: "matrix",
      rows: a.rows.map((row) =>
        Array.from(
          { length: columns },
          (_, j): Node => ({
            t: "add",
            args: row.map((x, k) => ({ t: "mul", args: [x, b.rows[k]![j]!] }) satisfies Node),
          }),
        ),
      ),
    };
  }
  const [scalar, matrix] = a.t === "matrix" ? [b, a] : [a, b];
  if (matrix.t !== "matrix") return undefined;
  return mapChildren(matrix, (x): Node => ({ t: "mul", args: [scalar, x] }));
}
