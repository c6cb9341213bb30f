// Python's arithmetic and comparisons.
import { spend, spendText } from "./budget.ts";
import { fixedText, repr, str, widened } from "./print.ts";
import {
  compare,
  equal,
  Float,
  isFloat,
  iterate,
  numberOf,
  Sequence,
  typeName,
  Undefined,
  type Value,
  wholeOf,
} from "./values.ts";

/** A list or text made longer than this is refused before it is made. */
const MAX_ITEMS = 1_000_000;

function unsupported(operator: string, left: Value, right: Value): never {
  if (left instanceof Undefined) left.fail();
  if (right instanceof Undefined) right.fail();
  throw new Error(
    `unsupported operand type(s) for ${operator}: '${typeName(left)}' and '${typeName(right)}'`,
  );
}

function repeated(value: Value, times: number): Value | undefined {
  const count = Math.max(0, times);
  if (typeof value === "string") {
    if (value.length * count > MAX_ITEMS)
      throw new Error(`it makes a text of more than ${MAX_ITEMS} characters`);
    spendText(value.length * count);
    return value.repeat(count);
  }
  if (!Array.isArray(value)) return undefined;
  if (value.length * count > MAX_ITEMS) throw new Error(`it makes a list of more than ${MAX_ITEMS} items`);
  spend(value.length * count);
  return Array.from({ length: count }, () => value).flat();
}

/** It has the sign of the divisor, also where it is 0. */
const remainder = (a: number, b: number) => {
  const rest = a % b;
  if (rest === 0) return b < 0 ? -0 : 0;
  return rest < 0 !== b < 0 ? rest + b : rest;
};

const NUMBERS: Record<string, (a: number, b: number) => number> = {
  "+": (a, b) => a + b,
  "-": (a, b) => a - b,
  "*": (a, b) => a * b,
  "/": (a, b) => a / b,
  "//": (a, b) => Math.floor(a / b),
  "%": remainder,
  "**": (a, b) => a ** b,
};

function onNumbers(operator: string, left: Value, right: Value): Value | undefined {
  const [a, b] = [numberOf(left), numberOf(right)];
  const compute = NUMBERS[operator];
  if (a === undefined || b === undefined || !compute) return undefined;
  if (b === 0 && (operator === "/" || operator === "//" || operator === "%"))
    throw new Error("division by zero");
  if (a === 0 && b < 0 && operator === "**") throw new Error("0.0 cannot be raised to a negative power");
  if (a < 0 && operator === "**" && !Number.isInteger(b))
    throw new Error("a negative number to a broken power is a complex number, which is not served");
  const result = compute(a, b);
  const float = isFloat(left) || isFloat(right) || operator === "/" || (operator === "**" && b < 0);
  if (float) return new Float(result);
  if (!Number.isSafeInteger(result)) throw new Error("a whole number is larger than 2^53");
  return result + 0;
}

/** `%` on a text: %s, %r, %d, %i, %x, %f with a width and digits. */
function formatted(format: string, right: Value): string {
  const values = right instanceof Sequence && right.kind === "tuple" ? [...right.items] : [right];
  const text = format.replace(
    /%(?:\((\w+)\))?([-0]?)(\d*)(?:\.(\d+))?([\s\S])?/g,
    (_, key?: string, flag?: string, width?: string, digits?: string, type?: string) => {
      if (type === "%") return "%";
      const named = key !== undefined && right instanceof Map ? right.get(key) : undefined;
      const value = key === undefined ? values.shift() : named;
      if (value === undefined) throw new Error("not enough arguments for format string");
      const one = formatOne(type ?? "", value, digits === undefined ? undefined : Number(digits));
      const size = Number(width || 0);
      if (size > MAX_ITEMS) throw new Error(`a width is more than ${MAX_ITEMS}`);
      if (flag === "-") return widened(one, size, "behind");
      if (flag !== "0" || type === "s" || type === "r") return widened(one, size, "front");
      return one.startsWith("-") ? `-${one.slice(1).padStart(size - 1, "0")}` : one.padStart(size, "0");
    },
  );
  if (values.length > 0 && !(right instanceof Map))
    throw new Error("not all arguments converted during string formatting");
  return text;
}

