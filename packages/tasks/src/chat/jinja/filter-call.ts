// What a filter is given beside its value.
import type { Value } from "./values.ts";

export interface FilterCall {
  args: Value[];
  named: Map<string, Value>;
  /** Runs another filter or a test by its name. */
  apply(name: string, value: Value, args: Value[], named: Map<string, Value>): Value;
  test(name: string, value: Value, args: Value[]): boolean;
}

export type Filter = (value: Value, call: FilterCall) => Value;

/** An argument by its position or name. */
export const argument = ({ args, named }: FilterCall, at: number, name: string): Value | undefined =>
  at < args.length ? args[at] : named.get(name);
