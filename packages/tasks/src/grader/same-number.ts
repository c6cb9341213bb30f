// Equality of two expressions: exact first, rounding rules for decimals, random points last.
import { constantFactor, constantOf, difference, exactValue } from "./exact.ts";
import { TooMuchWork } from "./limits.ts";
import { type Node, some } from "./node.ts";
import { agree, realValue } from "./numeric.ts";
import { divide, equalRational, multiply, type Rational, toNumber } from "./rational.ts";
import { unitFactor } from "./units.ts";

export type Same = "same" | "different" | "unknown";

/** A written decimal: the literal below signs, units and percent. */
function decimalLiteral(node: Node): { decimals: number; digits: number } | undefined {
  if (node.t === "neg" || node.t === "unit" || node.t === "percent") return decimalLiteral(node.a);
  if (node.t !== "num" || node.decimals === 0) return undefined;
  // 3.509e-7 has ten decimals.
  return { decimals: node.decimals - (node.power ?? 0), digits: node.digits };
}

/** A value that no short decimal states exactly. */
function isEndless(value: Rational | undefined): boolean {
  return value === undefined || 10n ** 6n % value.q !== 0n;
}

/** |exact − written| within half of the last written digit. */
function roundsTo(exact: number, written: number, decimals: number): boolean {
  return Math.abs(exact - written) <= 0.5000001 * 10 ** -decimals;
}

const MIN_DIGITS = 5;

/**
 * A rounded decimal is right when the gold value has no short decimal and at least 5 digits (2 of them decimals) are
 * written and correctly rounded; an exact form is right when the gold answer is its rounding to as many.
 */
function rounded(
  gold: Node,
  answer: Node,
  exact: { gold?: Rational | undefined; answer?: Rational | undefined },
): boolean {
  const [g, a] = [decimalLiteral(gold), decimalLiteral(answer)];
  if (!g && !a) return false;
  const [x, y] = [
    exact.gold ? toNumber(exact.gold) : realValue(gold),
    exact.answer ? toNumber(exact.answer) : realValue(answer),
  ];
  if (x === undefined || y === undefined) return false;
  if (a && a.digits >= MIN_DIGITS && a.decimals >= 2 && isEndless(exact.gold) && roundsTo(x, y, a.decimals))
    return true;
  return Boolean(g && !a && g.digits >= MIN_DIGITS && isEndless(exact.answer) && roundsTo(y, x, g.decimals));
}

function sameUnits(gold: Node, answer: Node): { same: Same; factor?: Rational } {
  if (gold.t !== "unit" || answer.t !== "unit") return { same: "same" };
  const factor = unitFactor(answer.unit, gold.unit);
  if (factor === "other") return { same: "different" };
  return factor === "same" ? { same: "same" } : { same: "same", factor };
}

const radians = /^(?:radian|rad)$/;
const HALF_TURN: Node = { t: "num", value: { p: 180n, q: 1n }, decimals: 0, digits: 3 };

/** An angle in degrees and one in radians, both in radians. */
function inOneAngle(gold: Node, answer: Node): [Node, Node] | undefined {
  const turned = (n: Node): Node => ({
    t: "div",
    a: { t: "mul", args: [n, { t: "const", name: "pi" }] },
    b: HALF_TURN,
  });
  // A multiple of pi without a unit is an angle in radians beside degrees; 90 is none.
  const turns = (n: Node): Node | undefined => {
    if (n.t === "unit") return radians.test(n.unit) ? n.a : undefined;
    return some(n, (x) => x.t === "const" && x.name === "pi") ? n : undefined;
  };
  const isDegrees = (n: Node): n is Node & { t: "unit" } => n.t === "unit" && n.unit === "degree";
  const [g, a] = [turns(gold), turns(answer)];
  if (isDegrees(gold) && a) return [turned(gold.a), a];
  return isDegrees(answer) && g ? [g, turned(answer.a)] : undefined;
}

/** Whether the answer's expression has the gold expression's value. Work is bounded; beyond it the answer is "unknown". */
export function sameNumber(gold: Node, answer: Node): Same {
  const angles = inOneAngle(gold, answer);
  if (angles) return sameValue(...angles);
  const units = sameUnits(gold, answer);
  if (units.same === "different") return "different";
  if (units.factor) {
    const [x, y] = [constantValue(gold), constantValue(answer)];
    if (x && y) return equalRational(x, multiply(y, units.factor)) ? "same" : "different";
  }
  const exact = sameValue(gold, answer);
  // What the grader cannot work out is not wrong for that.
  const plain = exact === "different" && (leftOpen(gold) || leftOpen(answer)) ? "unknown" : exact;
  if (plain === "same" || (gold.t === "percent") === (answer.t === "percent")) return plain;
  // 28 % answers "what percentage?" when the other side leaves the sign out.
  const bare = gold.t === "percent" ? sameValue(gold.a, answer) : sameValue(gold, (answer as { a: Node }).a);
  return bare === "same" ? "same" : plain;
}

