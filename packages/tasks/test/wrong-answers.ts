// Pairs of a gold answer and an answer that is right or wrong by construction: two values drawn first, then written.
//
// Equal values get two ways of writing, different ones too; the wrong value is a near miss as often as a far one. Rounded
// decimals and percentages, where the grader has rules of its own, are kept apart by more than those rules allow.
import { Rng } from "@nsa/core";
import { NOTATIONS } from "./wrong-notations.ts";

export interface MadePair {
  gold: string;
  answer: string;
  right: boolean;
  kind: string;
}

/** Draws of one pair, by seed and number. */
class Draws {
  private at = 0;
  constructor(
    private readonly rng: Rng,
    private readonly index: number,
  ) {}
  below(n: number): number {
    return Math.min(n - 1, Math.floor(this.rng.uniform(this.index, this.at++) * n));
  }
  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }
}

/** p/q in lowest terms, q > 0. */
interface Fraction {
  p: number;
  q: number;
}
const gcd = (a: number, b: number): number => (b === 0 ? Math.abs(a) : gcd(b, a % b));
const fraction = (p: number, q = 1): Fraction => {
  const g = gcd(p, q) * Math.sign(q) || 1;
  return { p: p / g, q: q / g };
};
const size = ({ p, q }: Fraction): number => p / q;

/** More than a rounded decimal, a sign of per cent or a unit's prefix may be off. */
function apart(a: Fraction, b: Fraction): boolean {
  const [x, y] = [size(a), size(b)];
  const differs = (u: number, v: number) => Math.abs(u - v) > 0.02 * Math.max(1, Math.abs(v));
  return differs(x, y) && differs(100 * x, y) && differs(x, 100 * y);
}

function drawFraction(d: Draws): Fraction {
  const sign = d.below(4) === 0 ? -1 : 1;
  const top = 1 + d.below(d.pick([10, 100, 1000, 100_000]));
  return fraction(sign * top, d.pick([1, 1, 1, 2, 3, 4, 5, 7, 8, 10, 12, 100]));
}

/** Another value: a slip of the pen, or anything. */
function otherFraction(v: Fraction, d: Draws): Fraction {
  for (;;) {
    const { p, q } = v;
    const w = d.pick([
      () => fraction(-p, q),
      () => fraction(q * Math.sign(p), Math.abs(p)),
      () => fraction(p + q, q),
      () => fraction(p - q, q),
      () => fraction(10 * p, q),
      () => fraction(p, 10 * q),
      () => fraction(2 * p, q),
      () => fraction(p * p, q * q),
      () => fraction(Number([...String(Math.abs(p))].reverse().join("")), q),
      () => fraction(Number(`${Math.abs(p)}${d.below(10)}`), q),
      () => fraction(p, q + 1),
      () => drawFraction(d),
    ])();
    if (apart(v, w) && Math.abs(w.p) < 1e9) return w;
  }
}

const isShort = ({ q }: Fraction): boolean => 100 % q === 0;
const RAISED = "⁰¹²³⁴⁵⁶⁷⁸⁹";
const UNITS = [" apples", "\\text{ cm}", "\\text{ m}", " kg", "\\,\\mathrm{km}", " hours"];

function integerText(n: number, d: Draws): string {
  const sign = n < 0 ? "-" : "";
  const digits = String(Math.abs(n));
  return d.pick([
    () => sign + digits,
    () => sign + digits,
    () => sign + digits.replace(/\B(?=(\d{3})+$)/g, ","),
    () => sign + digits.replace(/\B(?=(\d{3})+$)/g, "{,}"),
    () => `${sign}${digits}.0`,
    () => sign + [...digits].map((c) => String.fromCharCode(0xff10 + Number(c))).join(""),
    () => sign + [...digits].map((c) => String.fromCodePoint(0x0966 + Number(c))).join(""),
    () => `${n + 3} - 3`,
    () => (n > 2 ? `\\sum_{k=1}^{2} k + ${n - 3}` : sign + digits),
    () => `\\frac{${2 * n}}{2}`,
    () => `\\max(${n}, ${n - 5})`,
  ])();
}

