// Jinja's tests, the words behind `is`.
import { hashOf } from "./dict.ts";
import { filterNames, testNames } from "./names.ts";
import { contains, holds, operate } from "./operators.ts";
import { str } from "./print.ts";
import { textMethod } from "./texts.ts";
import { Attributes, Callable, equal, Float, numberOf, Sequence, Undefined, type Value } from "./values.ts";

type Test = (value: Value, args: readonly Value[]) => boolean;

const other = (args: readonly Value[]): Value => {
  const [value] = args;
  if (value === undefined) throw new Error("a test lacks its argument");
  return value;
};

const comparing =
  (operator: string): Test =>
  (value, args) =>
    holds(operator, value, other(args));

const letters =
  (name: string): Test =>
  (value) =>
    textMethod(str(value), name)!([], new Map()) === true;

const isSequence = (value: Value) =>
  typeof value === "string" ||
  Array.isArray(value) ||
  value instanceof Map ||
  value instanceof Undefined ||
  (value instanceof Sequence && (value.kind === "tuple" || value.kind === "range"));

/** Throws an Error for what Python cannot look up. */
const isNameIn = (names: ReadonlySet<string>, value: Value) => {
  hashOf(value);
  return typeof value === "string" && names.has(value);
};

const [eq, ne, lt, le, gt, ge] = ["==", "!=", "<", "<=", ">", ">="].map(comparing) as [
  Test,
  Test,
  Test,
  Test,
  Test,
  Test,
];

const TESTS: Record<string, Test> = {
  "==": eq,
  "!=": ne,
  "<": lt,
  "<=": le,
  ">": gt,
  ">=": ge,
  boolean: (value) => typeof value === "boolean",
  callable: (value) =>
    value instanceof Callable ||
    value instanceof Undefined ||
    (value instanceof Attributes && value.call !== undefined),
  defined: (value) => !(value instanceof Undefined),
  divisibleby: (value, args) => equal(operate("%", value, other(args)), 0),
  eq,
  equalto: eq,
  even: (value) => equal(operate("%", value, 2), 0),
  false: (value) => value === false,
  filter: (value) => isNameIn(filterNames, value),
  float: (value) => value instanceof Float,
  ge,
  greaterthan: gt,
  gt,
  in: (value, args) => contains(other(args), value),
  integer: (value) => typeof value === "number",
  iterable: (value) => isSequence(value) || value instanceof Sequence,
  le,
  lessthan: lt,
  lower: letters("islower"),
  lt,
  mapping: (value) => value instanceof Map,
  ne,
  none: (value) => value === null,
  number: (value) => numberOf(value) !== undefined,
  odd: (value) => equal(operate("%", value, 2), 1),
  sameas: (value, args) => value === other(args),
  sequence: isSequence,
  string: (value) => typeof value === "string",
  test: (value) => isNameIn(testNames, value),
  true: (value) => value === true,
  undefined: (value) => value instanceof Undefined,
  upper: letters("isupper"),
};

/** Whether a test holds. Throws an Error for one that there is not, and where Python raises one. */
export function holdsTest(name: string, value: Value, args: readonly Value[]): boolean {
  const test = Object.hasOwn(TESTS, name) ? TESTS[name] : undefined;
  if (!test) throw new Error(`there is no test ${name}`);
  return test(value, args);
}
