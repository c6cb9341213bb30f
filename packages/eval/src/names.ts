// A name for each entry of a recipe: rows of two entries are never pooled, and a table shows what tells them apart.
import { findTask } from "@nsa/tasks";
import type { EvalTask } from "./config.ts";

function baseOf(spec: EvalTask): string {
  if (spec.name !== undefined) return spec.name;
  switch (spec.kind) {
    case "problems":
      return `${findTask(spec.task).name}${spec.format === "cot" ? "" : ` (${spec.format})`}`;
    case "choice":
      return `${findTask(spec.task).name} (${spec.score})`;
    case "needle":
    case "positions":
      return spec.kind;
    case "family":
      return `${spec.family}-${spec.difficulty}${spec.format === "tool" ? " (tool)" : ""}`;
  }
}

const shown = (value: unknown) => (typeof value === "string" ? value.slice(0, 40) : JSON.stringify(value));

/** A setting as a reader of a table knows it. */
function settingOf(key: string, value: unknown): string {
  if (key === "shots") return `${value}-shot`;
  return value === undefined ? `own ${key}` : `${key} ${shown(value)}`;
}

/** Names of the entries, all different: one that is taken gets the settings in which its entries differ, or a number. */
export function namesOf(tasks: readonly EvalTask[]): string[] {
  const bases = tasks.map(baseOf);
  const full = tasks.map((spec, i) => {
    const group = tasks.filter((_, j) => bases[j] === bases[i]) as Record<string, unknown>[];
    if (group.length === 1) return bases[i]!;
    const keys = [...new Set(group.flatMap((other) => Object.keys(other)))];
    const own = spec as Record<string, unknown>;
    const differing = keys.filter(
      (key) =>
        key !== "name" && group.some((other) => JSON.stringify(other[key]) !== JSON.stringify(own[key])),
    );
    const settings = differing.map((key) => settingOf(key, own[key]));
    return settings.length === 0 ? bases[i]! : `${bases[i]} [${settings.join(", ")}]`;
  });
  const taken = new Set<string>();
  return full.map((name) => {
    let free = name;
    for (let n = 2; taken.has(free); n++) free = `${name} #${n}`;
    taken.add(free);
    return free;
  });
}
