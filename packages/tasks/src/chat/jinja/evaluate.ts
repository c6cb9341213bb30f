// The value of an expression.
import { spend } from "./budget.ts";
import { Dict } from "./dict.ts";
import type { FilterCall } from "./filter-call.ts";
import { applyFilter } from "./filters.ts";
import { attributeOf, itemOf, sliceOf } from "./members.ts";
import type { Argument, Expression } from "./nodes.ts";
import { holds, operate } from "./operators.ts";
import { str } from "./print.ts";
import { holdsTest } from "./tests.ts";
import {
  Attributes,
  Callable,
  Float,
  iterate,
  numberOf,
  Sequence,
  textOf,
  truth,
  typeName,
  Undefined,
  type Value,
} from "./values.ts";

/** Names of a block, and of those around it. */
export class Scope {
  readonly values = new Map<string, Value>();

  constructor(readonly around?: Scope) {}

  find(name: string): Value {
    for (let scope: Scope | undefined = this; scope; scope = scope.around) {
      const value = scope.values.get(name);
      if (value !== undefined) return value;
    }
    if (name === "lipsum" || name === "self") throw new Error(`${name} is not served`);
    return new Undefined(`'${name}' is undefined`);
  }
}

/** Arguments by position and by name. */
export function argumentsOf(
  args: readonly Argument[],
  scope: Scope,
): { args: Value[]; named: Map<string, Value> } {
  const [list, named]: [Value[], Map<string, Value>] = [[], new Map()];
  for (const { kind, name, value: expression } of args) {
    const value = evaluate(expression, scope);
    if (kind === "value") list.push(value);
    else if (kind === "list") list.push(...iterate(value));
    else if (kind === "named") named.set(name, value);
    else if (value instanceof Map) for (const [key, x] of value) named.set(textOf(key, "a name"), x);
    else throw new Error("the value after ** is not a dictionary");
  }
  return { args: list, named };
}

/** Calls a value. Throws an Error for one that is no function. */
export function callValue(value: Value, args: Value[], named: Map<string, Value>): Value {
  if (value instanceof Callable) return value.call(args, named);
  if (value instanceof Attributes && value.call) return value.call(args, named);
  if (value instanceof Undefined) value.fail();
  throw new Error(`'${typeName(value)}' object is not callable`);
}

function filterCall(args: Value[], named: Map<string, Value>): FilterCall {
  return {
    args,
    named,
    apply: (name, value, inner, innerNamed) => applyFilter(name, value, filterCall(inner, innerNamed)),
    test: holdsTest,
  };
}

/** A filter over a value, or over `text` where it is that of a block. */
export function filtered(node: Expression & { kind: "filter" }, scope: Scope, text?: string): Value {
  const of = node.of;
  const value =
    of === undefined
      ? (text ?? "")
      : of.kind === "filter" && text !== undefined
        ? filtered(of, scope, text)
        : evaluate(of, scope);
  const { args, named } = argumentsOf(node.args, scope);
  return applyFilter(node.name, value, filterCall(args, named));
}

function compared(node: Expression & { kind: "comparison" }, scope: Scope): boolean {
  let left = evaluate(node.first, scope);
  for (const { operator, value } of node.rest) {
    const right = evaluate(value, scope);
    if (!holds(operator, left, right)) return false;
    left = right;
  }
  return true;
}

function signed(node: Expression & { kind: "sign" }, scope: Scope): Value {
  const value = evaluate(node.of, scope);
  const number = numberOf(value);
  if (value instanceof Undefined) value.fail();
  if (number === undefined) throw new Error(`bad operand type for unary ${node.sign}: '${typeName(value)}'`);
  const signedNumber = node.sign === "-" ? -number : number;
  return value instanceof Float ? new Float(signedNumber) : signedNumber + 0;
}

function itemAt(node: Expression & { kind: "item" }, scope: Scope): Value {
  const of = evaluate(node.of, scope);
  if (node.key.kind !== "slice") return itemOf(of, evaluate(node.key, scope));
  const part = (x: Expression | undefined) => (x ? evaluate(x, scope) : null);
  return sliceOf(of, part(node.key.from), part(node.key.to), part(node.key.step));
}

/** The value of an expression. Throws an Error where Python raises one, and where the budget is spent. */
export function evaluate(node: Expression, scope: Scope): Value {
  spend(1);
  switch (node.kind) {
    case "constant":
      return node.value;
    case "float":
      return new Float(node.value);
    case "name":
      return scope.find(node.name);
    case "tuple":
      return new Sequence(node.items.map((x) => evaluate(x, scope)));
    case "list":
      return node.items.map((x) => evaluate(x, scope));
    case "dict":
      return new Dict(node.entries.map(([key, value]) => [evaluate(key, scope), evaluate(value, scope)]));
    case "attribute":
      return attributeOf(evaluate(node.of, scope), node.name);
    case "item":
      return itemAt(node, scope);
    case "call": {
      const of = evaluate(node.of, scope);
      const { args, named } = argumentsOf(node.args, scope);
      return callValue(of, args, named);
    }
    case "filter":
      return filtered(node, scope);
    case "test": {
      const holdsNow = holdsTest(node.name, evaluate(node.of, scope), argumentsOf(node.args, scope).args);
      return holdsNow !== node.negated;
    }
    case "not":
      return !truth(evaluate(node.of, scope));
    case "sign":
      return signed(node, scope);
    case "operation":
      return operate(node.operator, evaluate(node.left, scope), evaluate(node.right, scope));
    case "joined":
      return node.items.map((x) => str(evaluate(x, scope))).join("");
    case "and":
    case "or": {
      const left = evaluate(node.left, scope);
      return truth(left) === (node.kind === "and") ? evaluate(node.right, scope) : left;
    }
    case "comparison":
      return compared(node, scope);
    case "choice":
      if (truth(evaluate(node.test, scope))) return evaluate(node.value, scope);
      return node.otherwise
        ? evaluate(node.otherwise, scope)
        : new Undefined("the condition is false, and there is no else");
    default:
      throw new Error("a slice outside of a subscript");
  }
}
