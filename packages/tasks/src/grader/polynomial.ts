// Polynomials over Q in symbols, π, e, i and fractional powers of primes: a ring in which equality is decided exactly.
import { TooMuchWork } from "./limits.ts";
import {
  add as addRational,
  divide,
  isZero,
  multiply as multiplyRational,
  negate as negateRational,
  ONE,
  power,
  type Rational,
  rational,
  subtract,
} from "./rational.ts";

/** Powers of atoms, sorted by atom: `x`, `pi`, `i`, and `#p` for the prime p with exponent in (0, 1). */
type Monomial = readonly (readonly [atom: string, exponent: Rational])[];
interface Term {
  monomial: Monomial;
  c: Rational;
}
export type Polynomial = ReadonlyMap<string, Term>;

const MAX_TERMS = 300;

const keyOf = (m: Monomial) => m.map(([a, e]) => `${a}^${e.p}/${e.q}`).join("*");

export const constant = (c: Rational): Polynomial =>
  isZero(c) ? new Map() : new Map([["", { monomial: [], c }]]);
export const atom = (name: string, exponent: Rational = ONE): Polynomial => {
  const monomial: Monomial = [[name, exponent]];
  return new Map([[keyOf(monomial), { monomial, c: ONE }]]);
};

export function add(a: Polynomial, b: Polynomial): Polynomial {
  const out = new Map(a);
  for (const [key, term] of b) {
    const before = out.get(key);
    const c = before ? addRational(before.c, term.c) : term.c;
    if (isZero(c)) out.delete(key);
    else out.set(key, { monomial: term.monomial, c });
  }
  if (out.size > MAX_TERMS) throw new TooMuchWork("too many terms");
  return out;
}

export function scale(a: Polynomial, c: Rational): Polynomial {
  if (isZero(c)) return new Map();
  return new Map([...a].map(([key, t]) => [key, { monomial: t.monomial, c: multiplyRational(t.c, c) }]));
}

export const negate = (a: Polynomial) => scale(a, rational(-1));

/** Product of two monomials, with the factor that i² = −1 and whole powers of primes give. */
function multiplyMonomials(a: Monomial, b: Monomial): Term {
  const powers = new Map(a);
  for (const [name, e] of b) {
    const before = powers.get(name);
    powers.set(name, before ? addRational(before, e) : e);
  }
  let c = ONE;
  const out: [string, Rational][] = [];
  for (let [name, e] of powers) {
    if (name === "i") {
      const n = Number(((e.p % 4n) + 4n) % 4n);
      if (n >= 2) c = negateRational(c);
      e = rational(n % 2);
    } else if (name.startsWith("#")) {
      const whole = e.p >= 0n ? e.p / e.q : -((-e.p + e.q - 1n) / e.q);
      if (whole !== 0n) c = multiplyRational(c, power({ p: BigInt(name.slice(1)), q: 1n }, whole));
      e = subtract(e, { p: whole, q: 1n });
    }
    if (!isZero(e)) out.push([name, e]);
  }
  return { monomial: out.sort((x, y) => (x[0] < y[0] ? -1 : 1)), c };
}

export function multiply(a: Polynomial, b: Polynomial): Polynomial {
  if (a.size * b.size > 4 * MAX_TERMS) throw new TooMuchWork("too many terms");
  const out = new Map<string, Term>();
  for (const x of a.values()) {
    for (const y of b.values()) {
      const { monomial, c } = multiplyMonomials(x.monomial, y.monomial);
      const key = keyOf(monomial);
      const value = multiplyRational(multiplyRational(x.c, y.c), c);
      const before = out.get(key);
      const total = before ? addRational(before.c, value) : value;
      if (isZero(total)) out.delete(key);
      else out.set(key, { monomial, c: total });
    }
  }
  if (out.size > MAX_TERMS) throw new TooMuchWork("too many terms");
  return out;
}

/** The rational that a polynomial without atoms is. */
export function asConstant(a: Polynomial): Rational | undefined {
  if (a.size === 0) return rational(0);
  return a.size === 1 ? a.get("")?.c : undefined;
}

/** The only term, for polynomials of one. */
export function asTerm(a: Polynomial): Term | undefined {
  return a.size === 1 ? [...a.values()][0] : undefined;
}

/** The factor c with a = c·b; undefined when there is none. */
export function factorBetween(a: Polynomial, b: Polynomial): Rational | undefined {
  if (a.size !== b.size || a.size === 0) return undefined;
  let factor: Rational | undefined;
  for (const [key, { c }] of a) {
    const other = b.get(key);
    if (!other) return undefined;
    const ratio = divide(c, other.c);
    if (factor && (factor.p !== ratio.p || factor.q !== ratio.q)) return undefined;
    factor = ratio;
  }
  return factor;
}