/** Sums, integrals, derivatives and their like that are no value yet. */
const leftOpen = (node: Node): boolean =>
  some(
    node,
    (n) =>
      n.t === "call" &&
      (/^(?:sum|prod|int|lim|derivative)$/.test(n.fn) || (/^(?:det|gcd|lcm)$/.test(n.fn) && !isExact(n))),
  );

function isExact(node: Node): boolean {
  try {
    return exactValue(node) !== undefined;
  } catch (error) {
    if (error instanceof TooMuchWork) return false;
    throw error;
  }
}

function constantValue(node: Node): Rational | undefined {
  const value = exactValue(node);
  return value && constantOf(value);
}

function isInfinite(node: Node): "+" | "-" | undefined {
  if (node.t === "const" && node.name === "inf") return "+";
  if (node.t === "neg")
    return isInfinite(node.a) === "+" ? "-" : isInfinite(node.a) === "-" ? "+" : undefined;
  return undefined;
}

function sameValue(gold: Node, answer: Node): Same {
  const [infGold, infAnswer] = [isInfinite(gold), isInfinite(answer)];
  if (infGold || infAnswer) return infGold === infAnswer ? "same" : "different";
  if (gold.t === "based" || answer.t === "based") return sameBased(gold, answer);
  let [x, y]: (Rational | undefined)[] = [];
  try {
    const [g, a] = [exactValue(gold), exactValue(answer)];
    if (g && a) {
      const rest = difference(g, a);
      if (rest.size === 0) return "same";
      [x, y] = [constantOf(g), constantOf(a)];
      if (!decimalLiteral(gold) && !decimalLiteral(answer)) return "different";
      if (x && y && !isEndless(x) && !isEndless(y)) return "different";
    } else {
      [x, y] = [g && constantOf(g), a && constantOf(a)];
    }
  } catch (error) {
    if (!(error instanceof TooMuchWork)) throw error;
    // A tower of powers has no double either; a long product of sums may.
    if (some(gold, isTower) || some(answer, isTower)) return "unknown";
  }
  if (rounded(gold, answer, { gold: x, answer: y })) return "same";
  if (x && y) return "different";
  try {
    const equal = agree(gold, answer);
    return equal === undefined ? "unknown" : equal ? "same" : "different";
  } catch (error) {
    if (error instanceof TooMuchWork) return "unknown";
    throw error;
  }
}

const isTower = (n: Node) =>
  n.t === "pow" && some(n.b, (x) => x.t === "pow" || (x.t === "num" && x.value.p > 1000n));

function sameBased(gold: Node, answer: Node): Same {
  if (gold.t === "based" && answer.t === "based")
    return equalRational(gold.value, answer.value) ? "same" : "different";
  const [based, other] = gold.t === "based" ? [gold, answer] : [answer as Node & { t: "based" }, gold];
  const value = constantValue(other);
  if (value && equalRational(value, based.value)) return "same";
  // A question that asks for another base says which: digits alone answer it, and only it.
  const digits =
    answer.t === "num" && answer.decimals === 0 && answer.value.q === 1n ? answer.value.p.toString() : "";
  if (gold.t === "based" && digits === gold.digits) return "same";
  return value ? "different" : "unknown";
}

/** Sign of c where a − b = c·(x − y) for two sides of an equation or inequality; 0 when there is no such c. */
export function sideFactor(a: Node, b: Node, x: Node, y: Node): -1 | 0 | 1 {
  const sides = [a, b, x, y].map((n) => exactValue(n));
  if (sides.every((s) => s !== undefined)) {
    const [p, q, r, s] = sides as NonNullable<(typeof sides)[number]>[];
    const factor = constantFactor(difference(p!, q!), difference(r!, s!));
    if (factor) return factor.p < 0n ? -1 : 1;
    return 0;
  }
  const minus = (u: Node, v: Node): Node => ({ t: "add", args: [u, { t: "neg", a: v }] });
  if (agree(minus(a, b), minus(x, y))) return 1;
  return agree(minus(a, b), minus(y, x)) ? -1 : 0;
}

/** Whether two ratios a : b (: c …) are proportional. */
export function sameRatio(gold: readonly Node[], answer: readonly Node[]): Same {
  if (gold.length !== answer.length) return "different";
  const [g, a] = [gold.map(constantValue), answer.map(constantValue)];
  if ([...g, ...a].some((v) => v === undefined)) {
    return gold.every((n, i) => sameNumber(n, answer[i]!) === "same") ? "same" : "unknown";
  }
  const clock = [...g, ...a].some((v) => v!.p === 0n);
  if (clock) return g.every((v, i) => equalRational(v!, a[i]!)) ? "same" : "different";
  const factor = divide(g[0]!, a[0]!);
  return g.every((v, i) => equalRational(v!, multiply(a[i]!, factor))) ? "same" : "different";
}
