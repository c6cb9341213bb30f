// Value of an expression at a point: symbols get fixed pseudo-random complex or real values by name.
import * as c from "./complex.ts";
import { TooMuchWork } from "./limits.ts";
import { type Node, some } from "./node.ts";
import { print } from "./print.ts";
import { toNumber } from "./rational.ts";

export type Point = { kind: "complex" | "positive" | "negative"; trial: number };

const MAX_NODES = 2000;

/** A fraction of 1 from a name and a trial (FNV-1a with a final mix). */
function hash(name: string, trial: number): number {
  let h = 0x811c9dc5 ^ Math.imul(trial + 1, 0x9e3779b1);
  for (let i = 0; i < name.length; i++) h = Math.imul(h ^ name.charCodeAt(i), 0x01000193);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return ((h ^ (h >>> 16)) >>> 0) / 2 ** 32;
}

function valueOfName(name: string, { kind, trial }: Point): c.Complex {
  const size = 0.4 + 1.7 * hash(name, trial);
  if (kind === "positive") return c.complex(size);
  if (kind === "negative") return c.complex(-size);
  const angle = 2.4 * hash(`${name}'`, trial) - 1.2;
  return c.complex(size * Math.cos(angle), size * Math.sin(angle));
}

function gammaFactorial(x: c.Complex): c.Complex {
  if (x.im !== 0 || !Number.isInteger(x.re) || x.re < 0 || x.re > 170) return c.complex(Number.NaN);
  let out = 1;
  for (let k = 2; k <= x.re; k++) out *= k;
  return c.complex(out);
}

function root(a: c.Complex, n: c.Complex): c.Complex {
  const odd = n.im === 0 && Number.isInteger(n.re) && Math.abs(n.re % 2) === 1;
  if (odd && a.im === 0 && a.re < 0) return c.complex(-((-a.re) ** (1 / n.re)));
  return c.pow(a, c.div(c.complex(1), n));
}

function evaluate(node: Node, point: Point): c.Complex {
  const at = (n: Node) => evaluate(n, point);
  switch (node.t) {
    case "num":
    case "based":
      return c.complex(toNumber(node.value));
    case "const":
      return {
        pi: c.complex(Math.PI),
        e: c.complex(Math.E),
        i: c.complex(0, 1),
        inf: c.complex(Number.POSITIVE_INFINITY),
      }[node.name];
    case "sym":
      return valueOfName(node.name, point);
    case "add":
      return node.args.map(at).reduce(c.add);
    case "mul":
      return node.args.map(at).reduce(c.mul);
    case "neg":
      return c.sub(c.complex(0), at(node.a));
    case "div":
      return c.div(at(node.a), at(node.b));
    case "percent":
      return c.div(at(node.a), c.complex(100));
    case "unit":
      return at(node.a);
    case "pow":
      return c.pow(at(node.a), at(node.b));
    case "root":
      return root(at(node.a), at(node.n));
    case "call":
      return call(node, point);
    default:
      return c.complex(Number.NaN);
  }
}

function call(node: Node & { t: "call" }, point: Point): c.Complex {
  const args = node.args.map((n) => evaluate(n, point));
  const [a, b] = args;
  if (node.fn === "log" && a) return c.div(c.log(a), c.log(b ?? c.complex(10)));
  if (node.fn === "fact" && a) return gammaFactorial(a);
  if (node.fn === "binom" && a && b) {
    return c.div(gammaFactorial(a), c.mul(gammaFactorial(b), gammaFactorial(c.sub(a, b))));
  }
  const f = c.functions[node.fn];
  return f && a && args.length === 1 ? f(a) : valueOfName(print(node), point);
}

/** Relative closeness of two doubles computed along different ways. */
export const TOLERANCE = 1e-9;

function close(a: c.Complex, b: c.Complex): boolean {
  return c.abs(c.sub(a, b)) <= TOLERANCE * Math.max(c.abs(a), c.abs(b)) + 1e-14;
}

function nodeCount(node: Node): number {
  let count = 0;
  some(node, () => ++count > MAX_NODES);
  return count;
}

function agreeAt(a: Node, b: Node, kind: Point["kind"], trials: number): boolean | undefined {
  let seen = 0;
  for (let trial = 0; trial < trials + 4 && seen < trials; trial++) {
    const [x, y] = [evaluate(a, { kind, trial }), evaluate(b, { kind, trial })];
    if (![x.re, x.im, y.re, y.im].every(Number.isFinite)) continue;
    if (!close(x, y)) return false;
    seen++;
  }
  return seen === 0 ? undefined : true;
}

/**
 * Whether two expressions agree at random points; undefined when no point gave finite values. Expressions with roots or
 * logarithms of symbols are equal when they agree for positive symbols, as textbooks mean them.
 */
export function agree(a: Node, b: Node): boolean | undefined {
  if (nodeCount(a) + nodeCount(b) > MAX_NODES) throw new TooMuchWork("the expression is too long");
  const hasSymbol = (n: Node) => n.t === "sym" || n.t === "call";
  if (!some(a, hasSymbol) && !some(b, hasSymbol)) return agreeAt(a, b, "positive", 1);
  const full = agreeAt(a, b, "complex", 3);
  if (full !== false) return full;
  const branches = (n: Node) =>
    n.t === "root" || n.t === "pow" || (n.t === "call" && /^(?:ln|log|lg)$/.test(n.fn));
  const absolute = (n: Node) => n.t === "call" && n.fn === "abs";
  if (some(a, absolute) || some(b, absolute)) {
    return agreeAt(a, b, "positive", 3) === true && agreeAt(a, b, "negative", 3) === true;
  }
  if (!some(a, branches) && !some(b, branches)) return false;
  return agreeAt(a, b, "positive", 3);
}

/** Real value of an expression without symbols; undefined otherwise. */
export function realValue(node: Node): number | undefined {
  if (
    some(
      node,
      (n) =>
        n.t === "sym" ||
        (n.t === "call" && !(n.fn in c.functions) && !["log", "fact", "binom"].includes(n.fn)),
    )
  ) {
    return undefined;
  }
  const { re, im } = evaluate(node, { kind: "positive", trial: 0 });
  return Math.abs(im) < 1e-12 * Math.max(1, Math.abs(re)) && Number.isFinite(re) ? re : undefined;
}
