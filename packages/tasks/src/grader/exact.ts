// Exact value of an expression as a quotient of polynomials; undefined where the ring has no such value.
import { TooMuchWork } from "./limits.ts";
import type { Node } from "./node.ts";
import {
  add,
  asConstant,
  asTerm,
  atom,
  constant,
  factorBetween,
  multiply,
  negate,
  type Polynomial,
} from "./polynomial.ts";
import { print } from "./print.ts";
import {
  gcd,
  isInteger,
  multiply as multiplyRational,
  ONE,
  power,
  type Rational,
  rational,
} from "./rational.ts";

/** numerator / denominator. */
export interface Quotient {
  n: Polynomial;
  d: Polynomial;
}

const UNIT = constant(ONE);
const over = (n: Polynomial, d: Polynomial = UNIT): Quotient => ({ n, d });
/** Trial division reaches factors up to this; a radicand with a larger composite part is left to the numeric check. */
const MAX_FACTOR = 4000n;
const MAX_POWER = 24;

/** Primes of a positive integer with their exponents; undefined when it is too hard. */
function factorise(n: bigint): [bigint, number][] | undefined {
  const out: [bigint, number][] = [];
  for (let f = 2n; f * f <= n; f += f === 2n ? 1n : 2n) {
    if (f > MAX_FACTOR) return undefined;
    let count = 0;
    while (n % f === 0n) {
      n /= f;
      count++;
    }
    if (count) out.push([f, count]);
  }
  if (n > 1n) out.push([n, 1]);
  return out;
}

/** value^(exponent) of a positive rational, as a product of fractional powers of primes. */
function radical(value: Rational, exponent: Rational): Polynomial | undefined {
  let out = UNIT;
  for (const [part, sign] of [
    [value.p, 1],
    [value.q, -1],
  ] as const) {
    const factors = factorise(part);
    if (!factors) return undefined;
    for (const [prime, count] of factors) {
      out = multiply(out, atom(`#${prime}`, multiplyRational(exponent, rational(sign * count))));
    }
  }
  return out;
}

function raise(base: Quotient, exponent: Rational): Quotient | undefined {
  if (isInteger(exponent)) {
    const c = [asConstant(base.n), asConstant(base.d)] as const;
    if (c[0] && c[1]) return over(constant(power(c[0], exponent.p)), constant(power(c[1], exponent.p)));
    const size = exponent.p < 0n ? -exponent.p : exponent.p;
    if (size > BigInt(MAX_POWER)) return undefined;
    let out = over(UNIT);
    for (let k = 0n; k < size; k++) out = over(multiply(out.n, base.n), multiply(out.d, base.d));
    if (exponent.p < 0n && out.n.size === 0) throw new TooMuchWork("division by zero");
    return exponent.p < 0n ? over(out.d, out.n) : out;
  }
  const [n, d] = [asConstant(base.n), asConstant(base.d)];
  if (n && d) {
    const value = { p: n.p * d.q, q: n.q * d.p };
    if (value.p === 0n) return over(constant(rational(0)));
    const negative = value.p < 0n !== value.q < 0n;
    const size = { p: value.p < 0n ? -value.p : value.p, q: value.q < 0n ? -value.q : value.q };
    const root = radical(size, exponent);
    if (!root) return undefined;
    if (!negative) return over(root);
    if (exponent.q === 2n) return over(multiply(root, multiply(atom("i", { p: exponent.p, q: 1n }), UNIT)));
    // The real root of an odd order.
    return exponent.q % 2n === 1n ? over(exponent.p % 2n === 0n ? root : negate(root)) : undefined;
  }
  // x^(2/3) stays formal; a root of anything larger is not unique and is left to the numeric check.
  const term = asTerm(base.n);
  const plain = d && term && term.monomial.length === 1 && d.p === 1n && d.q === 1n;
  if (!plain || term.c.p !== 1n || term.c.q !== 1n) return undefined;
  const [name, e] = term.monomial[0]!;
  if (e.p !== 1n || e.q !== 1n || name.startsWith("#") || name === "i") return undefined;
  return over(atom(name, exponent));
}

function factorial(n: Rational): Rational | undefined {
  if (!isInteger(n) || n.p < 0n || n.p > 400n) return undefined;
  let out = 1n;
  for (let k = 2n; k <= n.p; k++) out *= k;
  return { p: out, q: 1n };
}

function call(fn: string, args: (Quotient | undefined)[], node: Node): Quotient | undefined {
  const values = args.map((a) => a && constantOf(a));
  const [a, b] = values;
  switch (fn) {
    case "fact": {
      const value = a && factorial(a);
      return value && over(constant(value));
    }
    case "binom": {
      if (!a || !b || !isInteger(a) || !isInteger(b) || b.p < 0n || a.p < b.p) return undefined;
      const [n, k, rest] = [factorial(a), factorial(b), factorial({ p: a.p - b.p, q: 1n })];
      return n && k && rest && over(constant({ p: n.p / (k.p * rest.p), q: 1n }));
    }
    case "abs":
      return a && over(constant(a.p < 0n ? { p: -a.p, q: a.q } : a));
    case "floor":
      return a && over(constant({ p: (a.p - (((a.p % a.q) + a.q) % a.q)) / a.q, q: 1n }));
    case "ceil":
      return a && over(constant({ p: (a.p + (((-a.p % a.q) + a.q) % a.q)) / a.q, q: 1n }));
    case "max":
    case "min": {
      if (values.some((v) => !v)) return undefined;
      const pick = (values as Rational[]).reduce((x, y) =>
        x.p * y.q < y.p * x.q === (fn === "max") ? y : x,
      );
      return over(constant(pick));
    }
    case "gcd":
    case "lcm":
      return values.every((v) => v && isInteger(v) && v.p !== 0n) && values.length > 1
        ? over(
            constant(
              commonOf(
                fn,
                values.map((v) => v!.p),
              ),
            ),
          )
        : undefined;
    case "det": {
      const [matrix] = node.t === "call" ? node.args : [];
      return matrix?.t === "matrix" ? determinant(matrix.rows) : undefined;
    }
    default:
      // Functions that the numeric check can evaluate go there; f(x), sums and the like are atoms by their text.
      return opaque.has(fn) || /^[a-zA-Z]+_|^(?:[fghFGW]|phi|varphi|psi)'*$/.test(fn)
        ? over(atom(`@${print(node)}`))
        : undefined;
  }
}
const opaque = new Set(["sum", "prod", "int", "derivative"]);

