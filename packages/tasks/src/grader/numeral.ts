// Written numbers: digits, fractions, mixed numbers, scientific notation, with a sign, a percent sign or a unit.
import { type Node, some } from "./node.ts";
import { gcd } from "./rational.ts";
import { withoutName } from "./shape.ts";

export type Fractions = "lowest_terms" | "any_fraction";

export function integerOf(n: Node): bigint | undefined {
  if (n.t === "neg") {
    const a = n.a.t === "num" ? integerOf(n.a) : undefined;
    return a === undefined ? undefined : -a;
  }
  return n.t === "num" && n.decimals === 0 && n.value.q === 1n ? n.value.p : undefined;
}

/** p/q of two written integers that is no integer. */
export function isFraction(a: Node, b: Node, kind: Fractions): boolean {
  const [p, q] = [integerOf(a), integerOf(b)];
  if (p === undefined || q === undefined || q === 0n || p % q === 0n) return false;
  return kind === "any_fraction" || gcd(p, q) === 1n;
}

/** 10^n, the power of scientific notation. */
function isPowerOfTen(n: Node): boolean {
  return n.t === "pow" && integerOf(n.a) === 10n && (integerOf(n.b) ?? 0n) !== 0n;
}

/** 9.2 × 10^n with one digit before the point. */
function isScientific(args: readonly Node[]): boolean {
  const [m, power] = args;
  if (args.length !== 2 || m?.t !== "num" || !isPowerOfTen(power!)) return false;
  return m.value.p >= m.value.q && m.value.p < 10n * m.value.q;
}

/** Whether a node is one written number. */
export function isNumeral(node: Node, kind: Fractions): boolean {
  switch (node.t) {
    case "num":
      return node.worked !== true;
    case "based":
      return true;
    case "add":
      return node.literal === true;
    case "div":
      return isFraction(node.a, node.b, kind);
    case "mul":
      return isScientific(node.args);
    case "pow":
      return isPowerOfTen(node);
    case "neg":
    case "percent":
    case "unit":
      return node.a.t !== node.t && isNumeral(node.a, kind);
    default:
      return false;
  }
}

/** Whether an answer is one number, or the same number several times. */
export function isNumber(node: Node): boolean {
  const bare = withoutName(node);
  if (bare.t === "list") return bare.items.length > 0 && bare.items.every(isNumber);
  return isNumeral(bare, "lowest_terms");
}

const isPowered = (n: Node) => n.t === "pow" || (n.t === "num" && n.power !== undefined);

/**
 * Whether a node leaves nothing to do in any question: numerals, single names, words, and tuples and lists of them.
 * Scientific notation does not count: a task may be to write it out.
 */
export function isPlain(node: Node): boolean {
  const bare = withoutName(node);
  if (isNumeral(bare, "lowest_terms")) return !some(bare, isPowered);
  switch (bare.t) {
    case "sym":
    case "const":
    case "text":
      return true;
    case "neg":
      return bare.a.t === "const" && bare.a.name === "inf";
    case "tuple":
    case "list":
      return bare.items.every(isPlain);
    case "matrix":
      return bare.rows.flat().every(isPlain);
    default:
      return false;
  }
}
