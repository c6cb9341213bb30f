// Exact rational numbers of bounded size: beyond the limit the work stops instead of the machine.
import { TooMuchWork } from "./limits.ts";

export interface Rational {
  p: bigint;
  /** Positive; the fraction is in lowest terms. */
  q: bigint;
}

const MAX_BITS = 4096;
const LIMIT = 1n << BigInt(MAX_BITS);
const MAX_DIGITS = 1200;

export const ZERO: Rational = { p: 0n, q: 1n };
export const ONE: Rational = { p: 1n, q: 1n };

export const rational = (p: number, q = 1): Rational => make(BigInt(p), BigInt(q));

export function gcd(a: bigint, b: bigint): bigint {
  if (a < 0n) a = -a;
  while (b) [a, b] = [b, a % b];
  return a < 0n ? -a : a;
}

/** p/q in lowest terms. Throws TooMuchWork beyond 4,096 bits and for q = 0. */
export function make(p: bigint, q: bigint): Rational {
  if (q === 0n) throw new TooMuchWork("division by zero");
  if (p > LIMIT || p < -LIMIT || q > LIMIT || q < -LIMIT) throw new TooMuchWork("the number is too large");
  if (q === 1n) return { p, q };
  if (p === 0n) return ZERO;
  const g = gcd(p, q) || 1n;
  const sign = q < 0n ? -1n : 1n;
  return { p: (sign * p) / g, q: (sign * q) / g };
}

export const add = (a: Rational, b: Rational) => make(a.p * b.q + b.p * a.q, a.q * b.q);
export const subtract = (a: Rational, b: Rational) => make(a.p * b.q - b.p * a.q, a.q * b.q);
export const multiply = (a: Rational, b: Rational) => make(a.p * b.p, a.q * b.q);
export const divide = (a: Rational, b: Rational) => make(a.p * b.q, a.q * b.p);
export const negate = (a: Rational): Rational => ({ p: -a.p, q: a.q });
export const equalRational = (a: Rational, b: Rational) => a.p === b.p && a.q === b.q;
export const isZero = (a: Rational) => a.p === 0n;
export const isInteger = (a: Rational) => a.q === 1n;

/** a^n for an integer n; the size of the result is estimated before it is computed. */
export function power(a: Rational, n: bigint): Rational {
  const size = n < 0n ? -n : n;
  if (a.q === 1n && (a.p === 1n || a.p === 0n)) {
    if (a.p === 0n && n <= 0n) throw new TooMuchWork("a power of zero");
    return a;
  }
  if (a.q === 1n && a.p === -1n) return size % 2n === 0n ? ONE : a;
  const bits = Math.max(a.p.toString(16).length, a.q.toString(16).length) * 4;
  if (size > BigInt(MAX_BITS) || bits * Number(size) > 2 * MAX_BITS)
    throw new TooMuchWork("the power is too large");
  const [p, q] = [a.p ** size, a.q ** size];
  return n < 0n ? make(q, p) : make(p, q);
}

export function toNumber(a: Rational): number {
  const [p, q] = [Number(a.p), Number(a.q)];
  if (Number.isFinite(p) && Number.isFinite(q)) return p / q;
  const shift = BigInt(Math.max(0, a.q.toString(2).length - 64));
  return Number(a.p >> shift) / Number(a.q >> shift);
}

/** Value of digits with an optional point (`12`, `.5`, `3.250`). Throws TooMuchWork when too long. */
export function decimal(text: string): Rational {
  if (text.length > MAX_DIGITS) throw new TooMuchWork("the number is too long");
  const [whole = "", fraction = ""] = text.split(".");
  return make(BigInt(whole + fraction || "0"), 10n ** BigInt(fraction.length));
}
