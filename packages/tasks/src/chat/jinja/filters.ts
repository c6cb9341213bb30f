// Jinja's filters of one value: texts, numbers, JSON and what stands in for a missing value. Those of lists are in filters-lists.ts.
import { spend, spendText } from "./budget.ts";
import { Dict } from "./dict.ts";
import { argument, type Filter, type FilterCall } from "./filter-call.ts";
import { listFilters } from "./filters-lists.ts";
import { SPACE } from "./lexer.ts";
import { operate } from "./operators.ts";
import { str, toJson } from "./print.ts";
import { checkFilter } from "./signatures.ts";
import { capitalized, replaced, strip, textMethod } from "./texts.ts";
import {
  Float,
  iterate,
  lengthOf,
  Marked,
  numberOf,
  Sequence,
  textOf,
  truth,
  typeName,
  Undefined,
  type Value,
  wholeOf,
} from "./values.ts";

const flag = (call: FilterCall, at: number, name: string) => truth(argument(call, at, name) ?? false);

/** Lines as str.splitlines gives them for a text that ends with a line end. */
const linesOf = (text: string) => text.split(/\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]/);

function indent(value: Value, call: FilterCall): string {
  const width = argument(call, 0, "width") ?? 4;
  const by =
    typeof width === "string" ? width : " ".repeat(Math.max(0, wholeOf(width, "the width of indent")));
  const lines = linesOf(textOf(value, "the value of indent"));
  spendText(lines.length * by.length);
  const blank = flag(call, 2, "blank");
  const rest = lines.slice(1).map((line) => (blank || line !== "" ? by + line : line));
  return (flag(call, 1, "first") ? by : "") + [lines[0], ...rest].join("\n");
}

function json(value: Value, call: FilterCall): string {
  const level = argument(call, 1, "indent") ?? null;
  const own = argument(call, 2, "separators") ?? null;
  const [item, colon] = own === null ? [] : iterate(own).map((x) => textOf(x, "a separator"));
  if (own !== null && (item === undefined || colon === undefined))
    throw new Error("separators are two texts");
  return toJson(value, {
    ascii: flag(call, 0, "ensure_ascii"),
    indent: level === null ? null : typeof level === "string" ? level : " ".repeat(wholeOf(level, "indent")),
    separators: [item ?? (level === null ? ", " : ","), colon ?? ": "],
    sorted: flag(call, 3, "sort_keys"),
  });
}

function toWhole(value: Value, call: FilterCall): Value {
  const given = argument(call, 0, "default");
  const otherwise = given === undefined ? 0 : given;
  const base = wholeOf(argument(call, 1, "base") ?? 10, "a base");
  if (base !== 10) throw new Error("int with another base than 10 is not served");
  if (value instanceof Undefined) value.fail();
  const number = typeof value === "string" ? fromText(value) : numberOf(value);
  if (typeof value === "string" && Number.isFinite(number) && !Number.isSafeInteger(Math.trunc(number!)))
    throw new Error("a whole number is larger than 2^53");
  return number === undefined || !Number.isFinite(number) ? otherwise : Math.trunc(number) + 0;
}

/** A number as Python's int() and float() read it. */
function fromText(text: string): number | undefined {
  const plain = strip(text, null, "both").toLowerCase();
  if (/^[-+]?(inf|infinity)$/.test(plain)) return plain.startsWith("-") ? -Infinity : Infinity;
  if (/^[-+]?nan$/.test(plain)) return Number.NaN;
  const number = /^[-+]?(\d+(_\d+)*\.?(\d+(_\d+)*)?|\.\d+(_\d+)*)(e[-+]?\d+)?$/;
  return number.test(plain) ? Number(plain.replaceAll("_", "")) : undefined;
}

function toFloat(value: Value, call: FilterCall): Value {
  if (value instanceof Undefined) value.fail();
  const number = typeof value === "string" ? fromText(value) : numberOf(value);
  if (number !== undefined) return new Float(number);
  const otherwise = argument(call, 0, "default");
  return otherwise === undefined ? new Float(0) : otherwise;
}

