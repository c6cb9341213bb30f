// Nodes that parsers build from parts: numbers, sums, products, mixed numbers, and numbers in another base.
import { TooMuchWork, Unreadable } from "./limits.ts";
import type { Node } from "./node.ts";
import { decimal, multiply, power, rational } from "./rational.ts";

export function number(text: string): Node {
  const [mantissa, exponent] = text.split("e");
  let value = decimal(mantissa!.replace(/\.$/, ""));
  if (exponent !== undefined) value = multiply(value, power(rational(10), BigInt(Number(exponent))));
  const decimals = mantissa!.split(".")[1]?.length ?? 0;
  const power10 = exponent === undefined ? {} : { power: Number(exponent) };
  return { t: "num", value, decimals, digits: mantissa!.replace(/^[0.]+|\./g, "").length, ...power10 };
}

export function sum(terms: Node[]): Node {
  return terms.length === 1 ? terms[0]! : { t: "add", args: terms };
}

export function product(a: Node, b: Node): Node {
  return a.t === "mul" ? { t: "mul", args: [...a.args, b] } : { t: "mul", args: [a, b] };
}

/** Whether a node is d or dⁿ, or a product that begins with it: what stands above the line of a derivative. */
export function isDifferential(node: Node): boolean {
  const head = node.t === "mul" ? node.args[0]! : node;
  const base = head.t === "pow" ? head.a : head;
  return base.t === "sym" && base.name === "d";
}

/** a/b, or the derivative that \frac{d}{dx}, \frac{d^2y}{dx^2} and their like are: d and x are no factors there. */
export function quotient(a: Node, b: Node): Node {
  const per = b.t === "mul" ? b.args : [];
  const variable = per[1]?.t === "pow" ? per[1].a : per[1];
  if (
    per.length === 2 &&
    variable?.t === "sym" &&
    per[0]!.t === "sym" &&
    isDifferential(b) &&
    isDifferential(a)
  )
    return { t: "call", fn: "derivative", args: [a, b] };
  return { t: "div", a, b };
}

/** 1\frac{1}{2} is one and a half: a whole number before a proper fraction of literals. */
export function mixedNumber(whole: Node, fraction: Node): Node | undefined {
  const isWhole = whole.t === "num" && whole.decimals === 0;
  if (!isWhole || fraction.t !== "div" || fraction.a.t !== "num" || fraction.b.t !== "num") return undefined;
  const [a, b] = [fraction.a, fraction.b];
  if (a.decimals + b.decimals > 0 || a.value.p >= b.value.p) return undefined;
  return { t: "add", args: [whole, fraction], literal: true };
}

export function based(node: Node & { t: "num" }, script: Node): Node {
  if (script.t !== "num" || node.decimals > 0) throw new Unreadable("a subscript on a number");
  const base = Number(script.value.p);
  const digits = node.value.p.toString();
  if (base < 2 || base > 36 || [...digits].some((d) => Number(d) >= base))
    throw new Unreadable("not a number in that base");
  if (digits.length > 300) throw new TooMuchWork("the number is too long");
  const value = [...digits].reduce((v, d) => v * BigInt(base) + BigInt(d), 0n);
  return { t: "based", value: { p: value, q: 1n }, digits, base };
}
