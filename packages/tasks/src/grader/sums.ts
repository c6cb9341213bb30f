// Finite sums and products, and integrals of polynomials, worked out exactly; what is larger or endless stays as it is.
import { constantOf, exactValue } from "./exact.ts";
import { TooMuchWork } from "./limits.ts";
import { mapChildren, type Node, some } from "./node.ts";
import { add, multiply, ONE, type Rational, rational, ZERO } from "./rational.ts";

const MOST_TERMS = 1000n;
const MOST_DEGREE = 12;

function substitute(node: Node, name: string, value: Rational): Node {
  if (node.t === "sym" && node.name === name) return { t: "num", value, decimals: 0, digits: 1 };
  return mapChildren(node, (n) => substitute(n, name, value));
}

function integer(node: Node | undefined): bigint | undefined {
  const value = node && exactValue(node);
  const c = value && constantOf(value);
  return c?.q === 1n ? c.p : undefined;
}

function rationalOf(node: Node): Rational | undefined {
  const value = exactValue(node);
  return value && constantOf(value);
}

/** \sum_{k=a}^{b} with integers a and b. */
function overIntegers(fn: string, [first, last, body]: readonly Node[]): Rational | undefined {
  if (first?.t !== "relation" || first.ops[0] !== "=" || first.parts.length !== 2 || !body) return undefined;
  const name = first.parts[0]!;
  const [from, to] = [integer(first.parts[1]), integer(last)];
  if (
    (name.t !== "sym" && !(name.t === "const" && name.name === "i")) ||
    from === undefined ||
    to === undefined
  )
    return undefined;
  if (to - from >= MOST_TERMS) return undefined;
  const variable = name.name;
  // The index i is no imaginary unit.
  const plain = (n: Node): Node =>
    n.t === "const" && n.name === variable ? { t: "sym", name: variable } : mapChildren(n, plain);
  const term = plain(body);
  let total = fn === "sum" ? ZERO : ONE;
  for (let k = from; k <= to; k++) {
    const value = rationalOf(substitute(term, variable, { p: k, q: 1n }));
    if (!value) return undefined;
    total = fn === "sum" ? add(total, value) : multiply(total, value);
  }
  return total;
}

/** A polynomial's coefficients in one variable, by its values at small integers (Newton's differences); undefined for others. */
function integral(body: Node, name: string, from: Rational, to: Rational): Rational | undefined {
  const isPolynomial = !some(
    body,
    (n) => n.t === "call" || n.t === "root" || (n.t === "div" && some(n.b, (x) => x.t === "sym")),
  );
  if (!isPolynomial || some(body, (n) => n.t === "sym" && n.name !== name)) return undefined;
  const degree = degreeOf(body, name);
  if (degree === undefined || degree > MOST_DEGREE) return undefined;
  // Newton–Cotes with degree + 1 points is exact.
  const width = add(to, { p: -from.p, q: from.q });
  let total = ZERO;
  for (let i = 0; i <= degree; i++) {
    const at = add(from, multiply(width, rational(i, Math.max(1, degree))));
    const value = rationalOf(substitute(body, name, at));
    if (!value) return undefined;
    total = add(total, multiply(value, weight(i, degree)));
  }
  return multiply(total, width);
}

function degreeOf(node: Node, name: string): number | undefined {
  switch (node.t) {
    case "sym":
      return node.name === name ? 1 : 0;
    case "num":
    case "const":
      return 0;
    case "neg":
      return degreeOf(node.a, name);
    case "add":
    case "mul": {
      const parts = node.args.map((a) => degreeOf(a, name));
      if (parts.some((p) => p === undefined)) return undefined;
      return (parts as number[]).reduce((a, b) => (node.t === "add" ? Math.max(a, b) : a + b), 0);
    }
    case "div":
      return degreeOf(node.a, name);
    case "pow": {
      const [base, e] = [degreeOf(node.a, name), integer(node.b)];
      return base === undefined || e === undefined || e < 0n || e > 20n ? undefined : base * Number(e);
    }
    default:
      return undefined;
  }
}

/** Weight of point i of n + 1 on [0, 1]: the integral of its Lagrange polynomial. */
function weight(i: number, n: number): Rational {
  if (n === 0) return ONE;
  let coefficients: Rational[] = [ONE];
  for (let j = 0; j <= n; j++) {
    if (j === i) continue;
    // Times (n·x − j) / (i − j).
    const next: Rational[] = Array.from({ length: coefficients.length + 1 }, () => ZERO);
    for (const [k, c] of coefficients.entries()) {
      next[k + 1] = add(next[k + 1]!, multiply(c, rational(n, i - j)));
      next[k] = add(next[k]!, multiply(c, rational(-j, i - j)));
    }
    coefficients = next;
  }
  return coefficients.reduce((sum, c, k) => add(sum, multiply(c, rational(1, k + 1))), ZERO);
}

/** The body of an integral and its variable: what stands before d and a letter at its end. */
function integrand(body: Node): { body: Node; name: string } | undefined {
  const args = body.t === "mul" ? body.args : undefined;
  const [d, variable] = args?.slice(-2) ?? [];
  if (!args || d?.t !== "sym" || d.name !== "d" || variable?.t !== "sym") return undefined;
  const rest = args.slice(0, -2);
  const one: Node = { t: "num", value: ONE, decimals: 0, digits: 1 };
  return {
    body: rest.length === 0 ? one : rest.length === 1 ? rest[0]! : { t: "mul", args: rest },
    name: variable.name,
  };
}

/** The value of a call of sum, prod, int or det; undefined for others, and where it is endless, open or too much work. */
export function workedOut(call: Node & { t: "call" }): Rational | undefined {
  const { fn, args } = call;
  try {
    if (fn === "det") return rationalOf(call);
    if (fn === "sum" || fn === "prod") return args.length === 3 ? overIntegers(fn, args) : undefined;
    const [low, high, whole] = args;
    if (fn !== "int") return undefined;
    const inner = args.length === 3 && whole ? integrand(whole) : undefined;
    const [from, to] = [low && rationalOf(low), high && rationalOf(high)];
    return inner && from && to ? integral(inner.body, inner.name, from, to) : undefined;
  } catch (error) {
    if (error instanceof TooMuchWork) return undefined;
    throw error;
  }
}
