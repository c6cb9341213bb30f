// LaTeX commands within an expression: fractions, roots, functions, big operators and environments.
import { functionNames, type Token } from "./lex.ts";
import { Unreadable } from "./limits.ts";
import { mapChildren, type Node } from "./node.ts";
import { print } from "./print.ts";
import { workedOut } from "./sums.ts";
import { number, product, quotient } from "./terms.ts";
import { TokenReader } from "./token-reader.ts";

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
const ofSets = new Set(["max", "min", "gcd", "lcm"]);
const inverse: Record<string, string> = { sin: "arcsin", cos: "arccos", tan: "arctan" };

const PI_OVER_180: Node = {
  t: "div",
  a: { t: "const", name: "pi" },
  b: { t: "num", value: { p: 180n, q: 1n }, decimals: 0, digits: 3 },
};

/** The argument of an angle's function, its degrees as numbers: the sine of 30° is not that of 30. */
function inRadians(node: Node): Node {
  const inside = mapChildren(node, inRadians);
  return inside.t === "unit" && inside.unit === "degree"
    ? { t: "mul", args: [inside.a, PI_OVER_180] }
    : inside;
}

/** The number that a call comes to where it is worked out at once, as sums and determinants are; else the call. */
function worked(call: Node & { t: "call" }): Node {
  const value = workedOut(call);
  return value ? { t: "num", value, decimals: 0, digits: 1, worked: true } : call;
}

/** Parses what follows a command; the grammar around it is the subclass's. */
export abstract class CommandParser extends TokenReader {
  abstract parseList(): Node;
  abstract parseRelation(): Node;
  abstract parseSum(): Node;
  abstract parseProduct(): Node;
  abstract parsePower(): Node;
  protected abstract parseUnary(): Node;
  /** What stands after ^ or _. */
  protected abstract parseScript(): Node;
  /** `plain`: a symbol is its name alone, without subscript, primes or call. */
  protected abstract parseAtom(plain?: boolean): Node;
  protected abstract group(open: string): Node;
  protected abstract startsAtom(): boolean;

  private argument(): Node {
    if (this.skipOp("{")) {
      const node = this.parseList();
      this.expectOp("}");
      return node;
    }
    const token = this.peek();
    // \frac13 and \frac94\pi: a bare argument is one digit.
    if (token?.t === "num" && token.text.length > 1 && /^\d+$/.test(token.text)) {
      this.tokens.splice(
        this.at,
        1,
        { t: "num", text: token.text[0]! },
        { t: "num", text: token.text.slice(1) },
      );
    }
    return this.parseAtom(true);
  }

  protected command(name: string): Node {
    switch (name) {
      case "frac": {
        const a = this.argument();
        return quotient(a, this.argument());
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
        return this.angle();
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

  /** Three points name an angle, in this order or the other way round; a letter alone is its value. */
  private angle(): Node {
    const names = [0, 1, 2, 3].map((ahead) => {
      const token = this.peek(ahead);
      return token?.t === "sym" && /^[A-Z]$/.test(token.name) ? token.name : "";
    });
    if (names.slice(0, 3).includes("") || names[3] !== "") return this.parsePower();
    this.at += 3;
    const [a, b, c] = names as [string, string, string, string];
    return { t: "sym", name: a < c ? `angle(${a}${b}${c})` : `angle(${c}${b}${a})` };
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
      // \min\{3, 5\} is the least of a set.
      args = a.t === "list" && ofSets.has(name) ? a.items : [a];
    }
    if (base) args = [...args, base];
    if (/^(?:sin|cos|tan|cot|sec|csc)$/.test(name)) args = args.map(inRadians);
    const call: Node =
      name === "sqrt" ? { t: "root", a: args[0]!, n: number("2") } : worked({ t: "call", fn: name, args });
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
    return worked({ t: "call", fn: name, args });
  }

  private environment(): Node {
    const name = this.environmentName();
    if (/^(?:aligned|align\*?|alignedat|gathered|gather\*?|split)$/.test(name)) return this.lines();
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
    if (name === "vmatrix") return worked({ t: "call", fn: "det", args: [{ t: "matrix", rows }] });
    return { t: "matrix", rows };
  }

  /** Lines of an environment as one list: x &= 1 \\ y &= 2. */
  private lines(): Node {
    const items: Node[] = [];
    for (;;) {
      while (this.skipOp("&") || this.skipOp("\\\\") || this.skipOp(","));
      if (this.skipCommand("end")) break;
      if (this.atEnd()) throw new Unreadable("\\begin without \\end");
      this.dropAlignment();
      items.push(this.parseRelation());
    }
    this.environmentName();
    return items.length === 1 ? items[0]! : { t: "list", items, form: "list" };
  }

  /** Takes the alignment marks out of the line at hand. */
  private dropAlignment(): void {
    const { tokens } = this;
    for (let i = this.at; i < tokens.length; i++) {
      const token = tokens[i]!;
      if ((token.t === "op" && token.text === "\\\\") || (token.t === "cmd" && token.name === "end")) return;
      if (token.t === "op" && token.text === "&") tokens.splice(i--, 1);
    }
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

/** Whether a value may begin with the command. */
export function startsAtomCommand(name: string): boolean {
  return (
    functionNames.has(name) ||
    /^(?:frac|sqrt|pi|infty|[dt]?binom|begin|lfloor|lceil|sum|prod|int|overline|bar|vec|hat|overrightarrow|widehat|angle|triangle|lvert)$/.test(
      name,
    )
  );
}
