// Methods of Python's str.
import { spend, spendText } from "./budget.ts";
import { SPACE, withoutBlanksAtEnd } from "./lexer.ts";
import { fixedText, str, widened } from "./print.ts";
import { checkMethod } from "./signatures.ts";
import {
  Float,
  iterate,
  numberOf,
  Sequence,
  textOf,
  truth,
  typeName,
  Undefined,
  type Value,
  wholeOf,
} from "./values.ts";

const START = new RegExp(`^[${SPACE}]+`);

/** strip(), lstrip(), rstrip(): white space, or the characters that are given. */
export function strip(text: string, characters: Value | undefined, sides: "both" | "left" | "right"): string {
  spendText(text.length);
  if (characters === undefined || characters === null) {
    const left = sides === "right" ? text : text.replace(START, "");
    return sides === "left" ? left : withoutBlanksAtEnd(left);
  }
  const set = new Set(textOf(characters, "the characters of strip"));
  const all = [...text];
  let [from, to] = [0, all.length];
  while (sides !== "right" && from < to && set.has(all[from]!)) from++;
  while (sides !== "left" && to > from && set.has(all[to - 1]!)) to--;
  return all.slice(from, to).join("");
}

function split(text: string, separator: Value | undefined, most: number, fromRight: boolean): string[] {
  spendText(text.length);
  if (separator === undefined || separator === null) return splitBlanks(text, most, fromRight);
  const by = textOf(separator, "the separator of split");
  if (by === "") throw new Error("empty separator");
  const parts = text.split(by);
  spend(parts.length);
  if (most < 0 || parts.length <= most + 1) return parts;
  return fromRight
    ? [parts.slice(0, parts.length - most).join(by), ...parts.slice(parts.length - most)]
    : [...parts.slice(0, most), parts.slice(most).join(by)];
}

function splitBlanks(text: string, most: number, fromRight: boolean): string[] {
  const parts: string[] = [];
  const words = new RegExp(`[^${SPACE}]+`, "g");
  const found = [...strip(text, null, fromRight ? "right" : "left").matchAll(words)];
  const source = strip(text, null, fromRight ? "right" : "left");
  spend(found.length);
  if (most < 0 || found.length <= most) return found.map(([word]) => word);
  if (fromRight) {
    const cut = found.length - most;
    const last = found[cut - 1]!;
    const head = source.slice(0, last.index + last[0].length);
    return [strip(head, null, "right"), ...found.slice(cut).map(([word]) => word)];
  }
  for (const word of found.slice(0, most)) parts.push(word[0]);
  return [...parts, source.slice(found[most]!.index)];
}

/** replace(): all, or the first `count`. */
export function replaced(text: string, from: Value, to: Value, count: Value | undefined): string {
  const [old, next] = [textOf(from, "the old text of replace"), textOf(to, "the new text of replace")];
  const most = count === undefined || count === null ? -1 : wholeOf(count, "the count of replace");
  spendText(text.length);
  const parts = old === "" ? ["", ...text, ""] : text.split(old);
  const times = most < 0 ? parts.length - 1 : Math.min(most, parts.length - 1);
  spendText(text.length + times * next.length);
  // An empty text is found before each character and at the end.
  let made = parts[0]!;
  for (let i = 1; i < parts.length; i++) made += (i <= times ? next : old) + parts[i];
  return made;
}

const cased = (text: string) => /\p{L}/u.test(text) && text.toLowerCase() !== text.toUpperCase();

export const capitalized = (text: string): string => {
  const [first = "", ...rest] = text;
  return first.toUpperCase() + rest.join("").toLowerCase();
};

/** title(): the first letter behind what is no letter. */
const titled = (text: string) =>
  text.replace(/\p{L}+/gu, (word) => {
    const [first = "", ...rest] = word;
    return first.toUpperCase() + rest.join("").toLowerCase();
  });

function affix(text: string, affixes: Value, test: (affix: string) => boolean): boolean {
  if (affixes instanceof Sequence) return affixes.items.some((x) => test(textOf(x, "a prefix or suffix")));
  spendText(text.length);
  return test(textOf(affixes, "a prefix or suffix"));
}

/** Place of a text in code points, from the left or the right; -1 where it is not. */
function place(text: string, part: Value, fromRight: boolean): number {
  const wanted = textOf(part, "the text to find");
  spendText(text.length);
  const at = fromRight ? text.lastIndexOf(wanted) : text.indexOf(wanted);
  return at < 0 ? -1 : [...text.slice(0, at)].length;
}

