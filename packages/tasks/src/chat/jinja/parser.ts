// The statements of Jinja that chat templates may use: those of transformers, with `generation`, `break` and `continue`.
import { ExpressionParser } from "./expressions.ts";
import { tokensOf } from "./lexer.ts";
import type { Expression, Parameter, Statement, Target } from "./nodes.ts";

class Parser extends ExpressionParser {
  /** Tags of the blocks that are open, the innermost last. */
  private readonly open: { tag: number; ends: readonly string[] }[] = [];
  private loops = 0;

  template(): Statement[] {
    return this.body([]);
  }

  /** Statements up to a tag that begins with one of `ends`, which is left where it is. */
  private body(ends: readonly string[]): Statement[] {
    const statements: Statement[] = [];
    for (;;) {
      const { kind, value, tag } = this.token;
      if (kind === "end") {
        const block = this.open.at(-1);
        if (block) this.fail(`the block has no ${block.ends.at(-1)}`, block.tag);
        return statements;
      }
      this.at++;
      if (kind === "text") statements.push({ kind: "text", text: value });
      else if (value === "{{") {
        statements.push({ kind: "print", value: this.tuple() });
        this.expect("}}", "close");
      } else {
        const word = this.name();
        if (ends.includes(word)) return statements;
        const statement = this.statement(word, tag);
        if (statement) statements.push(statement);
        this.expect("%}", "close");
      }
    }
  }

  /** The body of a block, behind whose tag this is. Returns with the word that ended it taken. */
  private block(tag: number, ends: readonly string[]): { body: Statement[]; end: string } {
    this.expect("%}", "close");
    this.open.push({ tag, ends });
    const body = this.body(ends);
    this.open.pop();
    return { body, end: this.tokens[this.at - 1]!.value };
  }

  private statement(word: string, tag: number): Statement | undefined {
    switch (word) {
      case "if":
        return this.if(tag);
      case "for":
        return this.for(tag);
      case "set":
        return this.set(tag);
      case "macro": {
        const name = this.name();
        const parameters = this.parameters();
        return { kind: "macro", name, parameters, body: this.apart(tag, "endmacro") };
      }
      case "call": {
        const parameters = this.is("(") ? this.parameters() : [];
        const call = this.expression();
        if (call.kind !== "call") this.fail("expected a call", tag);
        return { kind: "call_block", call, parameters, body: this.apart(tag, "endcall") };
      }
      case "filter": {
        const filter = this.filter(undefined);
        return { kind: "filter_block", filter, body: this.apart(tag, "endfilter") };
      }
      case "with":
        return this.with(tag);
      case "generation":
        return { kind: "scope", body: this.apart(tag, "endgeneration") };
      case "print":
        return { kind: "print", value: this.tuple() };
      case "break":
      case "continue":
        if (this.loops === 0) this.fail(`${word} outside a loop`, tag);
        return { kind: word };
      default:
        return this.fail(`the tag ${word} is not allowed here`, tag);
    }
  }

  /** A body of its own function, in which no loop can be ended. */
  private apart(tag: number, end: string): Statement[] {
    const { loops } = this;
    this.loops = 0;
    const { body } = this.block(tag, [end]);
    this.loops = loops;
    return body;
  }

  private if(tag: number): Statement {
    const branches: { test: Expression; body: Statement[] }[] = [];
    for (;;) {
      const test = this.tuple(false);
      const { body, end } = this.block(tag, ["elif", "else", "endif"]);
      branches.push({ test, body });
      if (end === "endif") return { kind: "if", branches, otherwise: [] };
      if (end === "else") return { kind: "if", branches, otherwise: this.block(tag, ["endif"]).body };
    }
  }

  private for(tag: number): Statement {
    const target = this.target(false);
    this.expect("in", "name");
    const over = this.tuple(false);
    const test = this.skip("if", "name") ? this.expression() : undefined;
    const recursive = this.skip("recursive", "name");
    this.loops++;
    const { body, end } = this.block(tag, ["else", "endfor"]);
    this.loops--;
    const otherwise = end === "else" ? this.block(tag, ["endfor"]).body : [];
    return { kind: "for", target, over, test, recursive, body, otherwise };
  }

  private set(tag: number): Statement {
    const target = this.target(true);
    if (this.skip("=")) return { kind: "set", target, value: this.tuple() };
    const filter = this.skip("|") ? this.filter(undefined) : undefined;
    return { kind: "set_block", target, filter, body: this.apart(tag, "endset") };
  }

  private with(tag: number): Statement {
    const values: { target: Target; value: Expression }[] = [];
    while (this.token.kind !== "close") {
      if (values.length > 0) this.expect(",");
      const target = this.target(false, false);
      this.expect("=");
      values.push({ target, value: this.expression() });
    }
    return { kind: "with", values, body: this.block(tag, ["endwith"]).body };
  }

  private parameters(): Parameter[] {
    this.expect("(");
    const parameters: Parameter[] = [];
    while (!this.is(")")) {
      if (parameters.length > 0) this.expect(",");
      const name = this.name();
      const otherwise = this.skip("=") ? this.expression() : undefined;
      if (!otherwise && parameters.at(-1)?.otherwise)
        this.fail("a parameter without a default follows one with it");
      parameters.push({ name, otherwise });
    }
    this.expect(")");
    return parameters;
  }

  /** A name, a member of a namespace, or several with commas. */
  private target(members: boolean, commas = true): Target {
    const items = [this.one(members)];
    let tuple = false;
    while (commas && this.skip(",")) {
      tuple = true;
      if (this.is("=") || this.is("in", "name")) break;
      items.push(this.one(members));
    }
    return tuple ? { kind: "tuple", items } : items[0]!;
  }

  private one(members: boolean): Target {
    if (this.skip("(")) {
      const inner = this.target(members);
      this.expect(")");
      return inner;
    }
    const name = this.name();
    if (["true", "false", "none", "True", "False", "None"].includes(name))
      this.fail(`${name} cannot be assigned to`);
    return members && this.skip(".")
      ? { kind: "member", of: name, name: this.name() }
      : { kind: "name", name };
  }
}

/** The tree of a template. Throws JinjaMistake with the place of the tag that is wrong. */
export function parseTemplate(source: string): Statement[] {
  return new Parser(tokensOf(source)).template();
}
