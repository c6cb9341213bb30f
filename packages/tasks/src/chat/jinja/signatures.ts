// Parameters of filters and of methods of texts and dictionaries: Python refuses arguments beyond these, which could change the text.
import type { Value } from "./values.ts";

interface Signature {
  /** The most arguments by position. */
  most: number;
  names: readonly string[];
}

const table = (lines: readonly string[]): Map<string, Signature> =>
  new Map(
    lines.map((line) => {
      const [name, ...names] = line.split(" ") as [string, ...string[]];
      return [name, { most: names.length, names }];
    }),
  );

/** Filters by their parameters after the value; those that pass arguments on are absent. */
const FILTERS = table([
  "abs",
  "batch linecount fill_with",
  "capitalize",
  "center width",
  "count",
  "d default_value boolean",
  "default default_value boolean",
  "dictsort case_sensitive by reverse",
  "first",
  "float default",
  "indent width first blank",
  "int default base",
  "items",
  "join d attribute",
  "last",
  "length",
  "list",
  "lower",
  "max case_sensitive attribute",
  "min case_sensitive attribute",
  "replace old new count",
  "reverse",
  "round precision method",
  "safe",
  "slice slices fill_with",
  "sort reverse case_sensitive attribute",
  "string",
  "sum attribute start",
  "title",
  "tojson ensure_ascii indent separators sort_keys",
  "trim chars",
  "truncate length killwords end leeway",
  "unique case_sensitive attribute",
  "upper",
  "wordcount",
]);

/** Methods by the most arguments by position, and the names of those that may be given by name. */
const METHODS = new Map<string, Signature>(
  [
    ...Object.entries({ center: 2, ljust: 2, rjust: 2, count: 3, endswith: 3, find: 3, index: 3 }),
    ...Object.entries({ rfind: 3, startswith: 3, join: 1, lstrip: 1, rstrip: 1, strip: 1, zfill: 1 }),
    ...Object.entries({ partition: 1, rpartition: 1, removeprefix: 1, removesuffix: 1, get: 2 }),
    ...[..."capitalize casefold lower swapcase title upper items keys values copy".split(" ")].map(
      (name) => [name, 0] as [string, number],
    ),
    ...[..."alnum alpha ascii decimal digit lower numeric space upper".split(" ")].map(
      (name) => [`is${name}`, 0] as [string, number],
    ),
  ].map(([name, most]): [string, Signature] => [name as string, { most: most as number, names: [] }]),
);
METHODS.set("split", { most: 2, names: ["sep", "maxsplit"] });
METHODS.set("rsplit", { most: 2, names: ["sep", "maxsplit"] });
METHODS.set("splitlines", { most: 1, names: ["keepends"] });
METHODS.set("replace", { most: 3, names: ["count"] });

function check(
  signature: Signature | undefined,
  name: string,
  args: readonly Value[],
  named: ReadonlyMap<string, Value>,
): void {
  if (!signature) return;
  const { most, names } = signature;
  if (args.length > most)
    throw new Error(`${name}() takes at most ${most} argument(s), ${args.length} given`);
  for (const key of named.keys())
    if (!names.includes(key)) throw new Error(`${name}() got an unexpected keyword argument '${key}'`);
}

/** Throws an Error for arguments that the filter has not. */
export const checkFilter = (name: string, args: readonly Value[], named: ReadonlyMap<string, Value>): void =>
  check(FILTERS.get(name), name, args, named);

/** Throws an Error for arguments that the method of a text or dictionary has not. */
export const checkMethod = (name: string, args: readonly Value[], named: ReadonlyMap<string, Value>): void =>
  check(METHODS.get(name), name, args, named);
