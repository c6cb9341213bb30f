// Parses LaTeX and plain expressions by precedence climbing: sum, product, power, atom.
import { counted, countingFactor } from "./counting.ts";
import { Unreadable } from "./limits.ts";
import type { Node } from "./node.ts";
import { CommandParser, startsAtomCommand } from "./parse-command.ts";
import { print } from "./print.ts";
import { based, isDifferential, mixedNumber, number, product, quotient, sum } from "./terms.ts";
import { unitFactor, unitName } from "./units.ts";

const MAX_DEPTH = 60;
const calledLetters = new Set(["f", "g", "h", "F", "G", "W", "phi", "varphi", "psi"]);
/** Words after a number that are no unit but take it back. */
const comment =
  /^(?:squared|cubed)\b|\b(?:plus?|minus?|divided|multiplied|times? (?:zero|one|two|three|four|five|six|seven|eight|nine|ten))\b|\b(?:not?|never|wrong|incorrect|false|maybe|perhaps|if|unless|but|instead)\b/i;

export abstract class ExpressionParser extends CommandParser {
  private depth = 0;
  private bars = 0;

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
        left = quotient(left, this.divisor(left));
      } else if (this.startsAtom()) {
        const plainMixed = left.t === "num" && this.peek()?.t === "num";
        let juxtaposed = this.parsePower();
        if (plainMixed) {
          // "1 1/2"; two numbers side by side mean nothing else.
          if (!this.skipOp("/")) throw new Unreadable("two numbers side by side");
          juxtaposed = { t: "div", a: juxtaposed, b: this.parsePower() };
        }
        const share = juxtaposed.t === "percent" ? mixedNumber(left, juxtaposed.a) : undefined;
        const mixed: Node | undefined = share ? { t: "percent", a: share } : mixedNumber(left, juxtaposed);
        if (plainMixed && !mixed) throw new Unreadable("two numbers side by side");
        left = mixed ?? product(left, juxtaposed);
      } else break;
    }
    return left;
  }

  /** What stands behind a slash: one factor, or the whole dx of dy/dx. */
  private divisor(above: Node): Node {
    const [d, x] = [this.peek(), this.peek(1)];
    if (!isDifferential(above) || d?.t !== "sym" || d.name !== "d" || x?.t !== "sym")
      return this.parseUnary();
    return product(this.parseAtom(true), this.parsePower());
  }

  protected parseUnary(): Node {
    if (this.skipOp("-")) return { t: "neg", a: this.parseUnary() };
    if (this.skipOp("+")) return this.parseUnary();
    return this.parsePower();
  }

  protected startsAtom(): boolean {
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
      else if (this.isOp("'")) {
        // A derivative is not its function; feet and minutes are not told apart from primes.
        if (base.t !== "sym" && base.t !== "call") throw new Unreadable("a prime behind a value");
        this.next();
        base = {
          t: "call",
          fn: base.t === "sym" ? `${base.name}'` : `${base.fn}'`,
          args: base.t === "call" ? base.args : [],
        };
      } else if (this.isOp("^")) {
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
        } else if (this.isCommand("top", "T")) {
          this.next();
          base = { t: "call", fn: "transpose", args: [base] };
        } else if (this.isCommand("prime")) {
          this.next();
          base = { t: "sym", name: `${print(base)}'` };
        } else base = { t: "pow", a: base, b: this.parseScript() };
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
  protected parseScript(): Node {
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

  protected parseAtom(plain = false): Node {
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

  /** 0.1\overline{6}, 0.\dot{1}4285\dot{7}: repeating decimals. */
  private repeating(text: string): Node | undefined {
    if (!text.includes(".") || !this.isCommand("overline", "dot", "bar")) return undefined;
    const dotted = this.isCommand("dot");
    const first = this.periodAt(0);
    if (first === undefined) return undefined;
    let period = first.text;
    this.at += first.tokens;
    if (dotted) {
      const between = this.peek();
      const inside = between?.t === "num" && /^\d+$/.test(between.text) ? between.text : "";
      const last = this.isCommandAt(inside === "" ? 0 : 1, "dot")
        ? this.periodAt(inside === "" ? 0 : 1)
        : undefined;
      if (last) {
        period += inside + last.text;
        this.at += last.tokens + (inside === "" ? 0 : 1);
      }
    }
    const decimals = text.split(".")[1]?.length ?? 0;
    const nines = 10n ** BigInt(period.length) - 1n;
    const tail = { p: BigInt(period), q: nines * 10n ** BigInt(decimals) };
    const rest: Node = { t: "num", value: tail, decimals: 0, digits: 1 };
    return { t: "add", args: [number(text), rest], literal: true };
  }

  private isCommandAt(offset: number, name: string): boolean {
    const token = this.peek(offset);
    return token?.t === "cmd" && token.name === name;
  }

  /** Digits marked by the command `offset` tokens on, and how many tokens they take. */
  private periodAt(offset: number): { text: string; tokens: number } | undefined {
    const braced = this.isOp("{", offset + 1) && this.isOp("}", offset + 3);
    const token = this.peek(offset + (braced ? 2 : 1));
    if (token?.t !== "num" || !/^\d{1,60}$/.test(token.text)) return undefined;
    return braced ? { text: token.text, tokens: 4 } : undefined;
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

  protected group(open: string): Node {
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
}
