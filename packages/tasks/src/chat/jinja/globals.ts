// Functions that every template has: namespace, range, dict, cycler, joiner, and those of transformers.
import { spend } from "./budget.ts";
import { Dict } from "./dict.ts";
import { str } from "./print.ts";
import {
  Attributes,
  type Call,
  Callable,
  iterate,
  Sequence,
  textOf,
  Undefined,
  type Value,
  wholeOf,
} from "./values.ts";

/** Numbers that `range` gives at once. Jinja's sandbox has the same bound. */
const MAX_RANGE = 100_000;

function range(args: Value[]): Value {
  const numbers = args.map((x) => wholeOf(x, "an argument of range()"));
  if (numbers.length === 0 || numbers.length > 3) throw new Error("range() takes one to three arguments");
  const [from, to, step] =
    numbers.length === 1 ? [0, numbers[0]!, 1] : [numbers[0]!, numbers[1]!, numbers[2] ?? 1];
  if (step === 0) throw new Error("range() takes no step of 0");
  const count = Math.max(0, Math.ceil((to - from) / step));
  if (!(count <= MAX_RANGE)) throw new Error(`range() gives more than ${MAX_RANGE} numbers`);
  spend(count);
  const shown =
    numbers.length === 3 && step !== 1 ? `range(${from}, ${to}, ${step})` : `range(${from}, ${to})`;
  return new Sequence(
    Array.from({ length: count }, (_, i) => from + i * step),
    "range",
    shown,
  );
}

function dict(args: Value[], named: Map<string, Value>): Map<Value, Value> {
  const [source] = args;
  const pairs = source === undefined ? [] : source instanceof Map ? [...source] : iterate(source).map(pairOf);
  spend(pairs.length);
  return new Dict([...pairs, ...named]);
}

function pairOf(value: Value): [Value, Value] {
  const items = iterate(value);
  if (items.length !== 2) throw new Error("dict() takes a dictionary or pairs");
  return [items[0]!, items[1]!];
}

function namespace(args: Value[], named: Map<string, Value>): Value {
  const values = [...dict(args, named)].map(([key, x]) => [textOf(key, "a name of a namespace"), x] as const);
  return new Attributes(new Map(values), true);
}

function cycler(items: Value[]): Value {
  if (items.length === 0) throw new Error("at least one item has to be provided");
  let at = 0;
  const values = new Map<string, Value>();
  const show = () => values.set("current", items[at]!);
  values.set(
    "next",
    new Callable("next", () => {
      const item = items[at]!;
      at = (at + 1) % items.length;
      show();
      return item;
    }),
  );
  values.set(
    "reset",
    new Callable("reset", () => {
      at = 0;
      show();
      return null;
    }),
  );
  show();
  return new Attributes(values);
}

function joiner([separator = ", "]: Value[]): Value {
  let used = false;
  return new Callable("joiner", () => {
    const text = used ? separator : "";
    used = true;
    return text;
  });
}

/** The day of Llama 3's own templates. A text that is trained on twice has to be the same, so it is every day. */
export const DAY = "26 Jul 2024";

const PARTS: Record<string, string> = {
  Y: "2024",
  y: "24",
  m: "07",
  B: "July",
  b: "Jul",
  h: "Jul",
  d: "26",
  "-d": "26",
  "-m": "7",
  e: "26",
  A: "Friday",
  a: "Fri",
  j: "208",
  u: "5",
  w: "5",
  H: "00",
  I: "12",
  M: "00",
  S: "00",
  p: "AM",
  F: "2024-07-26",
  T: "00:00:00",
  D: "07/26/24",
  "%": "%",
};

function day([format]: Value[]): string {
  return textOf(
    format ?? new Undefined("strftime_now() lacks its format"),
    "the format of strftime_now()",
  ).replace(/%(-?[\s\S]?)/g, (whole, part: string) => {
    const text = Object.hasOwn(PARTS, part) ? PARTS[part] : undefined;
    if (text === undefined) throw new Error(`strftime_now() with ${whole} is not served`);
    return text;
  });
}

const FUNCTIONS: Record<string, Call> = {
  cycler,
  dict,
  joiner,
  namespace,
  raise_exception: ([why]) => {
    throw new Error(str(why ?? ""));
  },
  range,
  strftime_now: day,
};

export const globals: ReadonlyMap<string, Value> = new Map(
  Object.entries(FUNCTIONS).map(([name, call]) => [name, new Callable(name, call)]),
);