const LARGEST_MATRIX = 5;

/** Greatest common divisor or least common multiple of integers. */
function commonOf(fn: "gcd" | "lcm", values: readonly bigint[]): Rational {
  const p = values.reduce((x, y) => {
    const common = gcd(x, y);
    return fn === "gcd" ? common : (x * y) / common;
  });
  return { p: p < 0n ? -p : p, q: 1n };
}

/** Determinant by the first row; undefined for what is not square, too large, or has an entry without a value. */
function determinant(rows: readonly (readonly Node[])[]): Quotient | undefined {
  if (rows.length > LARGEST_MATRIX || rows.some((row) => row.length !== rows.length)) return undefined;
  const entries = rows.map((row) => row.map((node) => exactValue(node)));
  if (entries.some((row) => row.includes(undefined))) return undefined;
  const of = (from: number, columns: readonly number[]): Quotient => {
    if (columns.length === 0) return over(UNIT);
    let total = over(new Map());
    for (const [k, column] of columns.entries()) {
      const a = entries[from]![column]!;
      const minor = of(
        from + 1,
        columns.filter((c) => c !== column),
      );
      const n = multiply(k % 2 === 0 ? a.n : negate(a.n), minor.n);
      const d = multiply(a.d, minor.d);
      total = over(add(multiply(total.n, d), multiply(n, total.d)), multiply(total.d, d));
    }
    return total;
  };
  return of(0, [...rows.keys()]);
}

export function constantOf(q: Quotient): Rational | undefined {
  const [n, d] = [asConstant(q.n), asConstant(q.d)];
  if (!n || !d || d.p === 0n) return undefined;
  return { ...multiplyRational(n, d.p < 0n ? { p: -d.q, q: -d.p } : { p: d.q, q: d.p }) };
}

/** Exact value. Throws TooMuchWork at its limits and on division by zero. */
export function exactValue(node: Node): Quotient | undefined {
  switch (node.t) {
    case "num":
    case "based":
      return over(constant(node.value));
    case "sym":
      return over(atom(node.name));
    case "const":
      return node.name === "inf" ? undefined : over(atom(node.name));
    case "neg": {
      const a = exactValue(node.a);
      return a && over(negate(a.n), a.d);
    }
    case "percent": {
      const a = exactValue(node.a);
      return a && over(a.n, multiply(a.d, constant(rational(100))));
    }
    case "unit":
      return exactValue(node.a);
    case "add":
      return fold(node.args, (x, y) =>
        x.d === UNIT && y.d === UNIT
          ? over(add(x.n, y.n))
          : over(add(multiply(x.n, y.d), multiply(y.n, x.d)), multiply(x.d, y.d)),
      );
    case "mul":
      return fold(node.args, (x, y) =>
        over(multiply(x.n, y.n), x.d === UNIT && y.d === UNIT ? UNIT : multiply(x.d, y.d)),
      );
    case "div": {
      const [a, b] = [exactValue(node.a), exactValue(node.b)];
      if (!a || !b) return undefined;
      if (b.n.size === 0) throw new TooMuchWork("division by zero");
      return over(multiply(a.n, b.d), multiply(a.d, b.n));
    }
    case "pow":
    case "root": {
      const base = exactValue(node.a);
      const script = exactValue(node.t === "pow" ? node.b : node.n);
      const e = script && constantOf(script);
      if (!base || !e || (node.t === "root" && e.p === 0n)) return undefined;
      return raise(base, node.t === "pow" ? e : e.p < 0n ? { p: -e.q, q: -e.p } : { p: e.q, q: e.p });
    }
    case "call":
      return call(
        node.fn,
        node.args.map((a) => exactValue(a)),
        node,
      );
    default:
      return undefined;
  }
}

function fold(nodes: readonly Node[], f: (x: Quotient, y: Quotient) => Quotient): Quotient | undefined {
  let out: Quotient | undefined;
  for (const node of nodes) {
    const value = exactValue(node);
    if (!value) return undefined;
    out = out ? f(out, value) : value;
  }
  return out;
}

/** a − b without its denominator: zero iff a = b. */
export function difference(a: Quotient, b: Quotient): Polynomial {
  if (a.d === UNIT && b.d === UNIT) return add(a.n, negate(b.n));
  return add(multiply(a.n, b.d), negate(multiply(b.n, a.d)));
}

/** c with a = c·b for a constant c. */
export function constantFactor(a: Polynomial, b: Polynomial): Rational | undefined {
  return factorBetween(a, b);
}
