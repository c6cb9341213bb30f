// The text of a template: its statements run one after another.
import { spend, spendText, withinBudget } from "./budget.ts";
import { Dict, fromJson } from "./dict.ts";
import { argumentsOf, callValue, evaluate, filtered, Scope } from "./evaluate.ts";
import { globals } from "./globals.ts";
import { LoopItems, loopObject } from "./loop.ts";
import type { Parameter, Statement, Target } from "./nodes.ts";
import { parseTemplate } from "./parser.ts";
import { str } from "./print.ts";
import { Attributes, Callable, iterate, Sequence, truth, Undefined, type Value } from "./values.ts";

type Jump = "break" | "continue" | undefined;

function assign(target: Target, value: Value, scope: Scope): void {
  if (target.kind === "name") scope.values.set(target.name, value);
  else if (target.kind === "tuple") {
    const items = iterate(value);
    if (items.length !== target.items.length)
      throw new Error(`${items.length} values cannot be unpacked into ${target.items.length} names`);
    for (const [i, one] of target.items.entries()) assign(one, items[i]!, scope);
  } else {
    const of = scope.find(target.of);
    if (!(of instanceof Attributes && of.open))
      throw new Error("cannot assign attribute on non-namespace object");
    of.values.set(target.name, value);
  }
}

/** What Jinja's condition behind a loop gives of an item that was assigned: several names become a tuple. */
function assigned(target: Target, item: Value, scope: Scope): Value {
  if (target.kind === "name") return scope.find(target.name);
  if (target.kind !== "tuple") return item;
  const items = iterate(item);
  return new Sequence(target.items.map((one, i) => assigned(one, items[i]!, scope)));
}

/** Appends to `out`. Returns the jump of its `else`, which is one of the loop around. */
function runLoop(
  node: Statement & { kind: "for" },
  scope: Scope,
  over: Value,
  depth: number,
  out: string[],
): Jump {
  const { test } = node;
  const items = new LoopItems(over, (item) => {
    if (!test) return item;
    const own = new Scope(scope);
    assign(node.target, item, own);
    return truth(evaluate(test, own)) ? assigned(node.target, item, own) : undefined;
  });
  const again = (inner: Value) => {
    const own: string[] = [];
    runLoop(node, scope, inner, depth + 1, own);
    return own.join("");
  };
  const loop = loopObject(items, depth, node.recursive ? again : undefined);
  // As in Python, a body that always breaks or continues leaves the loop's `else` to be run.
  let completed = false;
  for (let item = items.next(); item !== undefined; item = items.next()) {
    const own = new Scope(scope);
    own.values.set("loop", loop);
    assign(node.target, item, own);
    const jump = run(node.body, own, out);
    if (jump === "break") break;
    completed ||= jump === undefined;
  }
  return completed ? undefined : run(node.otherwise, new Scope(scope), out);
}

/** Values of a macro's parameters, in a scope of its own. */
function bound(
  name: string,
  parameters: readonly Parameter[],
  special: Special,
  definedIn: Scope,
): (args: Value[], named: Map<string, Value>) => Scope {
  return (args, named) => {
    const scope = new Scope(definedIn);
    const rest = new Map(named);
    for (const [i, parameter] of parameters.entries()) {
      const given = i < args.length ? args[i] : rest.get(parameter.name);
      if (args[i] !== undefined && rest.has(parameter.name))
        throw new Error(`macro ${name}() got multiple values for ${parameter.name}`);
      rest.delete(parameter.name);
      const missing = () =>
        parameter.otherwise
          ? evaluate(parameter.otherwise, scope)
          : new Undefined(`parameter '${parameter.name}' was not provided`);
      scope.values.set(parameter.name, given === undefined ? missing() : given);
    }
    const caller = rest.get("caller");
    rest.delete("caller");
    if (caller !== undefined) scope.values.set("caller", caller);
    if (special.kwargs) scope.values.set("kwargs", new Dict(rest));
    else if (rest.size > 0)
      throw new Error(`macro ${name}() takes no keyword argument ${[...rest.keys()][0]}`);
    if (special.varargs) scope.values.set("varargs", new Sequence(args.slice(parameters.length)));
    else if (args.length > parameters.length)
      throw new Error(`macro ${name}() takes not more than ${parameters.length} argument(s)`);
    return scope;
  };
}

