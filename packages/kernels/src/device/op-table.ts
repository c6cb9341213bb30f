// The ops of the ABI by name, and their arguments by field name in the order that the native side reads them.
import type { Addon } from "./addon.ts";
import type { OpArgs } from "./tensor.ts";

/** An op's number and its fields; a kind `O` marks a buffer that may be left out. */
export interface OpFields {
  id: number;
  names: string[];
  kinds: string;
}

let opsByName: Map<string, OpFields> | undefined;

/** Read from the addon once. */
export function opTable(native: Addon): Map<string, OpFields> {
  opsByName ??= new Map(
    native.ops.map((op, id) => {
      const parts = op.fields.split(" ");
      return [op.name, { id, names: parts.map((p) => p.slice(1)), kinds: parts.map((p) => p[0]).join("") }];
    }),
  );
  return opsByName;
}

/** Writes an op's arguments into the addon's slots. Throws for fields that are missing or unknown. */
export function writeArgs(native: Addon, op: string, { names, kinds }: OpFields, args: OpArgs): void {
  const out = native.args;
  let seen = 0;
  for (let i = 0; i < names.length; i++) {
    const value = args[names[i]!];
    if (value === undefined) {
      if (kinds[i] !== "O") throw new Error(`${op}: field '${names[i]}' is missing`);
      out[i] = 0;
      if (names[i]! in args) seen++;
    } else {
      out[i] = typeof value === "object" ? value.handle : Number(value);
      seen++;
    }
  }
  if (seen !== Object.keys(args).length) {
    throw new Error(
      `${op}: unknown field among ${Object.keys(args).join(", ")} (wanted ${names.join(", ")})`,
    );
  }
}
