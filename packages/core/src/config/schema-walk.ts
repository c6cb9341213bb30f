// Reading zod schemas: unwrapping, known keys, and the one mapping between snake_case files and camelCase code.
import type { z } from "zod";

export type Schema = z.ZodType;
type Def = {
  type: string;
  innerType?: Schema;
  in?: Schema;
  getter?: () => Schema;
  shape?: Record<string, Schema>;
  element?: Schema;
  valueType?: Schema;
  options?: Schema[];
  discriminator?: string;
  items?: Schema[];
  left?: Schema;
  right?: Schema;
  defaultValue?: unknown;
  entries?: Record<string, string>;
  values?: unknown[];
};

export function defOf(schema: Schema): Def {
  return (schema as unknown as { _zod: { def: Def } })._zod.def;
}

const wrappers = new Set(["optional", "nullable", "default", "prefault", "readonly", "catch", "nonoptional"]);

/** Strips optional, default, pipe and lazy layers. */
export function unwrap(schema: Schema): Schema {
  const def = defOf(schema);
  if (wrappers.has(def.type)) return unwrap(def.innerType!);
  if (def.type === "pipe") return unwrap(def.in!);
  if (def.type === "lazy") return unwrap(def.getter!());
  return schema;
}

export function snakeCase(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/** Keys of an object schema, or of all object options of a union, by their camelCase name. */
export function fieldsOf(schema: Schema): Map<string, Schema[]> {
  const fields = new Map<string, Schema[]>();
  const visit = (inner: Schema): void => {
    const def = defOf(unwrap(inner));
    if (def.type === "object")
      for (const [key, field] of Object.entries(def.shape!))
        fields.set(key, [...(fields.get(key) ?? []), field]);
    else if (def.type === "union") def.options!.forEach(visit);
    else if (def.type === "intersection") [def.left!, def.right!].forEach(visit);
  };
  visit(schema);
  return fields;
}

function optionsOf(schema: Schema): Schema[] {
  const inner = unwrap(schema);
  const def = defOf(inner);
  return def.type === "union" ? def.options!.flatMap(optionsOf) : [inner];
}

/** Schemas of the elements (arrays, tuples) or values (records) reachable in any of `schemas`. */
function elementsOf(schemas: readonly Schema[], kind: "array" | "record"): Schema[] {
  return schemas.flatMap(optionsOf).flatMap((option) => {
    const def = defOf(option);
    if (kind === "record") return def.type === "record" ? [def.valueType!] : [];
    return def.type === "array" ? [def.element!] : def.type === "tuple" ? def.items! : [];
  });
}

/** Renames keys that the schemas know; keys of records and unknown keys stay as they are. */
function rename(schemas: readonly Schema[], value: unknown, direction: "camel" | "snake"): unknown {
  if (schemas.length === 0 || value === null || typeof value !== "object") return value;
  if (Array.isArray(value)) {
    const elements = elementsOf(schemas, "array");
    return value.map((item) => rename(elements, item, direction));
  }
  const fields = new Map<string, Schema[]>();
  for (const schema of schemas)
    for (const [key, list] of fieldsOf(schema)) fields.set(key, [...(fields.get(key) ?? []), ...list]);
  const bySource = new Map(
    [...fields.keys()].map((key) => (direction === "camel" ? [snakeCase(key), key] : [key, snakeCase(key)])),
  );
  const values = elementsOf(schemas, "record");
  const out: Record<string, unknown> = {};
  for (const [key, item] of Object.entries(value)) {
    const target = bySource.get(key);
    const inner = target === undefined ? values : fields.get(direction === "camel" ? target : key)!;
    out[target ?? key] = rename(inner, item, direction);
  }
  return out;
}

/** snake_case data of a file → camelCase data for the schema. */
export function toCamel(schema: Schema, value: unknown): unknown {
  return rename([schema], value, "camel");
}

/** camelCase config → snake_case data for a file. */
export function toSnake(schema: Schema, value: unknown): unknown {
  return rename([schema], value, "snake");
}

/** The schema at a camelCase path, looking through unions; undefined where the path leads nowhere. */
export function schemaAt(schema: Schema, path: readonly PropertyKey[]): Schema | undefined {
  let here: Schema[] = [schema];
  for (const part of path) {
    const field = here.flatMap((s) => fieldsOf(s).get(String(part)) ?? []);
    here = field.length ? field : [...elementsOf(here, "array"), ...elementsOf(here, "record")];
  }
  return here[0];
}
