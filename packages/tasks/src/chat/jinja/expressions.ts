// The expressions of Jinja, in its own order of precedence, which is not Python's: a filter binds closer than any operator.
import { JinjaMistake, type Token } from "./lexer.ts";
import { filterNames, testNames } from "./names.ts";
import type { Argument, Expression } from "./nodes.ts";

const CONSTANTS: Record<string, boolean | null> = {
  true: true,
  True: true,
  false: false,
  False: false,
  none: null,
  None: null,
};
const COMPARISONS = new Set(["==", "!=", "<", "<=", ">", ">="]);

/** Reads expressions from tokens. A parser of statements continues where it stops. */
export class ExpressionParser {
  at = 0;

  constructor(readonly tokens: readonly Token[]) {}

  get token(): Token {
    return this.tokens[this.at]!;
  }

  fail(why: string, tag = this.token.tag): never {
    throw new JinjaMistake(why, tag);
  }

  is(value: string, kind: Token["kind"] = "operator", ahead = 0): boolean {
    const token = this.tokens[this.at + ahead];
    return token?.kind === kind && token.value === value;
  }

  /** Takes the token if it is this one. */
  skip(value: string, kind: Token["kind"] = "operator"): boolean {
    const found = this.is(value, kind);
    if (found) this.at++;
    return found;
  }

  expect(value: string, kind: Token["kind"] = "operator"): void {
    if (!this.skip(value, kind)) this.fail(`expected ${value}, got ${this.shown()}`);
  }

  shown(): string {
    const { kind, value } = this.token;
    return kind === "end" ? "the end of the template" : kind === "text" ? "text" : JSON.stringify(value);
  }

  name(): string {
    if (this.token.kind !== "name") this.fail(`expected a name, got ${this.shown()}`);
    return this.tokens[this.at++]!.value;
  }

  expression(): Expression {
    let node = this.or();
    while (this.skip("if", "name")) {
      const test = this.or();
      const otherwise = this.skip("else", "name") ? this.expression() : undefined;
      node = { kind: "choice", test, value: node, otherwise };
    }
    return node;
  }

  or(): Expression {
    let left = this.and();
    while (this.skip("or", "name")) left = { kind: "or", left, right: this.and() };
    return left;
  }

  private and(): Expression {
    let left = this.not();
    while (this.skip("and", "name")) left = { kind: "and", left, right: this.not() };
    return left;
  }

  private not(): Expression {
    return this.skip("not", "name") ? { kind: "not", of: this.not() } : this.comparison();
  }

  private comparison(): Expression {
    const first = this.sum();
    const rest: { operator: string; value: Expression }[] = [];
    for (;;) {
      let operator: string | undefined;
      if (this.token.kind === "operator" && COMPARISONS.has(this.token.value)) operator = this.token.value;
      else if (this.is("in", "name")) operator = "in";
      else if (this.is("not", "name") && this.is("in", "name", 1)) {
        operator = "not in";
        this.at++;
      }
      if (operator === undefined) break;
      this.at++;
      rest.push({ operator, value: this.sum() });
    }
    return rest.length > 0 ? { kind: "comparison", first, rest } : first;
  }

  private operations(operators: readonly string[], inner: () => Expression): Expression {
    let left = inner();
    for (let found = this.oneOf(operators); found; found = this.oneOf(operators)) {
      left = { kind: "operation", operator: found, left, right: inner() };
    }
    return left;
  }

  private oneOf(operators: readonly string[]): string | undefined {
    return operators.find((operator) => this.skip(operator));
  }

  private sum = (): Expression => this.operations(["+", "-"], this.joined);

  private joined = (): Expression => {
    const items = [this.product()];
    while (this.skip("~")) items.push(this.product());
    return items.length > 1 ? { kind: "joined", items } : items[0]!;
  };

  private product = (): Expression => this.operations(["*", "/", "//", "%"], this.power);

  private power = (): Expression => this.operations(["**"], this.unary);

  private unary = (withFilter = true): Expression => {
    const sign = this.oneOf(["-", "+"]) as "-" | "+" | undefined;
    const node: Expression = sign
      ? { kind: "sign", sign, of: this.unary(false) }
      : this.postfix(this.primary());
    return withFilter ? this.filters(node) : node;
  };

  primary(): Expression {
    const token = this.token;
    if (token.kind === "name") {
      this.at++;
      return token.value in CONSTANTS
        ? { kind: "constant", value: CONSTANTS[token.value]! }
        : { kind: "name", name: token.value };
    }
    if (token.kind === "string") {
      let value = "";
      while (this.token.kind === "string") value += this.tokens[this.at++]!.value;
      return { kind: "constant", value };
    }
    if (token.kind === "integer" || token.kind === "float") {
      this.at++;
      const value = Number(token.value.replaceAll("_", ""));
      if (token.kind === "integer" && !Number.isSafeInteger(value))
        this.fail("a whole number is larger than 2^53");
      return token.kind === "float" ? { kind: "float", value } : { kind: "constant", value };
    }
    if (this.skip("(")) {
      const inner = this.is(")") ? ({ kind: "tuple", items: [] } as Expression) : this.tuple();
      this.expect(")");
      return inner;
    }
    if (this.skip("[")) return { kind: "list", items: this.until("]", () => this.expression()) };
    if (this.skip("{")) return { kind: "dict", entries: this.until("}", () => this.entry()) };
    return this.fail(`unexpected ${this.shown()}`);
  }

