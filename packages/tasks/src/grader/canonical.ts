// Text of a parsed expression that is free of its spelling, in three degrees, so that copies are found however written.
import { constantOf, exactValue } from "./exact.ts";
import type { Node, RelationOp } from "./node.ts";
import { add, multiply, negate, ONE, type Rational, rational } from "./rational.ts";
import { asInterval, flipped } from "./shape.ts";

/**
 * `free`: order of commutative parts, signs, roots and powers, fractions and quotients, inequalities and intervals are one.
 * `close`: order and signs alone. `literal`: the tree as it is written. Units never count.
 */
export const spellings = ["free", "close", "literal"] as const;
export type Spelling = (typeof spellings)[number];

interface Signed {
  negative: boolean;
  key: string;
}

interface Factor {
  base: string;
  exponent: Rational;
}

interface Rules {
  /** Roots are powers, inequalities intervals. */
  free: boolean;
  /** What is left out: the pair of this number of the terms or factors that undo one another. */
  pair?: number;
  /** Powers of one base are one, nested ones too, and opposite terms are left out. */
  merge?: boolean;
}

const plain = (key: string): Signed => ({ negative: false, key });
const show = (r: Rational) => (r.q === 1n ? `${r.p}` : `${r.p}/${r.q}`);
const textOf = ({ negative, key }: Signed) => (negative ? `-${key}` : key);

/** The number of an exponent or an order that is one numeral. */
function numberOf(node: Node): Rational | undefined {
  if (node.t === "num") return node.value;
  if (node.t === "neg") {
    const a = numberOf(node.a);
    return a && negate(a);
  }
  const isNumeral =
    (node.t === "add" && node.literal) || (node.t === "div" && numberOf(node.a) && numberOf(node.b));
  const value = isNumeral ? exactValue(node) : undefined;
  return value && constantOf(value);
}

const functionAliases: Record<string, string> = { asin: "arcsin", acos: "arccos", atan: "arctan" };
const commutative = new Set(["max", "min", "gcd", "lcm"]);
const E: Node = { t: "const", name: "e" };
const integer = (n: bigint): Node => ({ t: "num", value: { p: n, q: 1n }, decimals: 0, digits: 1 });
const TEN = integer(10n);

/** The factors of a product, and its sign. */
class Factors {
  readonly list: Factor[] = [];
  negative = false;

  put(base: string, exponent: Rational, flips = false): void {
    if (flips) this.negative = !this.negative;
    if (base !== "1" && exponent.p !== 0n) this.list.push({ base, exponent });
  }

  putNumber(value: Rational, exponent: Rational): void {
    const negative = value.p < 0n;
    this.put(`${negative ? -value.p : value.p}`, exponent, negative && exponent.p % 2n !== 0n);
    this.put(`${value.q}`, negate(exponent));
  }
}

class Writer {
  /** Pairs found so far of terms or factors that undo one another. */
  pairs = 0;
  constructor(private readonly rules: Rules) {}

  /** The items but for pairs that undo one another, as far as the rules leave them out. */
  private withoutPairs<T>(items: T[], undo: (a: T, b: T) => boolean): T[] {
    const { pair, merge } = this.rules;
    if (pair === undefined && !merge) return items;
    const left: T[] = [];
    for (const item of items) {
      const at = left.findIndex((x) => undo(x, item));
      if (at >= 0 && (merge || this.pairs++ === pair)) left.splice(at, 1);
      else left.push(item);
    }
    return left;
  }

  text(node: Node): string {
    return textOf(this.signed(node));
  }

  private texts(nodes: readonly Node[]): string[] {
    return nodes.map((n) => this.text(n));
  }

  signed(node: Node): Signed {
    switch (node.t) {
      case "unit":
        return this.signed(node.a);
      case "neg": {
        const { negative, key } = this.signed(node.a);
        return { negative: key !== "0" && !negative, key };
      }
      case "add":
        return node.literal ? this.product(node) : this.sum(node);
      case "ratio":
        return node.parts.length === 2
          ? this.product({ t: "div", a: node.parts[0]!, b: node.parts[1]! })
          : plain(this.texts(node.parts).join(":"));
      case "num":
      case "mul":
      case "div":
      case "pow":
      case "root":
      case "percent":
        return this.product(node);
      case "call":
        return this.call(node);
      default:
        return plain(this.shape(node));
    }
  }