/** The value in one of its writings. */
function writeFraction(v: Fraction, d: Draws): string {
  const { p, q } = v;
  const sign = p < 0 ? "-" : "";
  const a = Math.abs(p);
  if (q === 1) return integerText(p, d);
  return d.pick([
    () => `${sign}\\frac{${a}}{${q}}`,
    () => `\\dfrac{${p}}{${q}}`,
    () => `${p}/${q}`,
    () => `${sign}\\frac{${3 * a}}{${3 * q}}`,
    () => (a > q ? `${sign}${Math.floor(a / q)}\\frac{${a % q}}{${q}}` : `${p}/${q}`),
    () => (isShort(v) ? String(p / q) : `\\frac{${p}}{${q}}`),
    () => `${p} \\div ${q}`,
  ])();
}

/** A name, a unit, dollars or words around a number. */
function dressed(text: string, d: Draws): string {
  return d.pick([
    () => text,
    () => text,
    () => `$${text}$`,
    () => `x = ${text}`,
    () => `\\boxed{${text}}`,
    () => `\\(${text}\\)`,
    () => `${text}.`,
    () => `{${text}}`,
    // A number with a comma between parentheses is a pair.
    () => (/^-?\d+,/.test(text) ? text : `\\left(${text}\\right)`),
  ])();
}

type Maker = (d: Draws) => MadePair;

const number: Maker = (d) => {
  const v = drawFraction(d);
  const right = d.below(3) === 0;
  const w = right ? v : otherFraction(v, d);
  const plain = v.q === 1 && w.q === 1 && v.p > 0 && w.p > 0 && d.below(4) === 0;
  // Units of one kind only: the grader converts.
  const unit = d.below(5) === 0 ? d.pick(UNITS) : "";
  const of = (x: Fraction) =>
    plain || unit ? `${x.q === 1 ? x.p : `\\frac{${x.p}}{${x.q}}`}${unit}` : dressed(writeFraction(x, d), d);
  return { gold: of(v), answer: of(w), right, kind: unit ? "unit" : "number" };
};

/** a^n in the ways of writing powers, against its value and other powers. */
const power: Maker = (d) => {
  const [a, n] = [2 + d.below(11), 2 + d.below(6)];
  const right = d.below(3) === 0;
  const [b, m] = right
    ? [a, n]
    : d.pick([
        [a, n + 1],
        [a + 1, n],
        [n, a],
        [a * 10 + n, 1],
        [a * n, 1],
      ] as const);
  const write = (x: number, e: number) =>
    e === 1
      ? String(x)
      : d.pick([
          `${x}^${e}`,
          `${x}^{${e}}`,
          x ** e < 1e9 ? String(x ** e) : `${x}^{${e}}`,
          `${x}${[...String(e)].map((c) => RAISED[Number(c)]).join("")}`,
          `${x} ** ${e}`,
          `${x}**${e}`,
        ]);
  const same = a ** n === b ** m;
  return { gold: write(a, n), answer: write(b, m), right: same, kind: "power" };
};

/** c·√n with n free of squares. */
const root: Maker = (d) => {
  const write = (c: number, n: number) =>
    d.pick([
      `${c === 1 ? "" : c}\\sqrt{${n}}`,
      `\\sqrt{${c * c * n}}`,
      `${c}*\\sqrt{${n}}`,
      `${c === 1 ? "" : c}√${n}`,
      `\\frac{${2 * c}\\sqrt{${n}}}{2}`,
      `${c}\\cdot ${n}^{1/2}`,
    ]);
  const [c, n] = [1 + d.below(12), d.pick([2, 3, 5, 6, 7, 10, 11, 13])];
  const right = d.below(3) === 0;
  const [e, m] = right
    ? [c, n]
    : d.pick([
        [c + 1, n],
        [c, n + 2],
        [n, c * c * 1 + 1],
        [c * 10, n],
      ] as const);
  return { gold: write(c, n), answer: write(e, m), right: c * c * n === e * e * m, kind: "root" };
};

