// Python's dictionaries: keys that are equal are one key, whatever their types (1, 1.0 and True), and a list is none.
import type { Value } from "./values.ts";
import { Float, Marked, numberOf, Sequence, typeName, Undefined } from "./values.ts";

const ids = new WeakMap<object, number>();
let made = 0;

/** Objects that are equal to themselves alone. */
function idOf(value: object): number {
  const id = ids.get(value) ?? ++made;
  ids.set(value, id);
  return id;
}

/** A text that equal values share and others do not. Throws an Error for what Python cannot hash. */
export function hashOf(value: Value): string {
  if (typeof value === "string") return `s${value}`;
  const number = numberOf(value);
  if (number !== undefined) return `n${number + 0}`;
  if (value === null) return "none";
  if (value instanceof Marked) return `s${value.text}`;
  if (value instanceof Undefined) return "undefined";
  if (value instanceof Sequence && (value.kind === "tuple" || value.kind === "range"))
    return value.kind + JSON.stringify(value.items.map(hashOf));
  const views = value instanceof Sequence && (value.kind === "dict_keys" || value.kind === "dict_items");
  if (Array.isArray(value) || value instanceof Map || views)
    throw new Error(`unhashable type: '${typeName(value)}'`);
  return `o${idOf(value as Exclude<typeof value, number | boolean | Float>)}`;
}

export class Dict extends Map<Value, Value> {
  /** The key that came first, by its hash: another that is equal takes its value and leaves it there. */
  private readonly first = new Map<string, Value>();

  constructor(entries: Iterable<readonly [Value, Value]> = []) {
    super();
    for (const [key, value] of entries) this.set(key, value);
  }

  override get(key: Value): Value | undefined {
    const hash = hashOf(key);
    return this.first.has(hash) ? super.get(this.first.get(hash)!) : undefined;
  }

  override has(key: Value): boolean {
    return this.first.has(hashOf(key));
  }

  override set(key: Value, value: Value): this {
    const hash = hashOf(key);
    if (!this.first.has(hash)) this.first.set(hash, key);
    return super.set(this.first.get(hash)!, value);
  }
}

/** A value of JSON as a template reads it. */
export function fromJson(value: unknown): Value {
  if (value === undefined) return new Undefined("a value is undefined");
  if (typeof value === "number") return Number.isInteger(value) ? value : new Float(value);
  if (value === null || typeof value === "string" || typeof value === "boolean") return value;
  if (Array.isArray(value)) return value.map(fromJson);
  if (typeof value === "object") {
    return new Dict(
      Object.entries(value)
        .filter(([, x]) => x !== undefined)
        .map(([key, x]) => [key, fromJson(x)] as const),
    );
  }
  throw new Error(`a ${typeof value} is no value of a template`);
}