  private shape(node: Node): string {
    switch (node.t) {
      case "based":
        return `${node.digits}_${node.base}`;
      case "sym":
      case "const":
        return node.name;
      case "pm":
        return `${node.a ? this.text(node.a) : ""}±${this.signed(node.b).key}`;
      case "tuple":
        return `${node.open}${this.texts(node.items).join()}${node.close}`;
      case "list":
        return node.items.length === 1
          ? this.text(node.items[0]!)
          : `{${this.texts(node.items).sort().join()}}`;
      case "union":
        return node.op === "difference"
          ? this.texts(node.parts).join(" difference ")
          : this.texts(node.parts).sort().join(` ${node.op} `);
      case "matrix":
        return `[${node.rows.map((row) => this.texts(row).join()).join(";")}]`;
      case "relation":
        return this.relation(node);
      case "text":
        return node.words.toLowerCase();
      default:
        return "";
    }
  }

  private relation(node: Node & { t: "relation" }): string {
    const set = this.rules.free ? asInterval(node) : undefined;
    if (set) return this.text(set);
    let parts = this.texts(node.parts);
    let ops: RelationOp[] = node.ops;
    if (ops.every((op) => op === ops[0] && (op === "=" || op === "!=" || op === "~"))) parts.sort();
    else if (ops[0] === ">" || ops[0] === ">=") {
      parts = parts.reverse();
      ops = ops.map((op) => flipped(op) ?? op).reverse();
    }
    return parts.map((p, i) => p + (ops[i] ?? "")).join("");
  }

  private call(node: Node & { t: "call" }): Signed {
    const fn = functionAliases[node.fn] ?? node.fn;
    const [a] = node.args;
    if (fn === "exp" && a) return this.product({ t: "pow", a: E, b: a });
    if (fn === "ln" && a) return plain(`log(${this.texts([a, E]).join()})`);
    if ((fn === "log" || fn === "lg") && node.args.length === 1)
      return plain(`log(${this.texts([a!, TEN]).join()})`);
    if (fn === "abs" && a) return plain(`abs(${this.signed(a).key})`);
    const args = this.texts(node.args);
    return plain(`${fn}(${(commutative.has(fn) ? args.sort() : args).join()})`);
  }

  private sum(node: Node): Signed {
    let terms: Signed[] = [];
    const collect = (n: Node, negative: boolean): void => {
      if (n.t === "add" && !n.literal) for (const a of n.args) collect(a, negative);
      else if (n.t === "neg") collect(n.a, !negative);
      else if (n.t === "unit") collect(n.a, negative);
      else {
        const s = this.signed(n);
        if (s.key !== "0") terms.push({ negative: s.negative !== negative, key: s.key });
      }
    };
    collect(node, false);
    terms = this.withoutPairs(terms, (a, b) => a.key === b.key && a.negative !== b.negative);
    terms.sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : Number(a.negative) - Number(b.negative)));
    if (terms.length < 2) return terms[0] ?? plain("0");
    const { negative } = terms[0]!;
    return { negative, key: `(${terms.map((t) => (t.negative === negative ? "+" : "-") + t.key).join("")})` };
  }

  private product(node: Node): Signed {
    const into = new Factors();
    this.collect(node, ONE, into);
    return this.join(into.list, into.negative);
  }

  /** Adds the factors of a node, raised to a sign: 1, or −1 below a fraction bar. */
  private collect(n: Node, sign: Rational, into: Factors): void {
    switch (n.t) {
      case "num":
        into.putNumber(n.power === undefined ? n.value : multiply(n.value, tenTo(-n.power)), sign);
        if (n.power !== undefined) into.put("10", multiply(sign, rational(n.power)));
        break;
      case "mul":
        for (const a of n.args) this.collect(a, sign, into);
        break;
      case "div":
        this.collect(n.a, sign, into);
        this.collect(n.b, negate(sign), into);
        break;
      case "neg":
        into.negative = !into.negative;
        this.collect(n.a, sign, into);
        break;
      case "unit":
        this.collect(n.a, sign, into);
        break;
      case "percent":
        this.collect(n.a, sign, into);
        into.put("100", negate(sign));
        break;
      case "pow":
      case "root":
        this.power(n, sign, into);
        break;
      default:
        this.atom(n, sign, into);
    }
  }

  private atom(n: Node, sign: Rational, into: Factors): void {
    const value = n.t === "add" && n.literal ? numberOf(n) : undefined;
    if (value) into.putNumber(value, sign);
    else if (n.t === "add" && n.args.length === 1) this.collect(n.args[0]!, sign, into);
    else if (n.t === "call" && n.fn === "exp" && n.args.length === 1)
      this.collect({ t: "pow", a: E, b: n.args[0]! }, sign, into);
    else {
      const s = this.signed(n);
      into.put(s.key, sign, s.negative);
    }
  }

  private join(all: Factor[], negative: boolean): Signed {
    if (all.some((f) => f.base === "0" && f.exponent.p > 0n)) return plain("0");
    const factors = this.rules.merge ? merged(all) : this.withoutPairs(all, areInverse);
    const keys = factors.map(({ base, exponent }) =>
      exponent.p === 1n && exponent.q === 1n ? base : `(${base})^${show(exponent)}`,
    );
    return { negative, key: keys.sort().join("*") || "1" };
  }

  /** Adds a power or a root: its base with a rational exponent, or all of it where the exponent is no number. */
  private power(node: Node & { t: "pow" | "root" }, sign: Rational, into: Factors): void {
    let [base, exponent] = this.exponentOf(node);
    // (a^p)^q on the way to what is left of it.
    while (this.rules.merge && exponent && (base.t === "pow" || base.t === "root")) {
      const [inner, more] = this.exponentOf(base);
      if (!more) break;
      [base, exponent] = [inner, multiply(exponent, more)];
    }
    if (exponent && exponent.p === exponent.q) {
      this.collect(base, sign, into);
      return;
    }
    const { negative, key } = this.signed(base);
    if (exponent) {
      // The real root of an odd order takes its sign along; an even one leaves it where it is.
      const open = negative && exponent.q % 2n === 0n;
      const flips = negative && !open && exponent.p % 2n !== 0n;
      into.put(open ? `-${key}` : key, multiply(sign, exponent), flips);
    } else if (node.t === "root") into.put(`root(${this.text(node.a)},${this.text(node.n)})`, sign);
    else {
      const script = this.signed(node.b);
      into.put(`(${negative ? "-" : ""}${key})^{${script.key}}`, script.negative ? negate(sign) : sign);
    }
  }

  private exponentOf(node: Node & { t: "pow" | "root" }): [Node, Rational | undefined] {
    if (node.t === "pow") return [node.a, numberOf(node.b)];
    const n = this.rules.free ? numberOf(node.n) : undefined;
    return [node.a, n && n.p > 0n ? { p: n.q, q: n.p } : undefined];
  }
}

