// Parses LaTeX and plain expressions by precedence climbing: sum, product, power, atom.
import { counted, countingFactor } from "./counting.ts";
import type { Token } from "./lex.ts";
import { functionNames } from "./lex.ts";
import { TooMuchWork, Unreadable } from "./limits.ts";
import type { Node } from "./node.ts";
import { print } from "./print.ts";
import { decimal, multiply, power, rational } from "./rational.ts";
import { unitFactor, unitName } from "./words.ts";

const MAX_DEPTH = 60;
const calledLetters = new Set(["f", "g", "h", "F", "G", "W", "phi", "varphi", "psi"]);
const ignored = new Set([
  "cdots",
  "ldots",
  "dots",
  "dotsm",
  "dotsb",
  "dotsc",
  "prime",
  "nolimits",
  "therefore",
]);
/** Words after a number that are no unit but take it back. */
const comment =
  /^(?:squared|cubed)\b|\b(?:plus?|minus?|divided|multiplied|times? (?:zero|one|two|three|four|five|six|seven|eight|nine|ten))\b|\b(?:not?|never|wrong|incorrect|false|maybe|perhaps|if|unless|but|instead)\b/i;
const inverse: Record<string, string> = { sin: "arcsin", cos: "arccos", tan: "arctan" };

export function number(text: string): Node {
  const [mantissa, exponent] = text.split("e");
  let value = decimal(mantissa!);
  if (exponent !== undefined) value = multiply(value, power(rational(10), BigInt(Number(exponent))));
  const decimals = mantissa!.split(".")[1]?.length ?? 0;
  const power10 = exponent === undefined ? {} : { power: Number(exponent) };
  return { t: "num", value, decimals, digits: mantissa!.replace(/^[0.]+|\./g, "").length, ...power10 };
}

export abstract class ExpressionParser {
  private at = 0;
  private depth = 0;
  private bars = 0;
  constructor(private readonly tokens: readonly Token[]) {}

  abstract parseList(): Node;

  peek(ahead = 0): Token | undefined {
    return this.tokens[this.at + ahead];
  }
  next(): Token | undefined {
    return this.tokens[this.at++];
  }
  atEnd(): boolean {
    return this.at >= this.tokens.length;
  }
  closes(): boolean {
    const token = this.peek();
    return token?.t === "op" && [")", "]", "}", "\\}", "\\\\", "&"].includes(token.text);
  }
  isOp(text: string, ahead = 0): boolean {
    const token = this.peek(ahead);
    return token?.t === "op" && token.text === text;
  }
  skipOp(text: string): boolean {
    if (!this.isOp(text)) return false;
    this.at++;
    return true;
  }
  isCommand(...names: string[]): boolean {
    const token = this.peek();
    return token?.t === "cmd" && names.includes(token.name);
  }
  skipKind(kind: Token["t"]): boolean {
    if (this.peek()?.t !== kind) return false;
    this.at++;
    return true;
  }
  expectOp(...texts: string[]): string {
    const token = this.next();
    if (token?.t === "op" && texts.includes(token.text)) return token.text;
    throw new Unreadable(`expected ${texts.join(" or ")}`);
  }

  parseSum(): Node {
    if (++this.depth > MAX_DEPTH) throw new Unreadable("nested too deep");
    let left: Node | undefined;
    const terms: Node[] = [];
    for (;;) {
      const before = this.at;
      const sign = this.sign();
      if (sign === "" && left) break;
      const signs = this.at - before;
      const product = this.parseProduct();
      // --92 is 92, but two signs are an operation, not the writing of a number.
      const term: Node = signs > 1 && !left ? { t: "add", args: [product] } : product;
      if (sign === "pm" || sign === "mp") {
        const a = terms.length > 0 ? sum(terms.splice(0)) : undefined;
        left = { t: "pm", a, b: term, minusFirst: sign === "mp" };
        terms.push(left);
      } else {
        left = sign === "-" ? { t: "neg", a: term } : term;
        terms.push(left);
      }
    }
    this.depth--;
    return this.unit(sum(terms));
  }