interface Special {
  kwargs: boolean;
  varargs: boolean;
}

function macro(
  name: string,
  parameters: readonly Parameter[],
  body: Statement[],
  definedIn: Scope,
): Callable {
  const source = JSON.stringify(body);
  const uses = (word: string) => source.includes(`{"kind":"name","name":"${word}"}`);
  const bind = bound(name, parameters, { kwargs: uses("kwargs"), varargs: uses("varargs") }, definedIn);
  return new Callable(name, (args, named) => {
    const out: string[] = [];
    run(body, bind(args, named), out);
    return out.join("");
  });
}

/** The text of a body in a scope of its own. */
function inner(body: Statement[], scope: Scope): string {
  const out: string[] = [];
  run(body, new Scope(scope), out);
  return out.join("");
}

function runOther(node: Statement, scope: Scope, out: string[]): Jump {
  switch (node.kind) {
    case "for":
      return runLoop(node, scope, evaluate(node.over, scope), 0, out);
    case "set":
      assign(node.target, evaluate(node.value, scope), scope);
      break;
    case "set_block": {
      const text = inner(node.body, scope);
      const filter = node.filter?.kind === "filter" ? node.filter : undefined;
      assign(node.target, filter ? filtered(filter, scope, text) : text, scope);
      break;
    }
    case "macro":
      scope.values.set(node.name, macro(node.name, node.parameters, node.body, scope));
      break;
    case "call_block": {
      if (node.call.kind !== "call") throw new Error("a call block without a call");
      const { args, named } = argumentsOf(node.call.args, scope);
      named.set("caller", macro("caller", node.parameters, node.body, scope));
      out.push(str(callValue(evaluate(node.call.of, scope), args, named)));
      break;
    }
    case "filter_block":
      if (node.filter.kind === "filter") out.push(str(filtered(node.filter, scope, inner(node.body, scope))));
      break;
    case "with": {
      const own = new Scope(scope);
      // Values do not see one another's names.
      const values = node.values.map(({ value }) => evaluate(value, scope));
      for (const [i, { target }] of node.values.entries()) assign(target, values[i]!, own);
      return run(node.body, own, out);
    }
    case "scope":
      out.push(inner(node.body, scope));
      break;
    default:
      throw new Error(`a statement of the kind ${node.kind}`);
  }
  return undefined;
}

function run(statements: readonly Statement[], scope: Scope, out: string[]): Jump {
  for (const node of statements) {
    spend(1);
    if (node.kind === "text") {
      spendText(node.text.length);
      out.push(node.text);
    } else if (node.kind === "print") out.push(str(evaluate(node.value, scope)));
    else if (node.kind === "break" || node.kind === "continue") return node.kind;
    else if (node.kind === "if") {
      const branch = node.branches.find(({ test }) => truth(evaluate(test, scope)));
      const jump = run(branch ? branch.body : node.otherwise, scope, out);
      if (jump) return jump;
    } else {
      const jump = runOther(node, scope, out);
      if (jump) return jump;
    }
  }
  return undefined;
}

/** A template in Jinja, as Python's jinja2 renders it in the sandbox of transformers, or an error. */
export class JinjaTemplate {
  private readonly statements: Statement[];

  /** Throws JinjaMistake with the place of the tag that is wrong. */
  constructor(source: string) {
    this.statements = parseTemplate(source);
  }

  /** The text for JSON values by name. Throws an Error where Python raises one, for what is not served, and where the budget is spent. */
  render(values: Record<string, unknown>): string {
    return withinBudget(() => {
      const outer = new Scope();
      for (const [name, value] of globals) outer.values.set(name, value);
      const context = new Scope(outer);
      for (const [name, value] of Object.entries(values)) context.values.set(name, fromJson(value));
      const out: string[] = [];
      run(this.statements, new Scope(context), out);
      return out.join("");
    });
  }
}