function partition(text: string, separator: Value, fromRight: boolean): Value {
  const by = textOf(separator, "the separator of partition");
  if (by === "") throw new Error("empty separator");
  const at = fromRight ? text.lastIndexOf(by) : text.indexOf(by);
  const parts =
    at < 0
      ? fromRight
        ? ["", "", text]
        : [text, "", ""]
      : [text.slice(0, at), by, text.slice(at + by.length)];
  return new Sequence(parts);
}

function padded(text: string, args: readonly Value[], side: "left" | "right" | "center"): string {
  const width = wholeOf(args[0]!, "a width");
  if (width > 100_000) throw new Error("a width is more than 100000");
  const fill = args[1] === undefined ? " " : textOf(args[1], "a fill character");
  const missing = Math.max(0, width - [...text].length);
  // Python's center() has the odd one at the left where the width is odd.
  const left = side === "left" ? 0 : side === "right" ? missing : (missing >> 1) + (missing & width & 1);
  return fill.repeat(left) + text + fill.repeat(missing - left);
}

/** format(): {}, {0}, {name} and {:.2f}, {:d}, {:s} with a width. */
function format(text: string, args: readonly Value[], named: ReadonlyMap<string, Value>): string {
  let next = 0;
  return text.replace(/\{\{|\}\}|\{(\w*)(?::([^{}]*))?\}|[{}]/g, (whole, key?: string, spec?: string) => {
    if (whole === "{{" || whole === "}}") return whole[0]!;
    if (key === undefined) throw new Error("a format with attributes or single braces is not served");
    const value = key === "" ? args[next++] : /^\d+$/.test(key) ? args[Number(key)] : named.get(key);
    if (value === undefined) throw new Error(`format() has no argument for ${whole}`);
    return spec ? specified(value, spec) : str(value);
  });
}

function specified(value: Value, spec: string): string {
  const match = /^(0?)(\d*)(?:\.(\d+))?([dfs]?)$/.exec(spec);
  if (!match) throw new Error(`the format {:${spec}} is not served`);
  const [, zero, width, digits, type] = match;
  if (Number(width || 0) > 100_000) throw new Error("a width is more than 100000");
  if (type === "s" && typeof value !== "string")
    throw new Error(`Unknown format code 's' for object of type '${typeName(value)}'`);
  const number = numberOf(value);
  if (typeof value === "string" && type !== "d" && type !== "f") {
    if (zero || digits !== undefined) throw new Error(`the format {:${spec}} of a text is not served`);
    return widened(value, Number(width || 0), "behind");
  }
  if (number === undefined)
    throw new Error(`unsupported format string passed to ${typeName(value)}.__format__`);
  const fixed = type === "f" || digits !== undefined;
  if (digits !== undefined && type !== "f") throw new Error(`the format {:${spec}} is not served`);
  if (type === "d" && value instanceof Float)
    throw new Error("Unknown format code 'd' for object of type 'float'");
  // A bool is written as the number that it is.
  const text = fixed ? fixedText(number, Number(digits ?? 6)) : str(value instanceof Float ? value : number);
  if (zero !== "0") return text.padStart(Number(width || 0));
  const sign = text.startsWith("-") ? "-" : "";
  return sign + text.slice(sign.length).padStart(Number(width || 0) - sign.length, "0");
}

type Method = (text: string, args: Value[], named: Map<string, Value>) => Value;

const needed = (args: readonly Value[], at = 0): Value => {
  const value = args[at];
  if (value === undefined) throw new Error("an argument is missing");
  return value;
};
const most = (args: Value[], named: Map<string, Value>) =>
  wholeOf(args[1] ?? named.get("maxsplit") ?? -1, "maxsplit");
const every = (text: string, test: RegExp) => text !== "" && test.test(text);