  private sign(): "" | "+" | "-" | "pm" | "mp" {
    if (this.isCommand("pm", "mp")) {
      const token = this.next();
      return token?.t === "cmd" && token.name === "pm" ? "pm" : "mp";
    }
    let sign: "" | "+" | "-" = "";
    for (;;) {
      if (this.skipOp("+")) {
        if (this.skipOp("/")) {
          this.expectOp("-");
          return "pm";
        }
        sign = sign === "" ? "+" : sign;
      } else if (this.skipOp("-")) sign = sign === "-" ? "+" : "-";
      else return sign;
    }
  }

  /** Words after a value are its unit, however many there are. */
  private unit(a: Node): Node {
    let unit = "";
    for (;;) {
      const token = this.peek();
      if (token?.t === "word") {
        unit += `${unit && " "}${unitName(token.text)}`;
        this.next();
      } else if (unit && this.isOp("^") && this.peek(1)?.t === "num") {
        const exponent = this.tokens[this.at + 1]!;
        unit += `^${exponent.t === "num" ? exponent.text : ""}`;
        this.at += 2;
      } else if (unit && this.isOp("^") && this.isOp("{", 1) && this.isOp("}", 3)) {
        const exponent = this.tokens[this.at + 2]!;
        unit += `^${exponent.t === "num" ? exponent.text : ""}`;
        this.at += 4;
      } else if (unit && this.isOp("/") && (this.peek(1)?.t === "word" || this.peek(1)?.t === "sym")) {
        const per = this.tokens[this.at + 1]!;
        unit += `/${per.t === "word" ? unitName(per.text) : per.t === "sym" ? per.name : ""}`;
        this.at += 2;
      } else if (unit && token?.t === "sym" && this.peek(1)?.t === "word") {
        unit += ` ${token.name}`;
        this.next();
      } else break;
    }
    if (comment.test(unit)) throw new Unreadable("a remark on the value");
    if (/^(?:percent|pct|percentage)\b/.test(unit)) return { t: "percent", a };
    if (!unit) return a;
    const count = countingFactor(unit);
    if (!count.factor) return this.compound({ t: "unit", a, unit });
    const value = counted(a, count.factor);
    return count.unit ? this.compound({ t: "unit", a: value, unit: count.unit }) : value;
  }

  /** 3 hours 20 minutes: a second amount of the same dimension is added, in its unit. */
  private compound(first: Node & { t: "unit" }): Node {
    if (this.peek()?.t !== "num") return first;
    const second = this.parseSum();
    const factor = second.t === "unit" ? unitFactor(first.unit, second.unit) : "other";
    if (second.t !== "unit" || typeof factor === "string") throw new Unreadable("two amounts side by side");
    const scaled: Node = { t: "mul", args: [first.a, { t: "num", value: factor, decimals: 0, digits: 1 }] };
    const literal = first.a.t === "num" && second.a.t === "num" ? { literal: true as const } : {};
    return { t: "unit", a: { t: "add", args: [scaled, second.a], ...literal }, unit: second.unit };
  }

  parseProduct(): Node {
    let left = this.parseUnary();
    for (;;) {
      if (this.skipOp("*") || this.skipCommand("cdot", "times", "ast"))
        left = product(left, this.parseUnary());
      else if (this.isOp("/") || this.isCommand("div")) {
        this.next();
        left = { t: "div", a: left, b: this.parseUnary() };
      } else if (this.startsAtom()) {
        const plainMixed = left.t === "num" && this.peek()?.t === "num";
        let juxtaposed = this.parsePower();
        if (plainMixed) {
          // "1 1/2"; two numbers side by side mean nothing else.
          if (!this.skipOp("/")) throw new Unreadable("two numbers side by side");
          juxtaposed = { t: "div", a: juxtaposed, b: this.parsePower() };
        }
        const mixed = mixedNumber(left, juxtaposed);
        if (plainMixed && !mixed) throw new Unreadable("two numbers side by side");
        left = mixed ?? product(left, juxtaposed);
      } else break;
    }
    return left;
  }

  private skipCommand(...names: string[]): boolean {
    if (!this.isCommand(...names)) return false;
    this.at++;
    return true;
  }

  private parseUnary(): Node {
    if (this.skipOp("-")) return { t: "neg", a: this.parseUnary() };
    if (this.skipOp("+")) return this.parseUnary();
    return this.parsePower();
  }

