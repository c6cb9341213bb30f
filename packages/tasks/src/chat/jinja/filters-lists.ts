// Jinja's filters of lists. Those that Python gives one by one are sequences of the kind `generator`: they can be gone through, joined
// and made lists of, and have no length.
import { spend } from "./budget.ts";
import { hashOf } from "./dict.ts";
import { argument, type Filter, type FilterCall } from "./filter-call.ts";
import { pathOf } from "./members.ts";
import { operate } from "./operators.ts";
import { str } from "./print.ts";
import {
  compare,
  iterate,
  Sequence,
  textOf,
  truth,
  typeName,
  Undefined,
  type Value,
  wholeOf,
} from "./values.ts";

const generator = (items: Value[]) => new Sequence(items, "generator");

function itemsOf(value: Value): readonly Value[] {
  const items = iterate(value);
  spend(items.length);
  return items;
}

const lowered = (value: Value): Value => (typeof value === "string" ? value.toLowerCase() : value);

/** What items are compared by: an attribute or themselves, without regard to case unless case_sensitive is set. */
function keyOf(
  _call: FilterCall,
  attribute: Value | undefined,
  sensitive: Value | undefined,
): (item: Value) => Value {
  const fold = truth(sensitive ?? false) ? (value: Value) => value : lowered;
  if (attribute === undefined || attribute === null) return fold;
  if (typeof attribute === "string" && attribute.includes(",")) {
    const paths = attribute.split(",");
    return (item) => paths.map((path) => fold(pathOf(item, path)));
  }
  return (item) => fold(pathOf(item, attribute));
}

function sorted(items: readonly Value[], key: (item: Value) => Value, reverse: boolean): Value[] {
  const keyed = items.map((item) => ({ item, key: key(item) }));
  // Equal items stay in order in both directions, as in Python.
  keyed.sort((a, b) => (reverse ? compare(b.key, a.key) : compare(a.key, b.key)));
  return keyed.map(({ item }) => item);
}

const isReverse = (given: Value | undefined): boolean =>
  given !== undefined && wholeOf(given, "reverse") !== 0;

function extreme(value: Value, call: FilterCall, better: (order: number) => boolean): Value {
  const key = keyOf(call, argument(call, 1, "attribute"), argument(call, 0, "case_sensitive"));
  const items = itemsOf(value);
  if (items.length === 0) return new Undefined("No aggregated item, sequence was empty.");
  const keys = items.map(key);
  let best = 0;
  for (let i = 1; i < items.length; i++) if (better(compare(keys[i]!, keys[best]!))) best = i;
  return items[best]!;
}

/** select, reject and their forms for an attribute. */
function chosen(value: Value, call: FilterCall, wanted: boolean, byAttribute: boolean): Value {
  const path = byAttribute ? call.args[0] : undefined;
  if (byAttribute && path === undefined) throw new Error("Missing parameter for attribute name");
  const [name, ...args] = call.args.slice(byAttribute ? 1 : 0);
  return generator(
    itemsOf(value).filter((item) => {
      const at = path === undefined ? item : pathOf(item, path);
      const holds = name === undefined ? truth(at) : call.test(textOf(name, "a test"), at, args);
      return holds === wanted;
    }),
  );
}

function mapped(value: Value, call: FilterCall): Value {
  const items = itemsOf(value);
  if (call.args.length === 0) {
    const path = call.named.get("attribute");
    if (path === undefined) throw new Error("map requires a filter argument");
    const otherwise = call.named.get("default");
    return generator(
      items.map((item) => {
        const got = pathOf(item, path);
        return got instanceof Undefined && otherwise !== undefined ? otherwise : got;
      }),
    );
  }
  const [name, ...args] = call.args;
  return generator(items.map((item) => call.apply(textOf(name!, "a filter"), item, args, call.named)));
}

function joined(value: Value, call: FilterCall): string {
  const attribute = argument(call, 1, "attribute");
  const texts = itemsOf(value).map((x) =>
    str(attribute === undefined || attribute === null ? x : pathOf(x, attribute)),
  );
  const separator = argument(call, 0, "d");
  return texts.join(separator === undefined ? "" : str(separator));
}