  private entry(): [Expression, Expression] {
    const key = this.expression();
    this.expect(":");
    return [key, this.expression()];
  }

  private until<T>(close: string, read: () => T): T[] {
    const items: T[] = [];
    while (!this.is(close)) {
      if (items.length > 0) this.expect(",");
      if (this.is(close)) break;
      items.push(read());
    }
    this.expect(close);
    return items;
  }

  /** One expression, or several with commas as a tuple. `choices`: whether `a if b` may be one. */
  tuple(choices = true): Expression {
    const items: Expression[] = [];
    let commas = false;
    for (;;) {
      const { kind, value } = this.token;
      if (items.length > 0 && (kind === "close" || (kind === "operator" && (value === ")" || value === "="))))
        break;
      items.push(choices ? this.expression() : this.or());
      if (!this.skip(",")) break;
      commas = true;
      if (this.is("in", "name") || this.is("recursive", "name")) break;
    }
    return commas ? { kind: "tuple", items } : items[0]!;
  }

  postfix(start: Expression): Expression {
    let node = start;
    for (;;) {
      if (this.skip(".")) node = this.attribute(node);
      else if (this.skip("[")) node = this.subscript(node);
      else if (this.is("(")) node = { kind: "call", of: node, args: this.args() };
      else return node;
    }
  }

  private attribute(of: Expression): Expression {
    if (this.token.kind === "integer") {
      return { kind: "item", of, key: this.primary() };
    }
    return { kind: "attribute", of, name: this.name() };
  }

  private subscript(of: Expression): Expression {
    const keys = this.until("]", () => this.subscribed());
    if (keys.length === 0) this.fail("expected a subscript");
    return { kind: "item", of, key: keys.length === 1 ? keys[0]! : { kind: "tuple", items: keys } };
  }

  private subscribed(): Expression {
    const part = () => (this.is(":") || this.is("]") || this.is(",") ? undefined : this.expression());
    const from = part();
    if (!this.skip(":")) return from ?? this.fail("expected a subscript");
    const to = part();
    const step = this.skip(":") ? part() : undefined;
    return {
      kind: "slice",
      ...(from ? { from } : {}),
      ...(to ? { to } : {}),
      ...(step ? { step } : {}),
    };
  }

  args(): Argument[] {
    this.expect("(");
    const args = this.until(")", (): Argument => {
      if (this.skip("*")) return { kind: "list", name: "", value: this.expression() };
      if (this.skip("**")) return { kind: "dict", name: "", value: this.expression() };
      if (this.token.kind === "name" && this.is("=", "operator", 1)) {
        const name = this.name();
        this.at++;
        return { kind: "named", name, value: this.expression() };
      }
      return { kind: "value", name: "", value: this.expression() };
    });
    const order = { value: 0, named: 1, list: 1, dict: 2 };
    if (args.some(({ kind }, i) => i > 0 && order[kind] < order[args[i - 1]!.kind]))
      this.fail("an argument by position follows one by name");
    return args;
  }

  private dotted(): string {
    let name = this.name();
    while (this.skip(".")) name += `.${this.name()}`;
    return name;
  }

  /** Filters and tests behind a value. */
  private filters(start: Expression): Expression {
    let node = start;
    for (;;) {
      if (this.skip("|")) node = this.filter(node);
      else if (this.is("is", "name")) node = this.test(node);
      else if (this.is("(")) node = { kind: "call", of: node, args: this.args() };
      else return node;
    }
  }

  /** A filter, and those behind it where it is that of a block (`of` undefined). */
  filter(of: Expression | undefined): Expression {
    const name = this.dotted();
    if (!filterNames.has(name)) this.fail(`there is no filter ${name}`);
    const node: Expression = { kind: "filter", of, name, args: this.is("(") ? this.args() : [] };
    return of === undefined && this.skip("|") ? this.filter(node) : node;
  }

  private test(of: Expression): Expression {
    this.at++;
    const negated = this.skip("not", "name");
    // `in` is a test too.
    const name = this.dotted();
    if (!testNames.has(name)) this.fail(`there is no test ${name}`);
    let args: Argument[] = [];
    const { kind, value } = this.token;
    if (this.is("(")) args = this.args();
    else if (
      (kind === "name" && !["else", "or", "and"].includes(value)) ||
      ["string", "integer", "float"].includes(kind) ||
      (kind === "operator" && (value === "[" || value === "{"))
    ) {
      if (value === "is" && kind === "name") this.fail("tests cannot be chained with is");
      args = [{ kind: "value", name: "", value: this.postfix(this.primary()) }];
    }
    return { kind: "test", of, name, args, negated };
  }
}
