// Attributes, items and methods of values. `a.b` is the attribute first and the key then, `a['b']` the other way round, as in Jinja.

import { spend } from "./budget.ts";
import { Dict } from "./dict.ts";
import { sliced } from "./operators.ts";
import { checkMethod } from "./signatures.ts";
import { textMethod, UNSERVED_TEXT_METHODS } from "./texts.ts";
import {
  Attributes,
  type Call,
  Callable,
  equal,
  Float,
  itemsInOrder,
  numberOf,
  Sequence,
  typeName,
  Undefined,
  type Value,
} from "./values.ts";

/** Methods that change a value: Jinja's sandbox of transformers has them refused. */
const CHANGING: Record<string, Set<string>> = {
  list: new Set("append clear extend insert pop remove reverse sort".split(" ")),
  dict: new Set("clear pop popitem setdefault update".split(" ")),
};

function pairs(map: Map<Value, Value>): Value[] {
  spend(map.size);
  return [...map].map(([key, value]) => new Sequence([key, value]));
}

function dictMethod(map: Map<Value, Value>, name: string): Call | undefined {
  const methods: Record<string, Call> = {
    get: ([key = null, otherwise = null]) => (map.has(key) ? map.get(key)! : otherwise),
    items: () => new Sequence(pairs(map), "dict_items"),
    keys: () => new Sequence([...map.keys()], "dict_keys"),
    values: () => new Sequence([...map.values()], "dict_values"),
    copy: () => new Dict(map),
  };
  const method = Object.hasOwn(methods, name) ? methods[name] : undefined;
  return (
    method &&
    ((args, named) => {
      checkMethod(name, args, named);
      return method(args, named);
    })
  );
}

function listMethod(items: readonly Value[], name: string): Call | undefined {
  const methods: Record<string, Call> = {
    count: ([wanted]) => items.filter((x) => equal(x, wanted ?? null)).length,
    index: ([wanted]) => {
      const at = items.findIndex((x) => equal(x, wanted ?? null));
      if (at < 0) throw new Error("a value is not in the list");
      return at;
    },
    copy: () => [...items],
  };
  return Object.hasOwn(methods, name) ? methods[name] : undefined;
}

function attribute(value: Value, name: string): Value | undefined {
  if (value instanceof Attributes) return value.values.get(name);
  const type = typeName(value);
  if (CHANGING[type]?.has(name))
    throw new Error(`${type}.${name}() changes a value, which templates may not`);
  if (typeof value === "string") {
    if (UNSERVED_TEXT_METHODS.has(name)) throw new Error(`str.${name}() is not served`);
    const method = textMethod(value, name);
    return method && new Callable(name, method);
  }
  const items = value instanceof Map ? undefined : itemsInOrder(value);
  const method = value instanceof Map ? dictMethod(value, name) : items && listMethod(items, name);
  return method && new Callable(name, method);
}

/** The value of a key or index; undefined where there is none. */
function item(value: Value, key: Value): Value | undefined {
  if (value instanceof Map) return value.get(key);
  const index = typeof key === "number" || typeof key === "boolean" ? numberOf(key) : undefined;
  if (index === undefined) return undefined;
  if (typeof value === "string") return [...value].at(index);
  const sequence =
    value instanceof Sequence && !["tuple", "range"].includes(value.kind) ? undefined : itemsInOrder(value);
  return sequence?.at(index);
}

const NONE = (value: Value, name: string) => new Undefined(`a ${typeName(value)} has no attribute '${name}'`);

/** The first that is there; None is. */
const first = (value: Value, name: string, ...found: (() => Value | undefined)[]): Value => {
  for (const read of found) {
    const got = read();
    if (got !== undefined) return got;
  }
  return NONE(value, name);
};

/** `value.name`. Throws an Error for an undefined value. */
export function attributeOf(value: Value, name: string): Value {
  if (value instanceof Undefined) value.fail();
  return first(
    value,
    name,
    () => attribute(value, name),
    () => item(value, name),
  );
}

/** `value[key]`. Throws an Error for an undefined value. */
export function itemOf(value: Value, key: Value): Value {
  if (value instanceof Undefined) value.fail();
  const named = () => (typeof key === "string" ? attribute(value, key) : undefined);
  return first(value, String(key), () => item(value, key), named);
}

/** `value[from:to:step]`. Throws an Error for what cannot be cut. */
export function sliceOf(value: Value, from: Value, to: Value, step: Value): Value {
  if (value instanceof Undefined) value.fail();
  const cut =
    typeof value === "string" ||
    Array.isArray(value) ||
    (value instanceof Sequence && ["tuple", "range"].includes(value.kind));
  if (!cut) throw new Error(`'${typeName(value)}' object is not subscriptable`);
  return sliced(value, from, to, step);
}

/** A path such as `function.name` or `0`, as filters take it. */
export function pathOf(value: Value, path: Value): Value {
  if (typeof path === "number") return itemOf(value, path);
  if (typeof path !== "string") throw new Error(`an attribute is no name, but ${typeName(path)}`);
  return path
    .split(".")
    .reduce<Value>((at, part) => itemOf(at, /^\d+$/.test(part) ? Number(part) : part), value);
}
