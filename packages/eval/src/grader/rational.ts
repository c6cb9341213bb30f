// Exact rational numbers from the forms in which answers are written.

export interface Rational {
  p: bigint;
  q: bigint;
}

function gcd(a: bigint, b: bigint): bigint {
  while (b) [a, b] = [b, a % b];
  return a < 0n ? -a : a;
}

function make(p: bigint, q: bigint): Rational | undefined {
  if (q === 0n) return undefined;
  const g = gcd(p, q) || 1n;
  const sign = q < 0n ? -1n : 1n;
  return { p: (sign * p) / g, q: (sign * q) / g };
}

const MAX_DIGITS = 400;
const decimal = /^([+-]?)(\d+(?:,\d{3})*|\d*)(?:\.(\d+))?$/;

function parseDecimal(text: string): Rational | undefined {
  const m = decimal.exec(text);
  if (!m || text.length > MAX_DIGITS || (m[2] === "" && !m[3])) return undefined;
  const fraction = m[3] ?? "";
  const digits = `${m[2]!.replace(/,/g, "")}${fraction}`;
  const value = BigInt(digits === "" ? "0" : digits);
  return make(m[1] === "-" ? -value : value, 10n ** BigInt(fraction.length));
}

/** Integers, decimals, thousands commas, a/b, \frac{a}{b}, percent and a currency sign; undefined for anything else. */
export function parseRational(raw: string): Rational | undefined {
  let text = raw.trim().replace(/\u2212/g, "-");
  text = text
    .replace(/^\\?\$|\\?\$$/g, "")
    .replace(/\.$/, "")
    .trim();
  let scale = 1n;
  const percent = /^(.*?)\\?%$/.exec(text);
  if (percent) {
    text = percent[1]!.trim();
    scale = 100n;
  }
  const tex = /^([+-]?)\\[dt]?frac\{([^{}]+)\}\{([^{}]+)\}$/.exec(text);
  const slash = /^([+-]?)([\d.,]+)\s*\/\s*([+-]?[\d.,]+)$/.exec(text);
  const parts = tex ?? slash;
  if (parts) {
    const [a, b] = [parseDecimal(parts[2]!.trim()), parseDecimal(parts[3]!.trim())];
    if (!a || !b) return undefined;
    const sign = parts[1] === "-" ? -1n : 1n;
    return make(sign * a.p * b.q, a.q * b.p * scale);
  }
  const value = parseDecimal(text.replace(/\s+/g, ""));
  return value && make(value.p, value.q * scale);
}

export function equalRational(a: Rational, b: Rational): boolean {
  return a.p === b.p && a.q === b.q;
}
