// Values of templates as Python has them: what counts as true, what is equal, and what a loop goes through.
import { spend } from "./budget.ts";

/** Python's float. Whole numbers are plain numbers, so that 2 and 2.0 print as they do there. */
export class Float {
  constructor(readonly value: number) {}
}

/** A name or key that is not there: false, empty, printed as nothing, and an error in all else. */
export class Undefined {
  /** `why`: the error that using it is. */
  constructor(readonly why: string) {}

  fail(): never {
    throw new Error(this.why);
  }
}

/** A sequence that is no list: a tuple, a range, keys of a dictionary, or what a filter gives one by one (a generator). */
export class Sequence {
  private at = 0;

  constructor(
    private all: readonly Value[],
    readonly kind: "tuple" | "range" | "generator" | "dict_keys" | "dict_values" | "dict_items" = "tuple",
    /** What a range prints. */
    readonly shown = "",
  ) {}

  /** Of a generator: those that are still to come. */
  get items(): readonly Value[] {
    if (this.at > 0) this.items = this.all.slice(this.at);
    return this.all;
  }

  set items(items: readonly Value[]) {
    this.all = items;
    this.at = 0;
  }

  /** The next item of a generator, which is gone then; undefined where there is none. */
  take(): Value | undefined {
    return this.all[this.at++];
  }
}

/** `namespace()`, the `loop` of a loop, and other objects with attributes. */
export class Attributes {
  constructor(
    readonly values: Map<string, Value>,
    /** Whether `set` may assign to it. */
    readonly open = false,
    readonly call?: Call,
  ) {}
}

export type Call = (args: Value[], named: Map<string, Value>) => Value;

export class Callable {
  constructor(
    readonly name: string,
    readonly call: Call,
  ) {}
}

/** Text that `safe` marks: it is printed and joined by ~; + would escape the other text, and is refused. */
export class Marked {
  constructor(readonly text: string) {}
}

export type Value =
  | string
  | number
  | boolean
  | null
  | Float
  | Undefined
  | Value[]
  | Sequence
  | Map<Value, Value>
  | Attributes
  | Callable
  | Marked;

/** Python's name of a value's type. */
export function typeName(value: Value): string {
  if (value === null) return "NoneType";
  if (typeof value === "string" || value instanceof Marked) return "str";
  if (typeof value === "boolean") return "bool";
  if (typeof value === "number") return "int";
  if (value instanceof Float) return "float";
  if (Array.isArray(value)) return "list";
  if (value instanceof Map) return "dict";
  if (value instanceof Sequence) return value.kind;
  return value instanceof Undefined ? "Undefined" : "object";
}

/** A number's value, and that of a bool, which is a number in Python; undefined for anything else. */
export function numberOf(value: Value): number | undefined {
  if (typeof value === "number") return value;
  if (typeof value === "boolean") return value ? 1 : 0;
  return value instanceof Float ? value.value : undefined;
}

export const isFloat = (value: Value): value is Float => value instanceof Float;

export function truth(value: Value): boolean {
  if (value === null || value instanceof Undefined) return false;
  const number = numberOf(value);
  if (number !== undefined) return number !== 0;
  if (typeof value === "string" || Array.isArray(value)) return value.length > 0;
  if (value instanceof Map) return value.size > 0;
  if (value instanceof Sequence) return value.kind === "generator" || value.items.length > 0;
  return value instanceof Marked ? value.text !== "" : true;
}

function sameItems(a: readonly Value[], b: readonly Value[]): boolean {
  spend(Math.min(a.length, b.length));
  return a.length === b.length && a.every((x, i) => equal(x, b[i]!));
}

/** Python's ==. */
export function equal(a: Value, b: Value): boolean {
  if (a === b) return true;
  const [x, y] = [numberOf(a), numberOf(b)];
  if (x !== undefined && y !== undefined) return x === y;
  if (a instanceof Undefined) return b instanceof Undefined;
  if (Array.isArray(a)) return Array.isArray(b) && sameItems(a, b);
  if (a instanceof Sequence) {
    // Two generators are two things, whatever they would give; so are the values of two dictionaries.
    if (a.kind === "generator" || a.kind === "dict_values") return false;
    return b instanceof Sequence && a.kind === b.kind && sameItems(a.items, b.items);
  }
  if (a instanceof Marked) return b instanceof Marked ? a.text === b.text : a.text === b;
  if (b instanceof Marked) return b.text === a;
  if (!(a instanceof Map && b instanceof Map)) return false;
  spend(a.size);
  return a.size === b.size && [...a].every(([key, value]) => b.has(key) && equal(value, b.get(key)!));
}

/** Order by code points, as Python has it: that of UTF-16 differs beyond U+FFFF. */
function compareTexts(a: string, b: string): number {
  const [x, y] = [[...a], [...b]];
  for (let i = 0; i < Math.min(x.length, y.length); i++) {
    const difference = x[i]!.codePointAt(0)! - y[i]!.codePointAt(0)!;
    if (difference !== 0) return difference;
  }
  return x.length - y.length;
}

/** Below 0 where a comes before b, as Python orders them. Throws an Error for values that have no order. */
export function compare(a: Value, b: Value): number {
  const [x, y] = [numberOf(a), numberOf(b)];
  if (x !== undefined && y !== undefined) return x - y;
  if (typeof a === "string" && typeof b === "string") return compareTexts(a, b);
  const [list, other] = [itemsInOrder(a), itemsInOrder(b)];
  if (list && other && typeName(a) === typeName(b)) {
    for (let i = 0; i < Math.min(list.length, other.length); i++) {
      if (!equal(list[i]!, other[i]!)) return compare(list[i]!, other[i]!);
    }
    return list.length - other.length;
  }
  if (a instanceof Undefined) a.fail();
  if (b instanceof Undefined) b.fail();
  throw new Error(`'<' not supported between instances of '${typeName(a)}' and '${typeName(b)}'`);
}

/** Items of a list or tuple; undefined for anything else. */
export function itemsInOrder(value: Value): readonly Value[] | undefined {
  if (Array.isArray(value)) return value;
  return value instanceof Sequence ? value.items : undefined;
}

/** What a loop goes through; a generator is empty afterwards. Throws an Error for values that have no items. */
export function iterate(value: Value): readonly Value[] {
  if (value instanceof Sequence && value.kind === "generator") {
    const { items } = value;
    value.items = [];
    return items;
  }
  const items = itemsInOrder(value);
  if (items) return items;
  if (value instanceof Undefined) return [];
  if (value instanceof Map) return [...value.keys()];
  if (typeof value === "string") {
    spend(value.length);
    return [...value];
  }
  throw new Error(`'${typeName(value)}' object is not iterable`);
}

/** Python's len(). */
export function lengthOf(value: Value): number {
  if (value instanceof Map) return value.size;
  if (value instanceof Sequence && value.kind === "generator")
    throw new Error("object of type 'generator' has no len()");
  if (typeof value === "string" || value instanceof Undefined || itemsInOrder(value))
    return iterate(value).length;
  if (value instanceof Marked) return [...value.text].length;
  throw new Error(`object of type '${typeName(value)}' has no len()`);
}

/** A whole number for an index or a count. */
export function wholeOf(value: Value, name: string): number {
  if (typeof value === "number" || typeof value === "boolean") return Number(value);
  if (value instanceof Undefined) value.fail();
  throw new Error(`${name} is no whole number, but ${typeName(value)}`);
}

/** A text. */
export function textOf(value: Value, name: string): string {
  if (typeof value === "string") return value;
  if (value instanceof Undefined) value.fail();
  throw new Error(`${name} is no text, but ${typeName(value)}`);
}