/** Several values: pairs, lists, sets and intervals. */
const several: Maker = (d) => {
  const length = 2 + d.below(3);
  const items: Fraction[] = [];
  while (items.length < length) {
    const v = drawFraction(d);
    if (items.every((x) => apart(x, v))) items.push(v);
  }
  const shape = d.pick(["tuple", "list", "set", "interval"] as const);
  const text = (values: readonly Fraction[], open: string, close: string) =>
    `${open}${values.map((v) => (v.q === 1 ? String(v.p) : `\\frac{${v.p}}{${v.q}}`)).join(", ")}${close}`;
  if (shape === "interval") {
    const [low, high] = items.slice(0, 2).sort((x, y) => size(x) - size(y)) as [Fraction, Fraction];
    const [open, close] = [d.pick(["(", "["]), d.pick([")", "]"])];
    const gold = text([low, high], open, close);
    const wrong = d.pick([
      () => text([low, high], open === "(" ? "[" : "(", close),
      () => text([low, high], open, close === ")" ? "]" : ")"),
      () => text([low, fraction(high.p + high.q, high.q)], open, close),
      () => text([otherFraction(low, d), high], open, close),
    ]);
    const right = d.below(3) === 0;
    return { gold, answer: right ? gold.replace(", ", ",\\ ") : wrong(), right, kind: shape };
  }
  const marks = { tuple: ["(", ")"], list: ["", ""], set: ["\\{", "\\}"] }[shape] as [string, string];
  const gold = text(items, ...marks);
  const right = d.below(3) === 0;
  const turned = [...items.slice(1), items[0]!];
  if (right) return { gold, answer: text(shape === "tuple" ? items : turned, ...marks), right, kind: shape };
  const at = d.below(length);
  const changed = items.map((v, i) => (i === at ? otherFraction(v, d) : v));
  const wrong = d.pick([
    () => changed,
    () => items.slice(1),
    () => (items.every((x) => apart(x, changed[at]!)) ? [...items, changed[at]!] : items.slice(1)),
    () => (shape === "tuple" ? turned : changed),
  ])();
  const same = (a: readonly Fraction[], b: readonly Fraction[]) =>
    a.length === b.length && a.every((x) => b.some((y) => x.p === y.p && x.q === y.q));
  // A change may give an item that is there already.
  if (shape !== "tuple" && same(items, wrong)) return { gold, answer: gold, right: true, kind: shape };
  return { gold, answer: text(wrong, ...marks), right: false, kind: shape };
};

/** Polynomials in one letter, expanded, in any order, or as a product with a number. */
const polynomial: Maker = (d) => {
  const letter = d.pick(["x", "n", "t"]);
  const coefficients = Array.from({ length: 2 + d.below(3) }, () => d.below(19) - 9);
  if (coefficients.slice(1).every((c) => c === 0)) coefficients[1] = 1;
  const right = d.below(3) === 0;
  const other = [...coefficients];
  if (!right) {
    const at = d.below(other.length);
    other[at] = other[at] === 0 ? 1 + d.below(9) : d.pick([-other[at]!, other[at]! + 1, 2 * other[at]!, 0]);
  }
  const term = (c: number, e: number) => `${c}${e === 0 ? "" : e === 1 ? letter : `${letter}^{${e}}`}`;
  const write = (cs: readonly number[]) => {
    const terms = cs.map((c, e) => [c, e] as const).filter(([c]) => c !== 0);
    if (terms.length === 0) return "0";
    if (d.below(2) === 0) terms.reverse();
    return terms.map(([c, e], i) => `${i > 0 && c > 0 ? "+" : ""}${term(c, e)}`).join("");
  };
  return { gold: write(coefficients), answer: write(other), right, kind: "polynomial" };
};

/** Values of functions that have short exact values. */
const called: Maker = (d) => {
  const rows: readonly (readonly [string, number])[] = [
    ["\\sin 30^\\circ", 0.5],
    ["\\cos 60^\\circ", 0.5],
    ["\\tan 45^\\circ", 1],
    ["\\sin \\frac{\\pi}{6}", 0.5],
    ["\\log_2 8", 3],
    ["\\log_{10} 1000", 3],
    ["\\ln e^2", 2],
    ["5!", 120],
    ["\\binom{6}{2}", 15],
    ["|-7|", 7],
    ["\\lfloor 3.7 \\rfloor", 3],
    ["\\gcd(12,18)", 6],
    ["\\sum_{k=1}^{4} k", 10],
    ["\\int_0^2 3x^2\\,dx", 8],
    ["1010_2", 10],
    ["\\sqrt[3]{27}", 3],
    ["0.\\overline{3}", 1 / 3],
    ["2 \\text{ dozen}", 24],
  ];
  const [gold, value] = d.pick(rows);
  const [answer, other] = d.pick(rows);
  // A number in another base is also answered by its digits.
  return { gold, answer, right: value === other, kind: "call" };
};

const noted: Maker = (d) => d.pick(NOTATIONS)(d);

const MAKERS: readonly Maker[] = [
  ...[number, number, number, power, root, several, several, polynomial, called],
  ...[noted, noted, noted],
];

/** Pair number `index` of a seed. */
export function madePair(index: number, seed: number): MadePair {
  const d = new Draws(new Rng(seed, 17), index);
  return MAKERS[index % MAKERS.length]!(d);
}