  private startsAtom(): boolean {
    const token = this.peek();
    if (!token || token.t === "word" || token.t === "and") return false;
    if (token.t === "num" || token.t === "sym") return true;
    if (token.t === "op")
      return (
        token.text === "(" ||
        token.text === "{" ||
        token.text === "[" ||
        (token.text === "|" && this.bars === 0)
      );
    return startsAtomCommand(token.name);
  }

  parsePower(): Node {
    let base = this.parseAtom();
    for (;;) {
      if (this.skipOp("!")) base = { t: "call", fn: "fact", args: [base] };
      else if (this.skipOp("%")) base = { t: "percent", a: base };
      else if (this.isOp("'")) this.next();
      else if (this.isOp("^")) {
        this.next();
        if (this.isCommand("circ", "degree")) {
          this.next();
          base = { t: "unit", a: base, unit: "degree" };
        } else if (
          this.isOp("{") &&
          this.peek(1)?.t === "cmd" &&
          (this.peek(1) as { name: string }).name === "circ"
        ) {
          this.at += 2;
          this.expectOp("}");
          base = { t: "unit", a: base, unit: "degree" };
        } else if (this.isCommand("prime", "top", "T")) this.next();
        else base = { t: "pow", a: base, b: this.parseScript() };
      } else if (this.isCommand("degree")) {
        this.next();
        base = { t: "unit", a: base, unit: "degree" };
      } else if (this.isOp("_") && base.t === "num") {
        this.next();
        base = based(base, this.parseScript());
      } else break;
    }
    return base;
  }

  /** What stands after ^ or _: a group, or one token. */
  private parseScript(): Node {
    if (this.skipOp("{")) {
      const node = this.parseList();
      this.expectOp("}");
      return node;
    }
    if (this.skipOp("-")) return { t: "neg", a: this.parseScript() };
    const token = this.peek();
    // x^23 is x squared times 3 in TeX, but nobody means it: take the number whole.
    if (token?.t === "num" || token?.t === "sym") return this.parseAtom(true);
    return this.parsePower();
  }

  private parseAtom(plain = false): Node {
    if (++this.depth > MAX_DEPTH) throw new Unreadable("nested too deep");
    const node = this.atom(plain);
    this.depth--;
    return node;
  }

  private atom(plain: boolean): Node {
    const token = this.next();
    if (!token) throw new Unreadable("the expression ends early");
    if (token.t === "num") return this.repeating(token.text) ?? number(token.text);
    if (token.t === "sym") return this.symbol(token.name, plain);
    if (token.t === "cmd") return this.command(token.name);
    if (token.t === "op") return this.group(token.text);
    throw new Unreadable(token.t === "word" ? `the word "${token.text}"` : 'a misplaced "and"');
  }

  /** 0.1\overline{6}: repeating decimals. */
  private repeating(text: string): Node | undefined {
    if (!this.isCommand("overline", "dot") || !text.includes(".")) return undefined;
    if (!this.isOp("{", 1) || !this.isOp("}", 3)) return undefined;
    const period = this.peek(2);
    if (period?.t !== "num" || period.text.includes(".")) return undefined;
    this.at += 4;
    const decimals = text.split(".")[1]?.length ?? 0;
    const nines = 10n ** BigInt(period.text.length) - 1n;
    const tail = { p: BigInt(period.text), q: nines * 10n ** BigInt(decimals) };
    const rest: Node = { t: "num", value: tail, decimals: 0, digits: 1 };
    return { t: "add", args: [number(text), rest], literal: true };
  }

  private symbol(name: string, plain: boolean): Node {
    let full = name;
    if (!plain && this.skipOp("_")) full += `_${print(this.parseScript())}`;
    while (!plain && this.skipOp("'")) full += "'";
    if (!plain && calledLetters.has(name) && this.isOp("(")) {
      this.next();
      const inside = this.parseList();
      this.expectOp(")");
      return { t: "call", fn: full, args: inside.t === "list" ? inside.items : [inside] };
    }
    if (full === "e") return { t: "const", name: "e" };
    if (full === "i") return { t: "const", name: "i" };
    return { t: "sym", name: full };
  }