const METHODS: Record<string, Method> = {
  capitalize: (text) => capitalized(text),
  casefold: (text) => text.toLowerCase().replaceAll("ß", "ss"),
  center: (text, args) => padded(text, args, "center"),
  count: (text, args) => {
    const part = textOf(needed(args), "the text to count");
    // An empty text is found before each character and at the end.
    return part === "" ? [...text].length + 1 : text.split(part).length - 1;
  },
  endswith: (text, args) => affix(text, needed(args), (x) => text.endsWith(x)),
  find: (text, args) => place(text, needed(args), false),
  format: (text, args, named) => format(text, args, named),
  index: (text, args) => {
    const at = place(text, needed(args), false);
    if (at < 0) throw new Error("substring not found");
    return at;
  },
  isalnum: (text) => every(text, /^[\p{L}\p{N}]+$/u),
  isalpha: (text) => every(text, /^\p{L}+$/u),
  isascii: (text) => /^[\x00-\x7f]*$/.test(text),
  isdecimal: (text) => every(text, /^\p{Nd}+$/u),
  isdigit: (text) => every(text, /^[\p{Nd}²³¹⁰⁴-⁹₀-₉]+$/u),
  islower: (text) => cased(text) && text === text.toLowerCase(),
  isnumeric: (text) => every(text, /^\p{N}+$/u),
  isspace: (text) => every(text, new RegExp(`^[${SPACE}]+$`)),
  isupper: (text) => cased(text) && text === text.toUpperCase(),
  join: (text, args) => {
    const made = iterate(needed(args))
      .map((x) => textOf(x, "an item of join"))
      .join(text);
    spendText(made.length);
    return made;
  },
  ljust: (text, args) => padded(text, args, "left"),
  lower: (text) => text.toLowerCase(),
  lstrip: (text, args) => strip(text, args[0], "left"),
  partition: (text, args) => partition(text, needed(args), false),
  removeprefix: (text, args) => {
    const prefix = textOf(needed(args), "a prefix");
    return text.startsWith(prefix) ? text.slice(prefix.length) : text;
  },
  removesuffix: (text, args) => {
    const suffix = textOf(needed(args), "a suffix");
    return suffix !== "" && text.endsWith(suffix) ? text.slice(0, -suffix.length) : text;
  },
  replace: (text, args, named) =>
    replaced(text, needed(args), needed(args, 1), args[2] ?? named.get("count")),
  rfind: (text, args) => place(text, needed(args), true),
  rjust: (text, args) => padded(text, args, "right"),
  rpartition: (text, args) => partition(text, needed(args), true),
  rsplit: (text, args, named) => split(text, args[0] ?? named.get("sep"), most(args, named), true),
  rstrip: (text, args) => strip(text, args[0], "right"),
  split: (text, args, named) => split(text, args[0] ?? named.get("sep"), most(args, named), false),
  splitlines: (text, args, named) => {
    if (truth(args[0] ?? named.get("keepends") ?? false))
      throw new Error("splitlines() that keeps the ends of lines is not served");
    const lines = text.split(/\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]/);
    return lines.at(-1) === "" ? lines.slice(0, -1) : lines;
  },
  startswith: (text, args) => affix(text, needed(args), (x) => text.startsWith(x)),
  strip: (text, args) => strip(text, args[0], "both"),
  swapcase: (text) =>
    [...text].map((c) => (c === c.toUpperCase() ? c.toLowerCase() : c.toUpperCase())).join(""),
  title: (text) => titled(text),
  upper: (text) => text.toUpperCase(),
  zfill: (text, args) => {
    const sign = /^[-+]/.exec(text)?.[0] ?? "";
    return (
      sign + padded(text.slice(sign.length), [wholeOf(needed(args), "a width") - sign.length, "0"], "right")
    );
  },
};

/** The methods that take a place to begin or end at are served without it. */
const ALONE = new Set(["count", "endswith", "find", "index", "rfind", "startswith"]);

/** A method of a text; undefined where Python's str has none of the name, or none that is served. */
export function textMethod(
  text: string,
  name: string,
): ((args: Value[], named: Map<string, Value>) => Value) | undefined {
  const method = Object.hasOwn(METHODS, name) ? METHODS[name] : undefined;
  if (!method) return undefined;
  return (args, named) => {
    checkMethod(name, args, named);
    const undefinedOne = args.find((x) => x instanceof Undefined);
    if (undefinedOne instanceof Undefined && name !== "format") undefinedOne.fail();
    if (ALONE.has(name) && args.length > 1)
      throw new Error(`${name}() with a place to begin at is not served`);
    const made = method(text, args, named);
    if (typeof made === "string") spendText(made.length);
    return made;
  };
}

/** Methods of str that are not served, so that naming them is refused and does not read as undefined. */
export const UNSERVED_TEXT_METHODS = new Set(
  "encode expandtabs format_map isidentifier isprintable istitle maketrans rindex translate".split(" "),
);
