// An equation is a claim: `3 = 5` is no way to answer 5. Finds equations between numbers that do not hold.
//
// `x = 3+3 = 5` has two readings: a name with its value, after working that slipped, or a chain of claims. Where a task asks
// for a form of answer it is the chain; where only the values of two answers are compared, as Math-Verify does, the name.
import { TooMuchWork } from "./limits.ts";
import { type Node, some } from "./node.ts";
import { realValue } from "./numeric.ts";
import { sameNumber } from "./same-number.ts";
import { isName } from "./shape.ts";
import { unitFactor } from "./units.ts";

/** ≈ may be this far off, as a share of the larger side. */
const ROUGHLY = 0.05;

const opaque = (n: Node) =>
  n.t === "sym" ||
  n.t === "text" ||
  n.t === "based" ||
  n.t === "pm" ||
  (n.t === "call" && /^(?:[fghFGWP]|phi|varphi|psi|sum|prod|int|derivative|det)(?:_|'|$)/.test(n.fn));

/** A side without its unit; nothing where symbols, bases or units inside leave the value open. */
function numberOf(node: Node): { value: Node; unit: string } | undefined {
  const [value, unit] = node.t === "unit" ? [node.a, node.unit] : [node, ""];
  if (some(value, (n) => opaque(n) || n.t === "unit")) return undefined;
  const shapes = new Set(["list", "tuple", "union", "relation", "matrix", "ratio"]);
  return some(value, (n) => shapes.has(n.t)) ? undefined : { value, unit };
}

/** Units that change the number, so that a side without one cannot be compared. */
const scaling = /^(?:degree|score|radian|rad|quarter|gros)\b/;

function unitsDecide(a: string, b: string): boolean {
  if (a === b) return true;
  if (a !== "" && b !== "") return unitFactor(a, b) !== "same";
  const one = a || b;
  // Neither a length nor a time, nor anything else of a known size: a word such as "apples".
  return !scaling.test(one) && unitFactor(one, "m") === "same" && unitFactor(one, "second") === "same";
}

/** Decimals of a written number, below its sign and percent sign. */
function decimals(node: Node): number {
  if (node.t === "neg" || node.t === "percent") return decimals(node.a);
  return node.t === "num" ? node.decimals : 0;
}

function isFalse(a: Node, b: Node, op: string): boolean {
  const [x, y] = [numberOf(a), numberOf(b)];
  if (!x || !y || !unitsDecide(x.unit, y.unit)) return false;
  if (sameNumber(a, b) !== "different") return false;
  const [u, v] = [realValue(x.value), realValue(y.value)];
  if (u === undefined || v === undefined) return true;
  const off = Math.abs(u - v);
  // 2/3 = 0.67 rounds, and means to.
  const digits = Math.max(decimals(x.value), decimals(y.value));
  if (digits > 0 && x.unit === y.unit && off <= 0.5000001 * 10 ** -digits) return false;
  return op === "=" || off > ROUGHLY * Math.max(Math.abs(u), Math.abs(v));
}

/**
 * Whether an equation of numbers anywhere in an answer is false; what cannot be decided is not. Chains that begin with a
 * name count only with `named`.
 */
export function hasFalseClaim(node: Node, named: boolean): boolean {
  try {
    return some(
      node,
      (n) =>
        n.t === "relation" &&
        !n.loose &&
        (named || !isName(n.parts[0]!)) &&
        n.ops.some((op, i) => (op === "=" || op === "~") && isFalse(n.parts[i]!, n.parts[i + 1]!, op)),
    );
  } catch (error) {
    if (error instanceof TooMuchWork) return false;
    throw error;
  }
}