  private group(open: string): Node {
    if (open === "{") {
      const node = this.parseList();
      this.expectOp("}");
      return node.t === "list" && node.form === "list" ? { ...node, form: "brace" } : node;
    }
    if (open === "\\{") {
      if (this.skipOp("\\}")) return { t: "list", items: [], form: "set" };
      const node = this.parseList();
      this.expectOp("\\}");
      return {
        t: "list",
        items: node.t === "list" && node.form === "list" ? node.items : [node],
        form: "set",
      };
    }
    if (open === "(" || open === "[") {
      const bars = this.bars;
      this.bars = 0;
      const node = this.parseList();
      const close = this.expectOp(")", "]") as ")" | "]";
      this.bars = bars;
      if (node.t === "list" && node.form === "list") return { t: "tuple", items: node.items, open, close };
      if ((open === "(") !== (close === ")")) throw new Unreadable("brackets of two kinds around one value");
      return node;
    }
    if (open === "|") {
      this.bars++;
      const node = this.parseSum();
      this.bars--;
      this.expectOp("|");
      return { t: "call", fn: "abs", args: [node] };
    }
    throw new Unreadable(`unexpected "${open}"`);
  }

  private argument(): Node {
    if (this.skipOp("{")) {
      const node = this.parseList();
      this.expectOp("}");
      return node;
    }
    const token = this.peek();
    // \frac13 and \frac94\pi: a bare argument is one digit.
    if (token?.t === "num" && token.text.length > 1 && /^\d+$/.test(token.text)) {
      const copy = this.tokens as Token[];
      copy.splice(this.at, 1, { t: "num", text: token.text[0]! }, { t: "num", text: token.text.slice(1) });
    }
    return this.parseAtom(true);
  }

  private command(name: string): Node {
    switch (name) {
      case "frac": {
        const a = this.argument();
        return { t: "div", a, b: this.argument() };
      }
      case "sqrt":
        return this.root();
      case "pi":
        return { t: "const", name: "pi" };
      case "infty":
        return { t: "const", name: "inf" };
      case "emptyset":
      case "varnothing":
        return { t: "list", items: [], form: "set" };
      case "binom":
      case "dbinom":
      case "tbinom": {
        const a = this.argument();
        return { t: "call", fn: "binom", args: [a, this.argument()] };
      }
      case "begin":
        return this.environment();
      case "lfloor":
      case "lceil": {
        const node = this.parseSum();
        if (!this.skipCommand(name === "lfloor" ? "rfloor" : "rceil"))
          throw new Unreadable(`\\${name} without its end`);
        return { t: "call", fn: name === "lfloor" ? "floor" : "ceil", args: [node] };
      }
      case "sum":
      case "prod":
      case "int":
        return this.bigOperator(name);
      case "overline":
      case "bar":
      case "vec":
      case "hat":
      case "overrightarrow":
      case "widehat":
        return { t: "sym", name: `${name}(${print(this.argument())})` };
      case "angle":
      case "triangle":
        return this.parsePower();
      case "mid":
      case "vert":
      case "lvert":
        return this.group("|");
      default:
        if (functionNames.has(name)) return this.functionCall(name);
        if (ignored.has(name)) throw new Unreadable("an answer with dots");
        throw new Unreadable(`\\${name}`);
    }
  }

  private root(): Node {
    let n: Node = number("2");
    if (this.isOp("[")) {
      this.next();
      n = this.parseSum();
      this.expectOp("]");
    }
    if (this.isOp("(")) return { t: "root", a: this.parseAtom(), n };
    const token = this.peek();
    // √10 in plain text is the root of ten; \sqrt 10 is rare enough to mean the same.
    const a = token?.t === "num" ? this.parseAtom(true) : this.argument();
    return { t: "root", a, n };
  }

  private functionCall(fn: string): Node {
    let name = fn;
    let outer: Node | undefined;
    let base: Node | undefined;
    if (this.skipOp("_")) base = this.parseScript();
    if (this.skipOp("^")) {
      outer = this.parseScript();
      const minusOne = outer.t === "neg" && outer.a.t === "num" && outer.a.value.p === 1n;
      if (minusOne && inverse[fn]) [name, outer] = [inverse[fn]!, undefined];
    }
    let args: Node[];
    if (this.isOp("(") || this.isOp("{")) {
      const inside = this.parseAtom(true);
      args =
        inside.t === "tuple" || (inside.t === "list" && inside.form === "brace") ? inside.items : [inside];
    } else {
      let a = this.parseUnary();
      while (this.startsAtom() && !this.startsFunction() && !this.isOp("("))
        a = product(a, this.parsePower());
      args = [a];
    }
    if (base) args = [...args, base];
    const call: Node =
      name === "sqrt" ? { t: "root", a: args[0]!, n: number("2") } : { t: "call", fn: name, args };
    return outer ? { t: "pow", a: call, b: outer } : call;
  }