function formatOne(type: string, value: Value, digits: number | undefined): string {
  if (type === "s" || type === "r") {
    const text = type === "s" ? str(value) : repr(value);
    return digits === undefined ? text : [...text].slice(0, digits).join("");
  }
  const number = numberOf(value);
  if (number === undefined) throw new Error(`%${type} format: a number is required, not ${typeName(value)}`);
  if (type === "f") return fixedText(number, digits ?? 6);
  if (type === "x" && value instanceof Float) throw new Error("%x format: an integer is required, not float");
  if (type === "d" || type === "i" || type === "x") {
    const text = Math.trunc(Math.abs(number)).toString(type === "x" ? 16 : 10);
    // Digits of a whole number are its least ones.
    return (number <= -1 ? "-" : "") + text.padStart(Math.min(digits ?? 0, MAX_ITEMS), "0");
  }
  throw new Error(`%${type} is not served`);
}

/** An arithmetic operation. Throws an Error where Python raises one. */
export function operate(operator: string, left: Value, right: Value): Value {
  const number = onNumbers(operator, left, right);
  if (number !== undefined) return number;
  if (operator === "+") {
    if (typeof left === "string" && typeof right === "string") {
      spendText(left.length + right.length);
      return left + right;
    }
    if (Array.isArray(left) && Array.isArray(right)) {
      spend(left.length + right.length);
      return [...left, ...right];
    }
    if (
      left instanceof Sequence &&
      right instanceof Sequence &&
      left.kind === "tuple" &&
      right.kind === "tuple"
    )
      return new Sequence([...left.items, ...right.items]);
  }
  if (operator === "*") {
    const [a, b] = [left, right].map((x) => (isFloat(x) ? undefined : numberOf(x)));
    const made = b !== undefined ? repeated(left, b) : a !== undefined ? repeated(right, a) : undefined;
    if (made !== undefined) return made;
  }
  if (operator === "%" && typeof left === "string") return formatted(left, right);
  return unsupported(operator, left, right);
}

/** Whether `item` is in `container`. */
export function contains(container: Value, item: Value): boolean {
  if (typeof container === "string") {
    if (typeof item === "string") {
      spendText(container.length);
      return container.includes(item);
    }
    throw new Error(`'in <string>' requires string as left operand, not ${typeName(item)}`);
  }
  if (container instanceof Map) return container.has(item);
  const items = iterate(container);
  spend(items.length);
  const at = items.findIndex((x) => equal(x, item));
  // A generator is gone through up to the item.
  if (at >= 0 && container instanceof Sequence && container.kind === "generator")
    container.items = items.slice(at + 1);
  return at >= 0;
}

/** A comparison. Throws an Error for values that have no order. */
export function holds(operator: string, left: Value, right: Value): boolean {
  switch (operator) {
    case "==":
      return equal(left, right);
    case "!=":
      return !equal(left, right);
    case "in":
      return contains(right, left);
    case "not in":
      return !contains(right, left);
    default: {
      const order = compare(left, right);
      if (operator === "<") return order < 0;
      if (operator === "<=") return order <= 0;
      return operator === ">" ? order > 0 : order >= 0;
    }
  }
}

/** Python's slice of a list, text or tuple. Throws an Error for a step of 0. */
export function sliced(value: Value, from: Value, to: Value, by: Value): Value {
  const whole = (x: Value, name: string) => (x === null ? undefined : wholeOf(x, name));
  const items = iterate(value);
  const step = whole(by, "a slice's step") ?? 1;
  if (step === 0) throw new Error("slice step cannot be zero");
  const [least, most] = step > 0 ? [0, items.length] : [-1, items.length - 1];
  const bound = (x: number | undefined, otherwise: number) =>
    x === undefined ? otherwise : Math.min(most, Math.max(least, x < 0 ? x + items.length : x));
  const start = bound(whole(from, "a slice's start"), step > 0 ? 0 : most);
  const end = bound(whole(to, "a slice's end"), step > 0 ? most : -1);
  const taken: Value[] = [];
  for (let i = start; step > 0 ? i < end : i > end; i += step) taken.push(items[i]!);
  spend(taken.length);
  if (typeof value === "string") return taken.join("");
  return value instanceof Sequence ? new Sequence(taken, "tuple") : taken;
}
