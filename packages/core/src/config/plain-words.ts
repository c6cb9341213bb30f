// What a schema complains of, in the words of its user: "it must be a whole number of at least 1, and is 0".
import type { z } from "zod";
import { didYouMean } from "./did-you-mean.ts";

type Issue = z.core.$ZodIssue;

const KINDS: Record<string, string> = {
  string: "a text",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: "a list",
  object: "an object (a mapping of keys to values)",
  record: "a mapping of keys to values",
  null: "null",
};

/** A value as a message shows it. */
function shown(value: unknown): string {
  if (value === undefined) return "absent";
  if (typeof value === "number") return String(value);
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

/** "at least 1" and its kin. */
function limit(issue: Issue): string | undefined {
  if (issue.code !== "too_small" && issue.code !== "too_big") return undefined;
  const small = issue.code === "too_small";
  const bound = Number(small ? issue.minimum : issue.maximum);
  const unit = { string: " characters", array: " entries", set: " entries" }[issue.origin as string] ?? "";
  const inclusive = issue.inclusive !== false;
  const word = small ? (inclusive ? "at least" : "more than") : inclusive ? "at most" : "less than";
  const one = bound === 1 ? unit.replace("characters", "character").replace("entries", "entry") : unit;
  return unit === "" ? `it must be ${word} ${bound}` : `it must have ${word} ${bound}${one}`;
}

/** What to do about an issue, as an order; undefined where the message of a schema of its own is all there is. */
export function correction(issue: Issue): string | undefined {
  const bound = limit(issue);
  if (bound !== undefined) {
    const listed = ["array", "set"].includes(String((issue as { origin?: unknown }).origin));
    const text = (issue as { origin?: unknown }).origin === "string";
    const given = bound.replace(/^it must (be|have) /, "");
    return listed || text ? `give ${given}` : `give a number of ${given}`;
  }
  switch (issue.code) {
    case "invalid_type":
      return `give ${KINDS[issue.expected] ?? issue.expected}`;
    case "invalid_value":
      return issue.values.length === 1
        ? `write ${String(issue.values[0])}`
        : `write one of ${issue.values.map(String).join(", ")}`;
    case "not_multiple_of":
      return `give a multiple of ${issue.divisor}`;
    case "invalid_format":
      return issue.format === "url" ? "give a web address" : undefined;
    default:
      return undefined;
  }
}

/** The message of an issue without the library's wording; `value` is what stands there. */
export function plainWords(issue: Issue, value: unknown): string {
  const is = `, and is ${shown(value)}`;
  const bound = limit(issue);
  if (bound !== undefined) return bound + is;
  switch (issue.code) {
    case "invalid_type":
      return `it must be ${KINDS[issue.expected] ?? issue.expected}${is}`;
    case "invalid_value": {
      const names = issue.values.map(String);
      const near = typeof value === "string" ? didYouMean(value, names) : undefined;
      const choice = names.length === 1 ? names[0] : `one of ${names.join(", ")}`;
      return `it must be ${choice}${is}${near ? `; did you mean ${near}?` : ""}`;
    }
    case "not_multiple_of":
      return `it must be a multiple of ${issue.divisor}${is}`;
    case "invalid_format":
      return issue.format === "url"
        ? `it must be a web address${is}`
        : `it does not have the right form${is}`;
    case "unrecognized_keys":
      return `it has ${issue.keys.length === 1 ? "a key" : "keys"} that nothing reads: ${issue.keys.join(", ")}`;
    case "invalid_union":
      return `it has none of the forms that are possible here${is}`;
    default:
      return issue.message;
  }
}

/** The first complaint about data that a schema does not fit: the path of the value, dotted, and what is wrong with it. */
export function firstComplaint(error: z.ZodError, data: unknown): { path: string; why: string } {
  const [issue] = error.issues;
  const { path } = issue!;
  const value = path.reduce<unknown>(
    (at, key) => (at as Record<PropertyKey, unknown> | undefined)?.[key],
    data,
  );
  return { path: path.map(String).join("."), why: plainWords(issue!, value) };
}
