// How Python prints values: str() and repr() of numbers, texts, lists and dictionaries, and JSON by json.dumps.
import { spendText } from "./budget.ts";
import {
  type Attributes,
  Callable,
  compare,
  Float,
  Marked,
  Sequence,
  Undefined,
  type Value,
} from "./values.ts";

/** repr() of a float: exponents from 1e16 on and below 1e-4, with two digits at least. */
export function floatText(value: number): string {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  if (Object.is(value, -0)) return "-0.0";
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e16 || size < 1e-4)) {
    return value.toExponential().replace(/e([+-])(\d)$/, "e$10$2");
  }
  // Below 1e21 plain digits are what JavaScript writes too.
  const text = String(value);
  return text.includes(".") ? text : `${text}.0`;
}

/** `%.<digits>f` of a number: a tie of its exact value goes to the even digit, where toFixed takes the larger. */
export function fixedText(value: number, digits: number): string {
  if (!Number.isFinite(value)) return floatText(value);
  if (digits > 20 || Math.abs(value) >= 1e21)
    throw new Error("a number of more than 20 digits is not served");
  const text = value.toFixed(digits);
  const sign = (value < 0 || Object.is(value, -0)) && !text.startsWith("-") ? "-" : "";
  const exact = Math.abs(value).toFixed(100).split(".")[1]!;
  const isTie = /^50*$/.test(exact.slice(digits));
  if (!isTie || !/[13579]$/.test(text)) return sign + text;
  // The last digit is odd, so one less is no carry.
  return sign + text.slice(0, -1) + String(Number(text.at(-1)) - 1);
}

/** The text with blanks in front or behind, up to so many characters (code points). */
export function widened(text: string, width: number, blanks: "front" | "behind"): string {
  const missing = " ".repeat(Math.max(0, width - [...text].length));
  return blanks === "front" ? missing + text : text + missing;
}

const NAMED: Record<string, string> = { "\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\" };

function escaped(character: string): string {
  const code = character.codePointAt(0)!;
  const hex = code.toString(16);
  if (code < 0x100) return `\\x${hex.padStart(2, "0")}`;
  return code < 0x10000 ? `\\u${hex.padStart(4, "0")}` : `\\U${hex.padStart(8, "0")}`;
}

/** repr() of a text: single quotes, unless it holds single and no double ones. */
function quoted(text: string): string {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const inner = text.replace(/[\\\n\r\t]/g, (c) => NAMED[c]!).replace(/(?! )[\p{C}\p{Z}]/gu, escaped);
  return quote + (quote === "'" ? inner.replaceAll("'", "\\'") : inner) + quote;
}

function sequenceText({ items, kind, shown }: Sequence): string {
  if (kind === "range") return shown;
  const inner = items.map(repr).join(", ");
  if (kind === "tuple") return items.length === 1 ? `(${inner},)` : `(${inner})`;
  if (kind === "generator")
    throw new Error("it prints what a filter gives one by one; `list` makes a list of it");
  return `${kind}([${inner}])`;
}

/** Python's repr(). Throws an Error for objects that print their address. */
export function repr(value: Value): string {
  if (typeof value === "string") return quoted(value);
  if (value === null) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (typeof value === "number") return String(value);
  if (value instanceof Float) return floatText(value.value);
  if (value instanceof Undefined) return "Undefined";
  if (value instanceof Marked) return `Markup(${quoted(value.text)})`;
  if (value instanceof Sequence) return sequenceText(value);
  if (Array.isArray(value)) return `[${value.map(repr).join(", ")}]`;
  if (value instanceof Map) return `{${[...value].map(([k, v]) => `${repr(k)}: ${repr(v)}`).join(", ")}}`;
  const kind: Attributes | Callable = value;
  throw new Error(
    `it prints an object, ${kind instanceof Callable ? `${kind.name}()` : "a namespace or loop"}`,
  );
}

/** Python's str(). */
export function str(value: Value): string {
  const text =
    typeof value === "string"
      ? value
      : value instanceof Undefined
        ? ""
        : value instanceof Marked
          ? value.text
          : repr(value);
  spendText(text.length);
  return text;
}

export interface JsonOptions {
  /** Blanks or text of one level; null for one line. */
  indent: string | null;
  /** Between items, and between a key and its value. */
  separators: readonly [string, string];
  ascii: boolean;
  sorted: boolean;
}

function jsonText(text: string, ascii: boolean): string {
  // Python escapes no line separators and leaves lone surrogates as they are.
  const plain = JSON.stringify(text);
  return ascii
    ? plain.replace(/[\x7f-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`)
    : plain;
}

function jsonNumber(value: number | Float): string {
  if (typeof value === "number") return String(value);
  if (Number.isFinite(value.value)) return floatText(value.value);
  return Number.isNaN(value.value) ? "NaN" : value.value > 0 ? "Infinity" : "-Infinity";
}

function jsonKey(key: Value): string {
  if (typeof key === "string") return key;
  if (key === null || typeof key === "boolean") return String(key);
  if (typeof key === "number" || key instanceof Float) return jsonNumber(key);
  throw new Error("keys must be str, int, float, bool or None");
}

/** json.dumps of a value. Throws an Error for values that JSON has not. */
export function toJson(value: Value, options: JsonOptions, depth = 0): string {
  if (value === null || typeof value === "boolean") return String(value);
  if (typeof value === "string") return jsonText(value, options.ascii);
  if (value instanceof Marked) return jsonText(value.text, options.ascii);
  if (typeof value === "number" || value instanceof Float) return jsonNumber(value);
  const tuple = value instanceof Sequence && value.kind === "tuple";
  if (!(Array.isArray(value) || value instanceof Map || tuple)) {
    throw new Error(value instanceof Undefined ? `${value.why}, and has no JSON` : "an object has no JSON");
  }
  const [item, colon] = options.separators;
  const line = (level: number) => (options.indent === null ? "" : `\n${options.indent.repeat(level)}`);
  const wrap = (open: string, parts: string[], close: string) =>
    parts.length === 0
      ? open + close
      : `${open}${line(depth + 1)}${parts.join(item + line(depth + 1))}${line(depth)}${close}`;
  if (!(value instanceof Map)) {
    const items = Array.isArray(value) ? value : (value as Sequence).items;
    const text = wrap(
      "[",
      items.map((x) => toJson(x, options, depth + 1)),
      "]",
    );
    spendText(text.length);
    return text;
  }
  const pairs = [...value];
  // By the keys themselves: 2 comes before 10, and a text and a number have no order.
  if (options.sorted) pairs.sort(([a], [b]) => compare(a, b));
  const entries = pairs.map(([key, x]) => [jsonKey(key), x] as const);
  const parts = entries.map(
    ([key, x]) => jsonText(key, options.ascii) + colon + toJson(x, options, depth + 1),
  );
  const text = wrap("{", parts, "}");
  spendText(text.length);
  return text;
}