  private startsFunction(): boolean {
    const token = this.peek();
    return token?.t === "cmd" && functionNames.has(token.name);
  }

  /** \sum_{k=a}^{b} body: a call of its bounds and its body. */
  private bigOperator(name: string): Node {
    const args: Node[] = [];
    if (this.skipOp("_")) args.push(this.parseScript());
    if (this.skipOp("^")) args.push(this.parseScript());
    args.push(this.parseProduct());
    return { t: "call", fn: name, args };
  }

  private environment(): Node {
    const name = this.environmentName();
    if (!/^(?:[pbBvV]?matrix|array|smallmatrix|cases)$/.test(name)) throw new Unreadable(`\\begin{${name}}`);
    if (name === "array" && this.isOp("{")) while (!this.atEnd() && !this.skipOp("}")) this.next();
    const rows: Node[][] = [[]];
    for (;;) {
      if (this.skipCommand("end")) break;
      if (this.atEnd()) throw new Unreadable("\\begin without \\end");
      if (this.skipOp("&")) continue;
      if (this.skipOp("\\\\")) {
        if (rows.at(-1)!.length > 0) rows.push([]);
        continue;
      }
      if (this.skipCommand("hline")) continue;
      rows.at(-1)!.push(this.parseSum());
    }
    this.environmentName();
    if (rows.at(-1)!.length === 0) rows.pop();
    if (name === "vmatrix") return { t: "call", fn: "det", args: [{ t: "matrix", rows }] };
    return { t: "matrix", rows };
  }

  private environmentName(): string {
    this.expectOp("{");
    let name = "";
    for (let t = this.next(); t && !(t.t === "op" && t.text === "}"); t = this.next()) {
      name += t.t === "word" || t.t === "op" || t.t === "num" ? t.text : t.t === "and" ? "" : t.name;
      if (name.length > 20) break;
    }
    return name;
  }
}

function startsAtomCommand(name: string): boolean {
  return (
    functionNames.has(name) ||
    /^(?:frac|sqrt|pi|infty|[dt]?binom|begin|lfloor|lceil|sum|prod|int|overline|bar|vec|hat|overrightarrow|widehat|angle|triangle|lvert)$/.test(
      name,
    )
  );
}

function sum(terms: Node[]): Node {
  return terms.length === 1 ? terms[0]! : { t: "add", args: terms };
}

function product(a: Node, b: Node): Node {
  return a.t === "mul" ? { t: "mul", args: [...a.args, b] } : { t: "mul", args: [a, b] };
}

/** 1\frac{1}{2} is one and a half: a whole number before a proper fraction of literals. */
function mixedNumber(whole: Node, fraction: Node): Node | undefined {
  const isWhole = whole.t === "num" && whole.decimals === 0;
  if (!isWhole || fraction.t !== "div" || fraction.a.t !== "num" || fraction.b.t !== "num") return undefined;
  const [a, b] = [fraction.a, fraction.b];
  if (a.decimals + b.decimals > 0 || a.value.p >= b.value.p) return undefined;
  return { t: "add", args: [whole, fraction], literal: true };
}

function based(node: Node & { t: "num" }, script: Node): Node {
  if (script.t !== "num" || node.decimals > 0) throw new Unreadable("a subscript on a number");
  const base = Number(script.value.p);
  const digits = node.value.p.toString();
  if (base < 2 || base > 36 || [...digits].some((d) => Number(d) >= base))
    throw new Unreadable("not a number in that base");
  if (digits.length > 300) throw new TooMuchWork("the number is too long");
  const value = [...digits].reduce((v, d) => v * BigInt(base) + BigInt(d), 0n);
  return { t: "based", value: { p: value, q: 1n }, digits, base };
}
