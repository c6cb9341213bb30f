// Grammar of recipes in YAML, right ones and odd ones.
import type { Draw } from "../inputs.ts";

export function recipe(d: Draw): Buffer {
  const keys = [
    "name",
    "seed",
    "steps",
    "model",
    "train",
    "data",
    "extends",
    "plugins",
    "threads",
    "<<",
    "? a",
    "d_model",
    "optimizer",
    "lr",
    "mix",
    "sources",
  ];
  const scalar = () =>
    d.pick([
      "1",
      "x",
      "~",
      "*a",
      "&a b",
      "!t 3",
      "'",
      '"',
      "[1, 2",
      "{a: 1}",
      "|\n  x",
      "0x1F",
      ".nan",
      "1e999",
      "${HOME:-x}",
      "2026-01-01",
      "!!binary aa",
      "- x",
    ]);
  const lines = (depth: number, indent: string): string[] =>
    d.many(6, () =>
      depth > 0 && d.chance(0.4)
        ? `${indent}${d.pick(keys)}:\n${lines(depth - 1, `${indent}  `).join("\n")}`
        : `${indent}${d.chance(0.1) ? "- " : ""}${d.pick(keys)}: ${scalar()}`,
    );
  return Buffer.from(lines(4, "").join("\n"));
}