function tenTo(n: number): Rational {
  const size = 10n ** BigInt(Math.abs(n));
  return n < 0 ? { p: 1n, q: size } : { p: size, q: 1n };
}

const areInverse = (a: Factor, b: Factor) =>
  a.base === b.base && a.exponent.p === -b.exponent.p && a.exponent.q === b.exponent.q;

/** Factors with one exponent for each base. */
function merged(factors: readonly Factor[]): Factor[] {
  const exponents = new Map<string, Rational>();
  for (const { base, exponent } of factors)
    exponents.set(base, add(exponents.get(base) ?? rational(0), exponent));
  return [...exponents].map(([base, exponent]) => ({ base, exponent })).filter((f) => f.exponent.p !== 0n);
}

function literal(node: Node): string {
  switch (node.t) {
    case "num":
      return node.power === undefined ? show(node.value) : `${show(node.value)}e${node.power}`;
    case "unit":
      return literal(node.a);
    case "tuple":
      return `${node.open}${node.items.map(literal).join()}${node.close}`;
    case "list":
      return `{${node.items.map(literal).join()}}`;
    case "relation":
      return node.parts.map((p, i) => literal(p) + (node.ops[i] ?? "")).join("");
    case "add":
    case "mul":
      return `${node.t}(${node.args.map(literal).join()})`;
    case "call":
      return `${node.fn}(${node.args.map(literal).join()})`;
    case "neg":
    case "percent":
      return `${node.t}(${literal(node.a)})`;
    case "div":
    case "pow":
      return `${node.t}(${literal(node.a)},${literal(node.b)})`;
    case "root":
      return `root(${literal(node.a)},${literal(node.n)})`;
    case "pm":
      return `${node.a ? literal(node.a) : ""}${node.minusFirst ? "∓" : "±"}${literal(node.b)}`;
    case "ratio":
      return node.parts.map(literal).join(":");
    case "union":
      return node.parts.map(literal).join(` ${node.op} `);
    case "matrix":
      return `[${node.rows.map((row) => row.map(literal).join()).join(";")}]`;
    default:
      return new Writer({ free: false }).text(node);
  }
}

/** A text that is equal for two trees exactly if they differ in nothing but spelling. Throws TooMuchWork. */
export function canonical(node: Node, spelling: Spelling): string {
  if (spelling === "literal") return literal(node);
  return new Writer({ free: spelling === "free" }).text(node);
}

const MAX_PAIRS = 8;

/** Free texts of what is left where terms and factors that undo one another (x/x, +1−1) are left out, one pair or all. */
export function cancelled(node: Node): string[] {
  const texts = new Set([new Writer({ free: true, merge: true }).text(node)]);
  for (let pair = 0; pair < MAX_PAIRS; pair++) {
    const writer = new Writer({ free: true, pair });
    texts.add(writer.text(node));
    if (writer.pairs <= pair) break;
  }
  return [...texts];
}
