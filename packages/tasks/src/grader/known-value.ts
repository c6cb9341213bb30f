// Closed expressions whose value has a shorter exact writing: rational numbers, and calls such as sin(π/3).
import { constantFactor, constantOf, exactValue, type Quotient } from "./exact.ts";
import { TooMuchWork } from "./limits.ts";
import { type Node, some } from "./node.ts";
import { realValue } from "./numeric.ts";

export const symbolicCall = /^(?:[fghFGWP]|phi|varphi|psi)(?:_|'|$)/;

const LARGEST_DENOMINATOR = 1000;
const LARGEST_COEFFICIENT = 8;

/** Whether a quotient is one rational number, with symbols that cancel (92x/x) too. */
const isConstant = (value: Quotient) =>
  constantOf(value) !== undefined || constantFactor(value.n, value.d) !== undefined;

const isNear = (x: number, y: number) => Math.abs(x - y) < 1e-9;

function isNearFraction(x: number): boolean {
  for (let q = 1; q <= LARGEST_DENOMINATOR; q++) if (isNear(x * q, Math.round(x * q))) return true;
  return false;
}

/** p + q√d with small integers. */
function isNearQuadratic(x: number): boolean {
  for (const d of [2, 3, 5, 6]) {
    for (let q = -LARGEST_COEFFICIENT; q <= LARGEST_COEFFICIENT; q++) {
      const p = x - q * Math.sqrt(d);
      if (Math.abs(p) < 4 * LARGEST_COEFFICIENT && isNear(p, Math.round(p))) return true;
    }
  }
  return false;
}

/** Whether a closed expression comes to a rational number; too much work counts as arithmetic left undone. */
export function isRational(node: Node): boolean {
  try {
    const value = exactValue(node);
    if (value) return isConstant(value);
    if (some(node, (n) => n.t === "const" && n.name === "inf")) return false;
    const real = realValue(node);
    if (real === undefined) return some(node, (n) => n.t === "call");
    return isNearFraction(real);
  } catch (error) {
    if (error instanceof TooMuchWork) return true;
    throw error;
  }
}

/** Whether an expression with symbols is exactly a rational number, since they cancel. */
export function comesToNumber(node: Node): boolean {
  try {
    const value = exactValue(node);
    return value !== undefined && isConstant(value);
  } catch (error) {
    if (error instanceof TooMuchWork) return false;
    throw error;
  }
}

/**
 * Whether a closed expression calls a function for a value that is written without one: sin(π/3), 2 arctan 1, e^(ln √8).
 * Recognised are fractions, roots of fractions, fractions of π, and sums of a number and a root with their roots.
 */
export function isCallOfKnownValue(node: Node): boolean {
  if (!some(node, (n) => n.t === "call" && !symbolicCall.test(n.fn))) return false;
  const x = realValue(node);
  if (x === undefined) return false;
  return (
    isNearFraction(x * x) ||
    isNearFraction(x / Math.PI) ||
    isNearQuadratic(4 * x) ||
    isNearQuadratic(4 * x * x)
  );
}
