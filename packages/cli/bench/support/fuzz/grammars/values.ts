// Texts, numbers and JSON that grammars have in common.
import type { Draw } from "../inputs.ts";

export const text = (d: Draw): string =>
  d.pick([
    "a",
    "Sum 1+1",
    "é\u2028",
    "",
    "x".repeat(d.below(200)),
    "\u0661\u0662",
    "𝑥",
    "$x^2$",
    "\ufeffb",
    "0",
    "null",
  ]);
export const number = (d: Draw): number | string =>
  d.pick([0, 1, -1, 0.5, 1e308, 2 ** 53, -0, 3, 1000, "7", 2 ** 31]);

/** Any JSON, of at most so many levels. */
function json(d: Draw, depth = 4): unknown {
  if (depth === 0) return d.pick([null, true, number(d), text(d)]);
  if (d.chance(0.3)) return d.many(4, () => json(d, depth - 1));
  if (d.chance(0.4)) return Object.fromEntries(d.many(4, () => [text(d), json(d, depth - 1)]));
  return d.pick([null, number(d), text(d)]);
}

/** The value, or anything else in its place. */
export const or = (d: Draw, value: unknown): unknown => (d.chance(0.06) ? json(d) : value);