function dictSorted(value: Value, call: FilterCall): Value[] {
  if (!(value instanceof Map)) throw new Error(`dictsort of a ${typeName(value)}`);
  const by = argument(call, 1, "by") ?? "key";
  if (by !== "key" && by !== "value") throw new Error('You can only sort by either "key" or "value"');
  const pairs = [...value].map(([key, x]) => new Sequence([key, x]));
  spend(pairs.length);
  const fold = truth(argument(call, 0, "case_sensitive") ?? false) ? (x: Value) => x : lowered;
  const key = (pair: Value) => fold((pair as Sequence).items[by === "key" ? 0 : 1]!);
  return sorted(pairs, key, isReverse(argument(call, 2, "reverse")));
}

function batched(value: Value, call: FilterCall): Value {
  const size = wholeOf(argument(call, 0, "linecount") ?? 0, "linecount");
  if (size < 1) throw new Error("linecount is below 1");
  const fill = argument(call, 1, "fill_with") ?? null;
  const items = itemsOf(value);
  const rows: Value[][] = [];
  for (let at = 0; at < items.length; at += size) rows.push(items.slice(at, at + size));
  const last = rows.at(-1);
  while (fill !== null && last && last.length < size) last.push(fill);
  return generator(rows);
}

function cut(value: Value, call: FilterCall): Value {
  const count = wholeOf(argument(call, 0, "slices") ?? 0, "slices");
  if (count < 1 || count > 100_000) throw new Error("slices is not from 1 to 100000");
  const fill = argument(call, 1, "fill_with") ?? null;
  const items = itemsOf(value);
  const [each, extra] = [Math.floor(items.length / count), items.length % count];
  const rows = Array.from({ length: count }, (_, i) => {
    const start = i * each + Math.min(i, extra);
    const row = items.slice(start, start + each + (i < extra ? 1 : 0));
    // Also where the items divide evenly: Python fills every row behind those with one more item.
    return fill !== null && i >= extra ? [...row, fill] : row;
  });
  return generator(rows);
}

function unique(value: Value, call: FilterCall): Value {
  const key = keyOf(call, argument(call, 1, "attribute"), argument(call, 0, "case_sensitive"));
  const keys = new Set<string>();
  const kept = itemsOf(value).filter((item) => {
    const own = hashOf(key(item));
    return !keys.has(own) && keys.add(own);
  });
  return generator(kept);
}

function reversed(value: Value): Value {
  if (typeof value === "string") return [...value].reverse().join("");
  return generator([...itemsOf(value)].reverse());
}

export const listFilters: Record<string, Filter> = {
  batch: batched,
  dictsort: dictSorted,
  first: (value) => {
    const items = iterate(value);
    // The others of a generator are still to come.
    if (value instanceof Sequence && value.kind === "generator") value.items = items.slice(1);
    return items.length > 0 ? items[0]! : new Undefined("No first item, sequence was empty.");
  },
  join: joined,
  last: (value) => {
    if (value instanceof Sequence && value.kind === "generator")
      throw new Error("'generator' object is not reversible");
    return (
      iterate(value).at(-1) ??
      (iterate(value).length > 0 ? null : new Undefined("No last item, sequence was empty."))
    );
  },
  list: (value) => [...itemsOf(value)],
  map: mapped,
  max: (value, call) => extreme(value, call, (order) => order > 0),
  min: (value, call) => extreme(value, call, (order) => order < 0),
  reject: (value, call) => chosen(value, call, false, false),
  rejectattr: (value, call) => chosen(value, call, false, true),
  reverse: reversed,
  select: (value, call) => chosen(value, call, true, false),
  selectattr: (value, call) => chosen(value, call, true, true),
  slice: cut,
  sort: (value, call) => {
    const key = keyOf(call, argument(call, 2, "attribute"), argument(call, 1, "case_sensitive"));
    return sorted(itemsOf(value), key, isReverse(argument(call, 0, "reverse")));
  },
  sum: (value, call) => {
    const attribute = argument(call, 0, "attribute") ?? null;
    const start = argument(call, 1, "start") ?? 0;
    if (typeof start === "string") throw new Error("sum() can't sum strings [use ''.join(seq) instead]");
    return itemsOf(value).reduce<Value>(
      (total, x) => operate("+", total, attribute === null ? x : pathOf(x, attribute)),
      start,
    );
  },
  unique,
};