function rounded(value: Value, call: FilterCall): Value {
  const number = numberOf(value);
  if (number === undefined) throw new Error(`a ${typeName(value)} cannot be rounded`);
  const digits = wholeOf(argument(call, 0, "precision") ?? 0, "precision");
  const method = argument(call, 1, "method") ?? "common";
  const scale = 10 ** digits;
  if (method === "ceil" || method === "floor") return new Float((Math[method](number * scale) + 0) / scale);
  if (method !== "common") throw new Error("method must be common, ceil or floor");
  if (!(value instanceof Float)) {
    if (digits < 0) throw new Error("rounding a whole number to tens is not served");
    return number;
  }
  if (digits < 0 || digits > 15) throw new Error(`rounding to ${digits} digits is not served`);
  // A tie of the exact value goes to the even neighbour; a product as 2.675 · 100 may look like one.
  if (/^50*$/.test(number.toFixed(100).split(".")[1]!.slice(digits)))
    return new Float((2 * Math.round((number * scale) / 2)) / scale);
  // toFixed drops the sign of -0.
  return new Float(number === 0 ? number : Number(number.toFixed(digits)));
}

/** Jinja's title: the first character behind blanks and opening signs. */
function titled(value: Value): string {
  const parts = str(value).split(new RegExp(`([-${SPACE}({\\[<]+)`));
  return parts.map((part) => part.charAt(0).toUpperCase() + part.slice(1).toLowerCase()).join("");
}

function truncated(value: Value, call: FilterCall): string {
  const text = [...textOf(value, "the value of truncate")];
  const length = wholeOf(argument(call, 0, "length") ?? 255, "length");
  const end = textOf(argument(call, 2, "end") ?? "...", "end");
  const leeway = wholeOf(argument(call, 3, "leeway") ?? 5, "leeway");
  if (length < [...end].length) throw new Error(`expected length >= ${[...end].length}, got ${length}`);
  if (text.length <= length + leeway) return text.join("");
  const cut = text.slice(0, Math.max(0, length - [...end].length)).join("");
  if (flag(call, 1, "killwords")) return cut + end;
  const blank = cut.lastIndexOf(" ");
  return (blank < 0 ? cut : cut.slice(0, blank)) + end;
}

function absolute(value: Value): Value {
  const number = numberOf(value);
  if (number === undefined) throw new Error(`a ${typeName(value)} has no absolute value`);
  return value instanceof Float ? new Float(Math.abs(number)) : Math.abs(number);
}

function missing(value: Value, call: FilterCall): Value {
  if (!(value instanceof Undefined || (flag(call, 1, "boolean") && !truth(value)))) return value;
  const otherwise = argument(call, 0, "default_value");
  return otherwise === undefined ? "" : otherwise;
}

function itemsOf(value: Value): Value {
  if (value instanceof Undefined) return new Sequence([], "generator");
  if (!(value instanceof Map)) throw new Error("Can only get item pairs from a mapping.");
  spend(value.size);
  return new Sequence(
    [...value].map(([key, x]) => new Sequence([key, x])),
    "generator",
  );
}

function formatted(value: Value, { args, named }: FilterCall): Value {
  if (args.length > 0 && named.size > 0)
    throw new Error("can't handle positional and keyword arguments at the same time");
  return operate("%", str(value), named.size > 0 ? new Dict(named) : new Sequence(args));
}

const FILTERS: Record<string, Filter> = {
  ...listFilters,
  abs: absolute,
  capitalize: (value) => capitalized(str(value)),
  center: (value, call) => textMethod(str(value), "center")!([argument(call, 0, "width") ?? 80], new Map()),
  count: lengthOf,
  d: missing,
  default: missing,
  float: toFloat,
  format: formatted,
  indent,
  int: toWhole,
  items: itemsOf,
  length: lengthOf,
  lower: (value) => str(value).toLowerCase(),
  replace: (value, call) =>
    replaced(
      str(value),
      str(argument(call, 0, "old") ?? new Undefined("the text to replace is missing").fail()),
      str(argument(call, 1, "new") ?? new Undefined("the text to put in is missing").fail()),
      argument(call, 2, "count"),
    ),
  round: rounded,
  safe: (value) => new Marked(str(value)),
  string: (value) => str(value),
  title: titled,
  tojson: json,
  trim: (value, call) => strip(str(value), argument(call, 0, "chars"), "both"),
  truncate: truncated,
  upper: (value) => str(value).toUpperCase(),
  wordcount: (value) => str(value).match(/[\p{L}\p{N}_]+/gu)?.length ?? 0,
};

/** The value behind a filter. Throws an Error where Python raises one. */
export function applyFilter(name: string, value: Value, call: FilterCall): Value {
  const filter = Object.hasOwn(FILTERS, name) ? FILTERS[name] : undefined;
  if (!filter) throw new Error(`there is no filter ${name}`);
  if (value instanceof Marked && name !== "safe") throw new Error(`${name} behind safe is not served`);
  checkFilter(name, call.args, call.named);
  const made = filter(value, call);
  if (typeof made === "string") spendText(made.length);
  return made;
}
